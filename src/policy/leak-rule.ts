import type { RiskTier } from './agent.ts'

/** Of agents of which tiers a leak is a reason for quarantine. `high_tiers`: of those that are not low. */
export type QuarantineRule = 'always' | 'high_tiers' | 'never'

export type LeakedFacts = {
  /** Undefined where the agent is declared no more. */
  tier: RiskTier | undefined
  /** Since when what leaked is of no use, epoch ms; null while it may be. */
  overSince: number | null
}

/**
 * Whether a leak puts its agent into quarantine. What was dead for longer than `freshMs` says nothing of how the
 * agent works today: old alerts come by the thousand.
 */
export function isReasonForQuarantine(
  rule: QuarantineRule,
  { tier, overSince }: LeakedFacts,
  { now, freshMs }: { now: number; freshMs: number },
): boolean {
  if (rule === 'never') return false
  if (overSince !== null && overSince <= now - freshMs) return false
  return rule === 'always' || tier !== 'low'
}
