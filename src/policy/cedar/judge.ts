/**
 * One request against one set. Deny by default; whatever goes wrong is a denial that says so, and an error in any
 * policy is one too: Cedar itself would pass over a forbid that cannot be evaluated.
 */
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { LIMITS } from '../../limits.ts'
import type { ApprovalFacts, ApprovalRequirement, PolicyRequest, PolicyVerdict } from '../facts.ts'
import { STRICTNESS, stricter } from '../narrow-only.ts'
import { unacceptable } from './acceptable.ts'
import { type CallOptions, cedarCall } from './cedar-call.ts'
import { type CompiledSet, said } from './compile.ts'
import { nearestMisses } from './nearest-miss.ts'
import { sliceOf } from './slice.ts'

/** Never throws. Synchronous; a pure function of the set and the request. */
export function judgeCompiled(set: CompiledSet, request: PolicyRequest): PolicyVerdict {
  try {
    return judgeOrThrow(set, request)
  } catch (error) {
    return failed(error instanceof Error ? error.name : 'unknown')
  }
}

/** @throws what Cedar's module throws when it is broken: nothing that it says afterwards is to be believed */
export function judgeOrThrow(set: CompiledSet, request: PolicyRequest): PolicyVerdict {
  const fault = unacceptable(request)
  if (fault !== undefined) return denied([`the request holds ${fault}`])
  const asked = set.trim(request)
  let strictest: PolicyVerdict | undefined
  // Each resource for the agent, and for the human on whose behalf it asks: all must be allowed.
  for (const as of asked.human === undefined ? (['agent'] as const) : (['agent', 'human'] as const))
    for (const resource of asked.resources) {
      const verdict = judgeOne(set, asked, { as, resource })
      if (verdict.outcome === 'deny') return verdict
      strictest = strictest === undefined ? verdict : both(strictest, verdict)
    }
  return strictest ?? denied(['nothing is touched'])
}

type One = Pick<CallOptions, 'as' | 'resource'>

/**
 * In at most three steps: as things are; without the approval, where there is one, to see what it waives; with a
 * supposed approval, where nothing but the lack of one stands against it.
 */
function judgeOne(set: CompiledSet, request: PolicyRequest, one: One): PolicyVerdict {
  const { digest, approval: given } = request.context
  const approval = given !== undefined && given.digest === digest ? given : undefined
  const now = evaluate(set, request, { ...one, approval })
  if (now.decision === 'error') return denied(now.reasons)
  const before = approval === undefined ? now : evaluate(set, request, { ...one, approval: undefined })
  if (before.decision === 'error') return denied(before.reasons)

  // What humans would have to waive, and whether these did, as the annotations demand it.
  const needed = requirementsOf(set, before)
  const waived = approval !== undefined && needed.every(one => isMet(one, approval))
  if (now.decision === 'allow' && (before.decision === 'allow' || waived))
    return {
      ...NOTHING,
      outcome: 'allow',
      determining: now.by,
      reasons: [`permitted by ${now.by.join(', ')}`],
    }

  const isWaivable =
    now.decision === 'allow' || (now.by.length > 0 && requirementsOf(set, now).length === now.by.length)
  if (!isWaivable || needed.length === 0) return refused(set, request, one, now.by)
  const supposed = evaluate(set, request, { ...one, approval: supposedApproval(digest, needed) })
  if (supposed.decision === 'error') return denied(supposed.reasons)
  if (supposed.decision === 'deny') return refused(set, request, one, now.by)
  return {
    ...{ outcome: 'needs_approval', determining: needed.map(({ policy }) => policy), nearest: [] },
    reasons: needed.map(worded),
    requires: needed,
  }
}

type Evaluated = { decision: 'allow' | 'deny'; by: string[] } | { decision: 'error'; reasons: string[] }

function evaluate(set: CompiledSet, request: PolicyRequest, options: CallOptions): Evaluated {
  const answer = cedar.statefulIsAuthorized({
    ...cedarCall(request, set.vocabulary, options),
    preparsedPolicySetId: sliceOf(set, request.issuer, request.phase),
    preparsedSchemaName: set.schemaName,
    validateRequest: true,
  })
  if (answer.type === 'failure')
    return { decision: 'error', reasons: [`the request does not fit the schema: ${said(answer.errors)}`] }
  const { decision, diagnostics } = answer.response
  if (diagnostics.errors.length === 0) return { decision, by: diagnostics.reason.toSorted() }
  const failed = diagnostics.errors.map(({ policyId, error }) => `${policyId} failed: ${said([error])}`)
  return { decision: 'error', reasons: failed.slice(0, LIMITS.policyNearest) }
}

function requirementsOf(set: CompiledSet, { by }: { by: readonly string[] }): ApprovalRequirement[] {
  return by.flatMap(id => set.policies.find(policy => policy.id === id)?.requirement ?? [])
}

/** So many, and where groups are named, somebody out of them. Who is counted at all is not judged here. */
export function isMet(
  { quorum, groups }: ApprovalRequirement,
  { count, groups: out }: ApprovalFacts,
): boolean {
  return count >= quorum && (groups.length === 0 || groups.some(group => out.includes(group)))
}

/** The least approval that would meet all of these: a rule that asks for more than its annotations say is not met. */
function supposedApproval(digest: string, needed: readonly ApprovalRequirement[]): ApprovalFacts {
  return {
    digest,
    count: Math.max(1, ...needed.map(({ quorum }) => quorum)),
    groups: [...new Set(needed.flatMap(({ groups }) => groups))].sort(),
  }
}

function both(a: PolicyVerdict, b: PolicyVerdict): PolicyVerdict {
  if (STRICTNESS[a.outcome] !== STRICTNESS[b.outcome]) return stricter(a, b)
  if (a.outcome === 'needs_approval') return stricter(a, b)
  const determining = [...new Set([...a.determining, ...b.determining])].sort()
  return { ...a, determining, reasons: [`permitted by ${determining.join(', ')}`] }
}

const NOTHING = { determining: [], reasons: [], requires: [], nearest: [] } as const

export function denied(reasons: readonly string[]): PolicyVerdict {
  return { ...NOTHING, outcome: 'deny', reasons }
}

export function failed(reason: string): PolicyVerdict {
  return { ...denied([`the policy engine failed: ${reason}`]), failed: true }
}

function refused(set: CompiledSet, request: PolicyRequest, one: One, by: readonly string[]): PolicyVerdict {
  if (by.length > 0) return { ...denied([`forbidden by ${by.join(', ')}`]), determining: by }
  const nearest = nearestMisses(set, request, { ...one, approval: undefined })
  return { ...denied(['no policy permits it']), nearest }
}

function worded({ policy, quorum, groups }: ApprovalRequirement): string {
  const whom = quorum === 1 ? 'one human' : `${quorum} humans`
  return `${policy}: ${whom}${groups.length === 0 ? '' : ` of ${groups.join(', ')}`} must approve`
}
