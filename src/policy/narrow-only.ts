/** What a caller says of itself (a confidence, an urgency) may narrow what it gets, and never widen it. */
import type { Declared, PolicyEngine, PolicyRequest, PolicyVerdict } from './facts.ts'

/**
 * The stricter of two judgements: one that is not told what the caller declared, and one that is. A permit that
 * looks for a high confidence therefore permits nothing by it, whoever wrote it.
 */
export async function judgeNarrowOnly(
  engine: Pick<PolicyEngine, 'judge'>,
  request: PolicyRequest,
  declared: Declared = {},
): Promise<PolicyVerdict> {
  const plain = await engine.judge(request)
  if (plain.outcome === 'deny' || (declared.confidence === undefined && declared.urgency === undefined))
    return plain
  const told = await engine.judge({ ...request, context: { ...request.context, ...declared } })
  return stricter(plain, told)
}

/** Of two that both wait for humans, everything that either demands. */
export function stricter(a: PolicyVerdict, b: PolicyVerdict): PolicyVerdict {
  const [milder, harder] = STRICTNESS[b.outcome] > STRICTNESS[a.outcome] ? [a, b] : [b, a]
  if (milder.outcome !== 'needs_approval') return harder
  if (harder.outcome !== 'needs_approval') return harder
  const known = new Set(harder.requires.map(({ policy }) => policy))
  return {
    ...harder,
    determining: [...new Set([...harder.determining, ...milder.determining])],
    reasons: [...new Set([...harder.reasons, ...milder.reasons])],
    requires: [...harder.requires, ...milder.requires.filter(({ policy }) => !known.has(policy))],
  }
}

export const STRICTNESS: Readonly<Record<PolicyVerdict['outcome'], number>> = {
  allow: 0,
  needs_approval: 1,
  deny: 2,
}
