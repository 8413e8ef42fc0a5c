/** A registered agent, as its file declares it and as every decision reads it. Plain data. */
import type { TrustRule } from './trust/trust-rule.ts'

/** Under whose name the broker's own provider calls stand in the ledger. No agent may be called this. */
export const SYSTEM_AGENT = 'mayfly'

export type RiskTier = 'low' | 'medium' | 'high'

/** Evidence matches when the attestor, every claim and the subject match: each is one of the listed values. */
export type AttestRule = {
  /** The configured name of an attestor. */
  attestor: string
  claims: Readonly<Record<string, readonly (string | number | boolean)[]>>
  subject?: readonly string[]
}

export type AgentLimits = {
  /** The longest a task may be open, minutes. */
  task_minutes: number
  /** Tasks open at once, children included. */
  active_tasks: number
  credentials_per_hour: number
  /** Absent: as many as the hours allow. */
  credentials_per_day?: number | undefined
  /** Minutes a day (UTC) for which credentials that do more than read may live, added up. Absent: not bounded. */
  write_minutes_per_day?: number | undefined
  /** How deep below its own a task of this agent may have tasks. 0: none. */
  child_depth: number
  /** Children one task may have, over its whole life. */
  children: number
}

export type Agent = {
  name: string
  /** Who answers for it, and who runs it. */
  owner: { business: string; technical: string }
  purpose: string
  risk_tier: RiskTier
  /** The systems it touches, in the organisation's own names. */
  systems: readonly string[]
  /** Epoch ms; after it the agent opens and mints nothing. */
  expires_at: number
  attest: readonly AttestRule[]
  /**
   * Made of a trust policy of octo-sts, which says whom it stands for instead of `attest`: opened by that exchange
   * alone, and by nobody who names it elsewhere.
   */
  trust?: TrustRule
  /** Issuer name to asks, each in that issuer's own parsed form. An issuer that is absent gives nothing. */
  ceiling: Readonly<Record<string, readonly unknown[]>>
  /** Issuer name to the minutes by which a credential that nobody can revoke may outlive its task. Absent: 0. */
  may_outlive_minutes: Readonly<Record<string, number>>
  limits: AgentLimits
  /** Agents that a task of this one may give tickets to. */
  may_delegate_to: readonly string[]
  /** On behalf of humans in which groups, beside its own account. Absent: of nobody. */
  may_act_for?: { groups: readonly string[] }
  /** Tasks of this agent must be heard from this often, seconds. Absent: the caller's wish, or the default. */
  heartbeat_seconds?: number
  /** `sha256:<hex>` over model, prompt and tools, as its owner computes it. Another one waits for its owner. */
  build?: string
  /** A human must say this often that tasks of this one may go on, minutes. Absent: nobody is waited for. */
  check_in_minutes?: number
  /** Whether the provider is asked, at each open, if the CI job is running. Absent: as the broker does for the tier. */
  verify_job_running?: boolean
  /** Whether the tokens of its tasks are bound to a key that must be shown with them. Absent: where the caller shows one. */
  bound_key_required?: boolean
  /** Attestors of surroundings whose statements each heartbeat must bring again. Absent: none. */
  posture_with_heartbeat?: readonly string[]
  /** SHA-256 (hex) of the canonical JSON of all of the above: the generation of this agent. */
  digest: string
}

/** What the digest is taken over, and what the ledger keeps. */
export type AgentDocument = Omit<Agent, 'digest'>
