/**
 * What is right and wrong with a piece of evidence, for operators: whom it is for, each check as the attestor makes
 * it, and which agents' rules it comes near to. Nothing is opened, written down or used up.
 */
import {
  AttestationUnavailable,
  type Attestor,
  type Check,
  type ClaimType,
  type ClaimValue,
  type Evidence,
  type Proof,
  type Rejection,
  type RuleFacts,
} from '../../../attestors/attestor.ts'
import type { Agent } from '../../policy/agent.ts'
import { type AgentMatch, matchAgent } from '../../policy/match-agent.ts'
import { type NearAgent, nearAgents } from '../../policy/near-rules.ts'
import type { Broker, Identity } from '../broker.ts'
import { ownClaims, route } from './attest.ts'
import { type Nearly, nearlyTaken, peek } from './nearly-taken.ts'

/** What of a broker it needs: so much of one there is without a ledger, too. */
export type Checking = Pick<Broker, 'attestors' | 'agents' | 'now'>

export type CheckedClaim = {
  name: string
  value: ClaimValue
  /** Absent: the attestor does not declare it, and policies see text. */
  type?: ClaimType
  /** `caller`: by whoever asked for the evidence; `not_known` where the attestor cannot say who decides it. */
  decidedBy: 'authority' | 'caller' | 'not_known'
  /** Of one that the caller decides: the claim that has to stand beside it in a rule for it to count. */
  countsWith?: string
}

export type EvidenceReport = {
  /** `statement`: it holds, and speaks of where a workload runs; it is nobody's identity. */
  outcome: 'matched' | 'unmatched' | 'statement' | 'rejected' | 'unavailable'
  /** Whom it was given to; absent where nobody takes it. */
  attestor?: string
  /** Who would take something very much like it. */
  nearly: readonly Nearly[]
  /** In their order. The last one did not pass where it is rejected. */
  checks: readonly Check[]
  rejection?: { code: Rejection; detail: string }
  /** Why it could not be checked. */
  unavailable?: string
  /** Seconds since `iat` by our clock, negative where it is ahead of ours: unverified unless it is accepted. */
  issuedAgoS?: number
  /** By how much the clock of whoever serves the keys was ahead of ours, seconds. */
  keyServerAheadS?: number
  proof?: Pick<Proof, 'issuer' | 'subject' | 'work' | 'boundKey'> & {
    claims: readonly CheckedClaim[]
    mustName: readonly string[]
    replay: 'single_use' | 'pinned' | 'open'
    /** Names this use in the ledger. */
    replayId: string
    /** Epoch ms. */
    until: number
  }
  agents: readonly NearAgent[]
  match?: AgentMatch
}

/** @param agent chooses among the agents whose rule matches, as it does when a task is opened. */
export async function checkEvidence(
  checking: Checking,
  evidence: Evidence,
  agent?: string,
): Promise<EvidenceReport> {
  const { attestors, now } = checking
  const asked = route(attestors, evidence, 'identity')
  const statement = asked.ok ? asked : route(attestors, evidence, 'posture')
  const routed = statement.ok ? statement : asked
  const nearly = routed.ok ? [] : nearlyTaken(attestors, evidence)
  if (!routed.ok) {
    const { rejection: code, detail } = routed
    return { outcome: 'rejected', rejection: { code, detail }, nearly, checks: [], agents: [] }
  }
  const { name, attestor } = routed
  const checks: Check[] = []
  const common = { attestor: name, nearly, checks, agents: [] as readonly NearAgent[] }
  let verdict: Awaited<ReturnType<Attestor['attest']>>
  try {
    verdict = await attestor.attest(evidence, check => void checks.push(check))
  } catch (error) {
    if (!(error instanceof AttestationUnavailable)) throw error
    return { outcome: 'unavailable', ...common, unavailable: error.message }
  }
  const clocks = clocksOf(evidence, checks, now())
  if (!verdict.ok) {
    const { rejection: code, detail } = verdict
    return { outcome: 'rejected', ...common, ...clocks, rejection: { code, detail } }
  }
  const proof = proofOf(verdict.proof, attestor.rules)
  if (attestor.posture === true) return { outcome: 'statement', ...common, ...clocks, proof }
  const claims = ownClaims(attestors, verdict.proof.claims)
  const identity: Identity = { ...verdict.proof, claims, attestor: name }
  const agents: readonly Agent[] = [...checking.agents().values()]
  const match = matchAgent(agents, identity, agent, now())
  return {
    outcome: match.ok ? 'matched' : 'unmatched',
    ...{ ...common, ...clocks, proof, match },
    agents: nearAgents(agents, identity, agent, now()),
  }
}

function clocksOf(evidence: Evidence, checks: readonly Check[], nowMs: number) {
  const issuedAt = peek(evidence, 'iat')
  const aheadMs = checks.findLast(({ clockAheadMs }) => clockAheadMs !== undefined)?.clockAheadMs
  return {
    ...(typeof issuedAt === 'number' ? { issuedAgoS: Math.round(nowMs / 1000 - issuedAt) } : {}),
    ...(aheadMs === undefined ? {} : { keyServerAheadS: Math.round(aheadMs / 1000) }),
  }
}

function proofOf(
  { issuer, subject, claims, mustName = [], replay, work, boundKey }: Proof,
  rules: RuleFacts | undefined,
): NonNullable<EvidenceReport['proof']> {
  return {
    ...{ issuer, subject, mustName },
    claims: Object.entries(claims).map(([name, value]) => claimOf(name, value, rules)),
    replay: replay.singleUse ? 'single_use' : (replay.reuse ?? 'pinned'),
    ...{ replayId: replay.id, until: replay.until },
    ...(work === undefined ? {} : { work }),
    ...(boundKey === undefined ? {} : { boundKey }),
  }
}

function claimOf(name: string, value: ClaimValue, rules: RuleFacts | undefined): CheckedClaim {
  const { claimTypes = {}, callerChosen, pinnedBy } = rules ?? {}
  const type = Object.hasOwn(claimTypes, name) ? claimTypes[name] : undefined
  const beside = Object.hasOwn(callerChosen ?? {}, name) ? callerChosen?.[name] : undefined
  const isJudged = type !== undefined && (callerChosen !== undefined || pinnedBy !== undefined)
  return {
    ...{ name, value },
    ...(type === undefined ? {} : { type }),
    decidedBy: beside !== undefined ? 'caller' : isJudged ? 'authority' : 'not_known',
    ...(typeof beside === 'string' ? { countsWith: beside } : {}),
  }
}
