import type { AskFacts, Issuer } from '../../issuers/issuer.ts'

/** One thing a task may hold at most: an ask in the issuer's own form. */
export type Allowance = { issuer: string; ask: unknown }

/**
 * Everything that bounds a task, from the widest to the narrowest: its agent's ceiling, the ticket it was
 * opened with, its parent's bounds. An ask must be covered by one allowance of each bound.
 */
export type Bounds = readonly { name: string; allows: readonly Allowance[] }[]

export type Judgement = { outcome: 'allow' | 'deny'; reasons: string[]; facts: AskFacts }

/** Deny by default. Pure: an error in an issuer's `covers` or `facts` is thrown, never an allow. */
export function judgeAsk(issuerName: string, issuer: Issuer, ask: unknown, bounds: Bounds): Judgement {
  const facts = issuer.facts(ask)
  const missed = bounds.filter(
    bound =>
      !bound.allows.some(allowance => allowance.issuer === issuerName && issuer.covers(allowance.ask, ask)),
  )
  if (bounds.length === 0) return { outcome: 'deny', reasons: ['nothing bounds this task'], facts }
  if (missed.length === 0)
    return { outcome: 'allow', reasons: bounds.map(bound => `within ${bound.name}`), facts }
  return {
    outcome: 'deny',
    reasons: missed.map(bound => {
      const known = bound.allows.some(allowance => allowance.issuer === issuerName)
      return known
        ? `more than ${bound.name} allows from ${issuerName}`
        : `${bound.name} allows nothing from ${issuerName}`
    }),
    facts,
  }
}
