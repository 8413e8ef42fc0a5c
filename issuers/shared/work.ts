/**
 * Work that a provider runs (CI jobs and runs) and that tasks belong to: what may be seen of it, in words that
 * no provider owns. Every id is text, as the provider's evidence writes it.
 */
import type { Secret } from './secret.ts'

/** One attempt of one run. A re-run is another attempt. */
export type RunAttempt = { repository: string; run: string; attempt: string }

export type WorkOutcome = 'completed' | 'failed' | 'cancelled'
export type WorkState = { state: 'waiting' | 'running' } | { state: 'ended'; outcome: WorkOutcome }

/** The provider's word that a job, or where `job` is absent the whole attempt, is over. */
export type WorkEnd = RunAttempt & {
  /** As in the work of an identity: `github.com`. */
  provider: string
  job?: string
  outcome: WorkOutcome
  /** The provider's own word for it, short: `timed_out`. */
  said: string
}

/** `undefined`: the provider does not know it. `holdUntil`: epoch ms until which its rate limit is better left to others. */
export type Look<Seen> = { seen: Seen | undefined; holdUntil?: number }

/** Part of an issuer whose provider also runs work: how the broker looks at it with a credential of its own. */
export interface WorkWatch<Ask = unknown> {
  /** The provider's name in work keys, the same that its attestor gives. */
  readonly provider: string
  /** What a credential must be for to look at this repository's runs, and no more. `name` only helps to find it. */
  ask(repository: string, name?: string): Ask
  /** The jobs of one attempt by their ids. @throws ProviderUnavailable */
  jobs(run: RunAttempt, secret: Secret, lease: string): Promise<Look<ReadonlyMap<string, WorkState>>>
  /** The attempt as a whole. @throws ProviderUnavailable */
  run(run: RunAttempt, secret: Secret, lease: string): Promise<Look<WorkState>>
  /** One job; unknown where it belongs to another attempt. @throws ProviderUnavailable */
  job(run: RunAttempt, job: string, secret: Secret, lease: string): Promise<Look<WorkState>>
}
