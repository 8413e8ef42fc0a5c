/**
 * Policy for one ask, judged for the agent and for each agent above it: delegation gives nobody what policy keeps
 * from whoever delegates. Each is judged as what it was proven to be, for as long as it has left.
 */
import type { AskFacts } from '../../../issuers/issuer.ts'
import { NO_OBJECTION, type PolicyRequest, type PolicyVerdict } from '../../policy/facts.ts'
import { judgeNarrowOnly, stricter } from '../../policy/narrow-only.ts'
import type { Broker } from '../broker.ts'
import { type Judged, type JudgedAsk, judgedTask } from './judged.ts'
import { policyRequest } from './policy-request.ts'

export type JudgedLine = {
  /** Of the agent itself. Absent where nothing looks at it. */
  request?: PolicyRequest
  own: PolicyVerdict
  /** The strictest of the line. */
  verdict: PolicyVerdict
}

export async function judgeLine(
  broker: Broker,
  about: Judged,
  asked: JudgedAsk,
  facts: AskFacts,
): Promise<JudgedLine> {
  if (isUnjudged(broker)) return UNJUDGED
  const request = await policyRequest(broker, about, asked, facts)
  const own = await judgeNarrowOnly(broker.policy, request, about.declared)
  let verdict = own
  for (const above of judgedAbove(broker, about)) {
    if (verdict.outcome === 'deny') break
    const its = await policyRequest(broker, above, asked, facts)
    const said = await judgeNarrowOnly(broker.policy, its, about.declared)
    const reasons = said.reasons.map(reason => `for ${above.agent} above: ${reason}`)
    verdict = stricter(verdict, { ...said, reasons })
  }
  return { request, own, verdict }
}

/** Whether no policy is in force, and no candidate watches. */
export function isUnjudged({ policy, shadow }: Pick<Broker, 'policy' | 'shadow'>): boolean {
  return policy.hash() === 'none' && (shadow?.status().hash ?? null) === null
}

const UNJUDGED: JudgedLine = { own: NO_OBJECTION, verdict: NO_OBJECTION }

/** Each task above as decisions speak of it, nearest first; none where no policy is in force to be asked. */
export function judgedAbove({ policy }: Pick<Broker, 'policy'>, { line }: Pick<Judged, 'line'>): Judged[] {
  if (policy.hash() === 'none') return []
  return line.map((task, index) => judgedTask(task, line.slice(0, index))).reverse()
}
