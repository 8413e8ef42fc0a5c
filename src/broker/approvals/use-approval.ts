/**
 * At the mint: what humans agreed to must be what is about to be minted, to the letter, and policy is judged
 * again with their votes. One approval is good for as many mints as it says and no more.
 */
import { lacking } from '../../policy/approvers.ts'
import type { ApprovalRequirement } from '../../policy/facts.ts'
import type { Bounds } from '../../policy/judge-ask.ts'
import type { ApprovalRow, AskRow, DecisionRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { decide } from '../decisions/decide.ts'
import type { Judged, JudgedAsk } from '../decisions/judged.ts'
import { demandAllowed } from '../decisions/record-decision.ts'
import { readDocument } from './approval-document.ts'
import { approvalOver } from './approval-over.ts'
import { agreedBy, approvalFacts, verifiedVotes } from './approval-votes.ts'
import { ApprovalPending, askAgain, wishOf } from './ask-approval.ts'
import type { ApprovalDrifted } from './spend-approval.ts'
import { verifiedApproval } from './verified-approvals.ts'

export type Approving = {
  task: TaskRow
  above: readonly TaskRow[]
  ask: AskRow
  about: Judged
  asked: JudgedAsk
  bounds: Bounds
  /** What policy demands of this ask as things are. */
  requires: readonly ApprovalRequirement[]
}

/**
 * The approval that this ask may be minted under, and what was decided with its votes.
 *
 * @throws BrokerError `approval_pending` where humans are still (or again) to be asked, `approval_over`, `ask_denied`
 */
export async function approvalFor(
  broker: Broker,
  it: Approving,
): Promise<{ approval: ApprovalRow; decision: DecisionRow }> {
  // 1. Who was asked last, and what came of it.
  const row = await broker.ledger.read.approvalOf(it.ask.id)
  if (row === undefined) throw await again(broker, it, undefined, 'policy asks for approval now')
  verifiedApproval(broker, row)
  if (row.state === 'pending') throw new ApprovalPending(broker, row)
  if (row.state !== 'approved') throw approvalOver(row)
  if (row.minted >= row.mints)
    throw new BrokerError('approval_over', `the approval ${row.id} is used up; ask anew for more`)

  // 2. Whoever agreed must be enough for what policy demands now.
  const votes = agreedBy(await verifiedVotes(broker, row))
  if (lacking(it.requires, votes).length > 0)
    throw await again(broker, it, row, 'policy asks for more approval than it did')

  // 3. Policy again, with their votes.
  const asked = { ...it.asked, approval: approvalFacts(row, votes) }
  const verdict = await decide(broker, it.about, [asked], it.bounds)
  await demandAllowed(broker, verdict.row, 'the task may not have what was asked')
  if (verdict.row.outcome === 'allow') return { approval: row, decision: verdict.row }
  const requires = [...it.requires, ...verdict.asks.flatMap(one => one.requires)]
  throw await again(broker, { ...it, requires: distinct(requires) }, row, 'policy asks for more approval')
}

/** @returns what to throw */
export function drifted(
  broker: Broker,
  it: Pick<Approving, 'task' | 'above' | 'ask'>,
  { row, changed: what }: ApprovalDrifted,
): Promise<ApprovalPending> {
  const requires = JSON.parse(row.requires) as ApprovalRequirement[]
  return again(broker, { ...it, requires }, row, `not what was approved: ${what.join(', ')} changed`)
}

async function again(
  broker: Broker,
  { task, above, ask, requires }: Pick<Approving, 'task' | 'above' | 'ask' | 'requires'>,
  earlier: ApprovalRow | undefined,
  why: string,
): Promise<ApprovalPending> {
  const wish =
    earlier === undefined
      ? wishOf({})
      : { justification: readDocument(earlier.document).untrusted.justification, mints: earlier.mints }
  return askAgain(broker, { task, above, ask, requires, earlier, wish, why })
}

function distinct(requires: readonly ApprovalRequirement[]): ApprovalRequirement[] {
  return [...new Map(requires.map(one => [JSON.stringify(one), one])).values()]
}
