/** Files that a provider keeps in repositories: how the broker reads one, with a credential of its own. */
import type { Secret } from './secret.ts'
import type { Look } from './work.ts'

/**
 * `repository`: as the provider writes it, and the id that it gives to no other. `unreadable`: what stands there is no
 * text of the size that was asked for, however often one asks.
 */
export type FoundFile = { repository: { id: number; name: string } } & (
  | { text: string }
  | { unreadable: string }
)

export type FileCredential = { secret: Secret; lease: string; maxBytes: number }

export interface FileReader<Ask = unknown> {
  /** What a credential must be for to read this repository's files, and no more. @param repository `owner/name` */
  ask(repository: string): Ask
  /**
   * The file as it is on the default branch; nothing where there is none.
   *
   * @param granted what the credential was given for: the one repository that is read
   * @throws ProviderUnavailable
   */
  read(granted: Ask, path: string, credential: FileCredential): Promise<Look<FoundFile>>
}
