/** What the broker counts, as a port. Labels are names from the configuration and words from closed lists. */

export type MintOutcome = 'issued' | 'refused' | 'unavailable'
export type ApprovalOutcome = 'approved' | 'denied' | 'expired'
export type DrillOutcome = 'passed' | 'failed' | 'unprovable'
export type JudgedOutcome = 'allow' | 'deny' | 'needs_approval' | 'failed'

/** Called after what it tells of has happened; it never throws and never waits. Durations are ms. */
export interface Metrics {
  /** One call to an issuer for a credential. */
  minted(issuer: string, outcome: MintOutcome, ms: number): void
  /** One request that was answered with a refusal. */
  refused(code: string): void
  evidenceRejected(reason: string): void
  /** One credential was seen dead, so long after it was due to end. */
  dead(issuer: string, ms: number): void
  /** Whether an issuer's provider is left alone after failures in a row. */
  breaker(issuer: string, isOpen: boolean): void
  /** One ledger transaction, from being handed in to being answered. */
  written(ms: number): void
  /** One commit of the embedded ledger, of so many transactions. */
  committed(bodies: number): void
  /** `deadMs`: from the end of the drill's task to the canary's death; null where that was not seen. */
  drilled(issuer: string, outcome: DrillOutcome, deadMs: number | null): void
  /** One ask judged by policy. */
  judged(outcome: JudgedOutcome, how: 'judged' | 'remembered'): void
  /** The thread that judges by policy was replaced, or could not be. */
  policyRestarted(outcome: 'started' | 'failed'): void
  /** Agents that somebody should look at, as of the last look. */
  agentsFlagged(flag: string, count: number): void
  /** How an approval ended, so long after it was asked for. */
  answered(outcome: ApprovalOutcome, ms: number): void
  /** One secret was reported as leaked, for the first time. */
  leaked(kind: string, source: string): void
  /** One alert of a provider's secret scanning, when it was looked at, or could not be. */
  secretAlert(outcome: 'known' | 'unknown' | 'gone' | 'not_looked_at'): void
  alarm(name: string): void
}

/** Counts nothing: for commands without a server, and for tests. */
export const noMetrics: Metrics = {
  minted() {},
  refused() {},
  evidenceRejected() {},
  dead() {},
  breaker() {},
  written() {},
  committed() {},
  drilled() {},
  answered() {},
  judged() {},
  policyRestarted() {},
  agentsFlagged() {},
  leaked() {},
  secretAlert() {},
  alarm() {},
}
