/** Whether policy would let a live credential be minted now, as things are. */
import type { Issuer } from '../../../issuers/issuer.ts'
import type { ApprovalRequirement, Declared, PolicyVerdict } from '../../policy/facts.ts'
import { judgeNarrowOnly, stricter } from '../../policy/narrow-only.ts'
import type { LeaseRow, TaskRow } from '../../store/rows.ts'
import { verifiedApproval } from '../approvals/verified-approvals.ts'
import type { Broker } from '../broker.ts'
import { isUnaltered } from '../verified-rows.ts'
import { judgedAbove } from './judge-line.ts'
import { declaredIn, judgedTask } from './judged.ts'
import { policyRequest } from './policy-request.ts'

export type Live = { task: TaskRow; above: readonly TaskRow[]; lease: LeaseRow; issuer: Issuer }

/**
 * What was given out in the window is not held against what was given out before: the credential itself is among
 * it. Where policy demands approval, the one that it was minted under must have been for as much.
 *
 * @throws Error where nothing could be judged: what is live does not end by an outage
 */
export async function isAllowedStill(broker: Broker, { task, above, lease, issuer }: Live): Promise<boolean> {
  if (broker.policy.hash() === 'none') return true
  const ask: unknown = JSON.parse(lease.granted)
  const asked = { issuerName: lease.issuer, issuer, ask }
  const about = judgedTask(task, above)
  const declared = await declaredFor(broker, lease)
  let verdict: PolicyVerdict | undefined
  for (const one of [about, ...judgedAbove(broker, about)]) {
    if (!broker.agents().has(one.agent)) return false
    const request = await policyRequest(broker, one, asked, issuer.facts(ask), 'left out')
    const said = await judgeNarrowOnly(broker.policy, request, declared)
    if (said.failed) throw new Error('policy could not be judged')
    verdict = verdict === undefined ? said : stricter(verdict, said)
  }
  if (verdict === undefined) return false
  if (verdict.outcome !== 'needs_approval') return verdict.outcome === 'allow'
  const approval = await broker.ledger.read.approvalOf(lease.ask_id)
  if (approval === undefined || approval.minted === 0) return false
  if (!isUnaltered(() => verifiedApproval(broker, approval))) return false
  const met = JSON.parse(approval.requires) as ApprovalRequirement[]
  return verdict.requires.every(wanted => met.some(one => isAsMuch(one, wanted)))
}

/** What the caller said of itself when it asked for this. */
async function declaredFor({ ledger: { read } }: Broker, lease: LeaseRow): Promise<Declared | undefined> {
  const ask = await read.ask(lease.ask_id)
  const decision = ask === undefined ? undefined : await read.decision(ask.decision)
  return decision === undefined ? undefined : declaredIn(decision).declared
}

/** Whoever met the one has met the other. */
function isAsMuch(met: ApprovalRequirement, wanted: ApprovalRequirement): boolean {
  const outOf =
    wanted.groups.length === 0 ||
    (met.groups.length > 0 && met.groups.every(one => wanted.groups.includes(one)))
  return met.quorum >= wanted.quorum && outOf && (wanted.ownerMay || !met.ownerMay)
}
