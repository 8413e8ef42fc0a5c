/**
 * Which agents an identity comes near to, and by what it misses them: rule by rule, judged as `matchAgent` does.
 * For operators; a caller is told nothing of it.
 */
import type { Agent, AttestRule } from './agent.ts'
import { type Facts, isAccepted, judgeRule } from './match-agent.ts'

export type NearRule = {
  /** Its place among the agent's rules, from 1. */
  rule: number
  /** `unnamed`: all that is missing is that the rule names this claim, which such evidence makes it do. */
  outcome: 'matches' | 'misses' | 'unnamed'
  /** The first part of the rule that is not so: a claim, or `subject`. */
  claim?: string
  /** What the rule takes there. */
  expected?: readonly (string | number | boolean)[]
  /** As JSON; absent where the evidence does not say. */
  found?: string
}

export type NearAgent = { agent: string; expired: boolean; matches: boolean; rules: readonly NearRule[] }

/** Agents with a rule for this attestor; who matches first, then whoever misses by the least. */
export function nearAgents(
  agents: Iterable<Agent>,
  identity: Facts,
  named: string | undefined,
  now: number,
): NearAgent[] {
  const near: (NearAgent & { missing: number })[] = []
  for (const { name: agent, attest, expires_at } of agents) {
    if (named !== undefined && agent !== named) continue
    const rules = attest
      .map((rule, index) => ({ rule, index }))
      .filter(({ rule }) => rule.attestor === identity.attestor)
    if (rules.length === 0) continue
    const judged = rules.map(({ rule, index }) => nearRule(rule, index + 1, identity))
    near.push({
      ...{ agent, expired: expires_at <= now, rules: judged },
      matches: judged.some(({ outcome }) => outcome === 'matches'),
      missing: Math.min(...rules.map(({ rule }) => missing(rule, identity))),
    })
  }
  return near
    .toSorted((a, b) => a.missing - b.missing || (a.agent < b.agent ? -1 : 1))
    .map(({ missing: _, ...rest }) => rest)
}

function nearRule(rule: AttestRule, place: number, identity: Facts): NearRule {
  const outcome = judgeRule(rule, identity)
  if (outcome.match === 'yes') return { rule: place, outcome: 'matches' }
  const { claim, match } = outcome
  const expected = claim === 'subject' ? rule.subject : rule.claims[claim]
  const value = claim === 'subject' ? identity.subject : identity.claims[claim]
  return {
    ...{ rule: place, outcome: match === 'unnamed' ? 'unnamed' : 'misses', claim },
    ...(expected === undefined ? {} : { expected }),
    ...(value === undefined ? {} : { found: JSON.stringify(value) }),
  }
}

/** How many parts of the rule are not so; a fraction where it only has to name something. */
function missing(rule: AttestRule, identity: Facts): number {
  const wrong = Object.entries(rule.claims).filter(
    ([claim, accepted]) => !isAccepted(accepted, identity, claim),
  )
  const subject = rule.subject === undefined || rule.subject.includes(identity.subject) ? 0 : 1
  const whole = wrong.length + subject
  return whole === 0 && judgeRule(rule, identity).match !== 'yes' ? 0.5 : whole
}
