import type { ClaimValue } from '../../attestors/attestor.ts'
import type { Agent, AttestRule } from './agent.ts'
import { judgeTrust } from './trust/trust-rule.ts'

/** The part of an attested identity that rules look at. */
export type Facts = {
  attestor: string
  subject: string
  claims: Readonly<Record<string, ClaimValue>>
  mustName?: readonly string[]
}

/** `why` and `near` are for the owner and the ledger; the caller learns the code only. */
export type AgentMatch =
  | { ok: true; agent: Agent }
  | { ok: false; why: 'none' | 'several' | 'event' | 'expired'; near: string }

/**
 * Which agent this identity is. No match means no; two matches and none named means no; naming an agent
 * only chooses among those whose rule matches. Where none is named the operator's own agents come first: no team
 * can make one of them ambiguous by an agent of its own.
 *
 * @param now epoch ms, against which an agent's own expiry is judged.
 */
export function matchAgent(
  agents: Iterable<Agent>,
  identity: Facts,
  named: string | undefined,
  now: number,
): AgentMatch {
  const matched: Agent[] = []
  let unnamedEvent: [agent: Agent, claim: string] | undefined
  let nearest: [agent: Agent, claim: string] | undefined
  let expired: Agent | undefined
  for (const agent of agents) {
    if (named !== undefined && agent.name !== named) continue
    // Nothing is made for one that does not match: every agent there is comes by here.
    let isMatch = false
    let unnamed: string | undefined
    let differing: string | undefined
    for (const rule of agent.attest) {
      const outcome = judgeRule(rule, identity)
      if (outcome.match === 'yes') isMatch = true
      else if (outcome.match === 'unnamed') unnamed = outcome.claim
      else if (outcome.claim !== 'attestor') differing = outcome.claim
    }
    if (isMatch && agent.expires_at > now) matched.push(agent)
    else if (isMatch) expired = agent
    else {
      if (unnamed !== undefined) unnamedEvent = [agent, unnamed]
      if (differing !== undefined) nearest = [agent, differing]
    }
  }
  const first = matched.filter(agent => !isOfTeam(agent.name))
  const chosen = first.length > 0 ? first : matched
  if (chosen.length === 1) return { ok: true, agent: chosen[0]! }
  if (chosen.length > 1)
    return {
      ok: false,
      why: 'several',
      near: `matches ${chosen.map(agent => agent.name).join(', ')}; name one`,
    }
  if (unnamedEvent !== undefined) {
    const [agent, claim] = unnamedEvent
    return { ok: false, why: 'event', near: `${agent.name}: the rule does not name ${claim}` }
  }
  if (expired !== undefined)
    return { ok: false, why: 'expired', near: `${expired.name}: the agent has expired` }
  if (nearest === undefined) return { ok: false, why: 'none', near: 'no rule of any agent comes near' }
  const [agent, claim] = nearest
  return { ok: false, why: 'none', near: `${agent.name}: ${claim} does not match` }
}

/**
 * The same for an agent that a trust policy made: by its patterns, and nothing else. Undefined where it is no such
 * agent.
 *
 * @param audiences those of the evidence
 */
export function matchTrusted(
  agent: Agent | undefined,
  identity: Facts & { issuer: string },
  audiences: readonly string[],
  now: number,
): AgentMatch | undefined {
  if (agent?.trust === undefined) return undefined
  if (agent.expires_at <= now)
    return { ok: false, why: 'expired', near: `${agent.name}: the agent has expired` }
  const verdict = judgeTrust(agent.trust, identity, audiences)
  return verdict.ok ? { ok: true, agent } : { ok: false, why: 'none', near: `${agent.name}: ${verdict.why}` }
}

/** Names of what a team registered have its namespace in front. */
const isOfTeam = (name: string) => name.includes('.')

export type RuleOutcome = { match: 'yes' } | { match: 'no' | 'unnamed'; claim: string }

const OTHER_ATTESTOR: RuleOutcome = { match: 'no', claim: 'attestor' }
const OTHER_SUBJECT: RuleOutcome = { match: 'no', claim: 'subject' }

/**
 * Every part of a rule must match, exactly; a risky event must be named by the rule itself. Where that is all
 * that is missing, it is said to be `unnamed`, whether the rule names other events or none.
 */
export function judgeRule(rule: AttestRule, identity: Facts): RuleOutcome {
  if (rule.attestor !== identity.attestor) return OTHER_ATTESTOR
  if (rule.subject !== undefined && !rule.subject.includes(identity.subject)) return OTHER_SUBJECT
  const named = new Set<string>()
  for (const [claim, accepted] of Object.entries(rule.claims)) {
    if (isAccepted(accepted, identity, claim)) named.add(claim)
    else if (!identity.mustName?.includes(claim)) return { match: 'no', claim }
  }
  const unnamed = identity.mustName?.find(claim => !named.has(claim))
  return unnamed === undefined ? { match: 'yes' } : { match: 'unnamed', claim: unnamed }
}

/** Of the same type and letter for letter. A list is never equal to one value. */
export function isAccepted(
  accepted: AttestRule['claims'][string],
  { claims }: Pick<Facts, 'claims'>,
  claim: string,
): boolean {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined
  return value !== undefined && typeof value !== 'object' && accepted.some(one => one === value)
}
