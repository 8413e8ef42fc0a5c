/** What policy judges: typed facts and nothing else. Plain data, without secrets and without evidence. */
import type { Phase, Revocability, TouchedResource } from '../../issuers/issuer.ts'
import type { Agent, RiskTier } from './agent.ts'

export type AgentStatus = 'active' | 'suspended' | 'quarantined' | 'offboarded' | 'removed'

/** A claim as the attestor typed it. */
export type ClaimFact = string | number | boolean | readonly string[]

/** What has been given out before, and is counted in windows that end now. */
export type HeldFacts = {
  /** Phases of credentials that were minted in the window: for this task's line, its agent, its owner's agents. */
  phases: { lineage: readonly Phase[]; agent: readonly Phase[]; owner: readonly Phase[] }
  /** Credentials minted in the window. */
  credentials: { lineage: number; agent: number; owner: number }
}

/** Humans who agreed to exactly this digest, each counted once; nobody who owns the agent or asked for it. */
export type ApprovalFacts = { digest: string; count: number; groups: readonly string[] }

/** A human on whose behalf the task runs. */
export type HumanFacts = { issuer: string; subject: string; groups: readonly string[] }

/** What a caller says of itself. It may only narrow: see narrow-only.ts. */
export type Declared = {
  /** 0 to 100: how sure it is that it does the right thing. */
  confidence?: number
  urgency?: 'low' | 'normal' | 'high'
}

/** One ask of one task, as policy sees it. */
export type PolicyRequest = {
  agent: {
    name: string
    /** Whoever answers for it. */
    team: string
    technicalOwner: string
    riskTier: RiskTier
    status: AgentStatus
    systems: readonly string[]
  }
  human?: HumanFacts
  /** The configured name of the issuer. */
  issuer: string
  phase: Phase
  /** At least one; the ask is allowed where it is allowed for each. */
  resources: readonly TouchedResource[]
  context: {
    attestor: string
    subject: string
    claims: Readonly<Record<string, ClaimFact>>
    purpose: string
    /** Seconds from now to the deadline of the task. */
    ttlSeconds: number
    /** Agents from the root of the line to this task's parent. */
    parents: readonly string[]
    permissions: readonly string[]
    /** What is reached inside of the resources, where the ask says. */
    targets: readonly string[]
    revocability: Revocability
    mayLeaveAccess: boolean
    /** What the caller says of itself; may only narrow. 0 to 100. */
    confidence?: number
    urgency?: 'low' | 'normal' | 'high'
    held: HeldFacts
    /** Epoch ms, rounded down to the minute. */
    now: number
    /** What an approval would have to be for. */
    digest: string
    approval?: ApprovalFacts
  }
}

/** One requirement of a rule that an approval can meet. */
export type ApprovalRequirement = {
  /** The rule that demands it. */
  policy: string
  /** So many distinct humans. */
  quorum: number
  /** Out of these groups; any human who may approve where there are none. */
  groups: readonly string[]
  /** Whether whoever owns the agent may be among them. */
  ownerMay: boolean
}

export type PolicyVerdict = {
  outcome: 'allow' | 'deny' | 'needs_approval'
  /** Ids of the policies that determined it. Empty: nothing permitted it, or no policy is in force. */
  determining: readonly string[]
  /** In words, for owners and operators. */
  reasons: readonly string[]
  /** For `needs_approval`: every one of these must be met. */
  requires: readonly ApprovalRequirement[]
  /** For a denial: the permits that came closest, and what they miss. */
  nearest: readonly string[]
  /**
   * Nothing could be judged. A denial all the same, but of an outage's making: the caller may try again, and what
   * is live does not end by it.
   */
  failed?: true
}

/** One policy as people read it. */
export type PolicyText = {
  id: string
  /** File and line. */
  place: string
  /** Its `@description`. */
  description?: string
  text: string
}

/** A member of a member of {@link HeldFacts}. */
export type HeldName = `${keyof HeldFacts}.${keyof HeldFacts['phases']}`

export const HELD_NAMES: readonly HeldName[] = [
  ...(['phases.lineage', 'phases.agent', 'phases.owner'] as const),
  ...(['credentials.lineage', 'credentials.agent', 'credentials.owner'] as const),
]

/** Which of the costly facts the rules in force look at; others may be left empty. */
export type PolicyNeeds = { held: readonly HeldName[]; digest: boolean }

/**
 * Judges by the policies in force. Never an allow that comes from an error: whatever goes wrong inside is a
 * denial that says so.
 */
export type PolicyEngine = {
  /** SHA-256 (hex) of the set in force; `none` where no policy is. */
  hash(): string
  needs(): PolicyNeeds
  judge(request: PolicyRequest): Promise<PolicyVerdict>
  /** A policy in force, for owners and operators; undefined for any other id. */
  textOf?(id: string): PolicyText | undefined
  /** Why nothing can be judged; undefined where it can. Absent: it always can. */
  notReady?(): string | undefined
  /** The same by the set that is in force now, also after another takes its place. Absent: there is only one. */
  inForce?(): PolicyEngine
}

export const NO_OBJECTION: PolicyVerdict = {
  ...{ outcome: 'allow', determining: [], reasons: [], requires: [], nearest: [] },
}

/** Where no policy is set up: the ceilings alone bound an agent, and they were judged before. */
export const noPolicy: PolicyEngine = {
  hash: () => 'none',
  needs: () => ({ held: [], digest: false }),
  judge: async () => NO_OBJECTION,
}

export function agentFacts(agent: Agent, status: AgentStatus): PolicyRequest['agent'] {
  const { name, owner, risk_tier: riskTier, systems } = agent
  return { name, team: owner.business, technicalOwner: owner.technical, riskTier, status, systems }
}
