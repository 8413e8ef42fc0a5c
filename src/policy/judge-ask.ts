import type { AskFacts, Issuer } from '../../issuers/issuer.ts'
import { nearestEntry } from './nearest-entry.ts'

/** One thing a task may hold at most: an ask in the issuer's own form. */
export type Allowance = { issuer: string; ask: unknown }

/**
 * Everything that bounds a task, from the widest to the narrowest: its agent's ceiling, the ticket it was
 * opened with, its parent's bounds. An ask must be covered by one allowance of each bound.
 */
export type Bounds = readonly { name: string; allows: readonly Allowance[] }[]

/** `beyond`: for each bound that does not cover it, what comes nearest and what it lacks; for owners. */
export type Judgement = {
  outcome: 'allow' | 'deny'
  reasons: string[]
  facts: AskFacts
  beyond: readonly string[]
}

/** Deny by default. Pure: an error in an issuer's `covers` or `facts` is thrown, never an allow. */
export function judgeAsk(issuerName: string, issuer: Issuer, ask: unknown, bounds: Bounds): Judgement {
  const facts = issuer.facts(ask)
  const missed = bounds.filter(
    bound =>
      !bound.allows.some(allowance => allowance.issuer === issuerName && issuer.covers(allowance.ask, ask)),
  )
  if (bounds.length === 0)
    return { outcome: 'deny', reasons: ['nothing bounds this task'], facts, beyond: [] }
  if (missed.length === 0)
    return { outcome: 'allow', reasons: bounds.map(bound => `within ${bound.name}`), facts, beyond: [] }
  const entries = ({ allows }: Bounds[number]) =>
    allows.filter(allowance => allowance.issuer === issuerName).map(allowance => allowance.ask)
  return {
    outcome: 'deny',
    reasons: missed.map(bound =>
      entries(bound).length > 0
        ? `more than ${bound.name} allows from ${issuerName}`
        : `${bound.name} allows nothing from ${issuerName}`,
    ),
    facts,
    beyond: missed.flatMap(bound =>
      nearestEntry(issuer, entries(bound), ask).map(line => `of ${bound.name}, ${line}`),
    ),
  }
}
