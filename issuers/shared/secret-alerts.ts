/** Where a provider looks for secrets in what it keeps: what an alert of it found. */
import type { Secret } from './secret.ts'
import type { Look } from './work.ts'

export interface SecretAlerts<Ask = unknown> {
  /** What a credential must be for to read this repository's alerts, and no more. `name` only helps to find it. */
  ask(repository: string, name: string): Ask
  /** The secret that an alert found; unknown where there is no such alert. @throws ProviderUnavailable */
  found(alert: { repository: string; number: number }, secret: Secret, lease: string): Promise<Look<Secret>>
}

/** What a notice says of an alert. */
export type SecretAlertNotice = {
  /** The repository's id, and what people call it. */
  repository: string
  repositoryName: string
  number: number
  /** Where the notice carries what was found. */
  secret?: Secret
}
