/**
 * A human answers. Whoever calls this has shown that the human signed in a moment ago for exactly this: the verb,
 * the approval and the digest of its document (see {@link bindingOf}).
 */
import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import { lacking, mayAnswer, owns } from '../../policy/approvers.ts'
import type { ApprovalRequirement } from '../../policy/facts.ts'
import type { ApprovalRow, VoteRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { isOnBehalfOf } from '../people/human.ts'
import { actorOf, type Operator } from '../people/operators.ts'
import { tellWebhooks } from '../proof/tell-webhooks.ts'
import { verifiedTask } from '../verified-rows.ts'
import { approvalDocument, changed, readDocument, sealed } from './approval-document.ts'
import { approvalOver } from './approval-over.ts'
import { agreedBy, ownersOf } from './approval-votes.ts'
import { askAgain } from './ask-approval.ts'
import { verifiedApproval, voteMac } from './verified-approvals.ts'

export type Verb = 'approve' | 'deny'

/** What a fresh sign-in is bound to, hex: it is good for this answer to this document and no other. */
export function bindingOf(verb: Verb, { id, digest }: Pick<ApprovalRow, 'id' | 'digest'>): string {
  return canonicalDigest({ verb, approval: id, document: digest })
}

/** @throws BrokerError `not_found`, `approval_over` */
export async function openApproval(broker: Broker, id: string): Promise<ApprovalRow> {
  const row = await broker.ledger.read.approval(id)
  if (row === undefined) throw new BrokerError('not_found', 'no such approval')
  verifiedApproval(broker, row)
  if (row.state !== 'pending') throw approvalOver(row)
  if (row.expires_at <= (await broker.ledger.now())) throw approvalOver({ ...row, state: 'expired' })
  return row
}

/**
 * One human agrees; with the last one that is needed the ask is granted.
 *
 * @throws BrokerError `forbidden`, `approved_already`, `approval_over`
 */
export async function approve(
  broker: Broker,
  human: Operator,
  id: string,
  reason: string | null,
): Promise<ApprovalRow> {
  const row = await openApproval(broker, id)
  const { requires, owner } = await demandEligible(broker, human, row)
  await demandCurrent(broker, row)
  const actor = actorOf(human)
  await broker.ledger.write(async tx => {
    const standing = await tx.lockApproval(id)
    if (standing?.state !== 'pending' || standing.expires_at <= tx.now) throw approvalOver(standing ?? row)
    const vote: Omit<VoteRow, 'mac'> = {
      ...{ approval: id, human: human.id, name: human.name, groups: JSON.stringify(human.groups) },
      ...{ owner: owner ? 1 : 0, voted_at: tx.now, preapproval: null },
    }
    if (!(await tx.insertVote({ ...vote, mac: voteMac(broker, vote, row.digest) })))
      throw new BrokerError('approved_already', 'you have agreed to this already; another human must')
    const subject = { actor, task: row.task, agent: row.agent }
    await record(tx, 'approval.agreed', subject, { approval: id, digest: row.digest, reason })
    if (lacking(requires, agreedBy(await tx.votesOf(id))).length > 0) return
    if (!(await tx.answerApproval(id, { state: 'approved', by: actor, reason }))) throw approvalOver(standing)
    await tx.moveAsk(row.ask, ['pending'], 'granted')
    await record(tx, 'approval.approved', subject, { approval: id, digest: row.digest })
    await tellWebhooks(broker, tx, 'approval.decided', row)
  })
  return told(broker, row)
}

/** One human who may answer says no, and it is over. @throws BrokerError `forbidden`, `approval_over` */
export async function deny(
  broker: Broker,
  human: Operator,
  id: string,
  reason: string,
): Promise<ApprovalRow> {
  const row = await openApproval(broker, id)
  await demandEligible(broker, human, row)
  const actor = actorOf(human)
  await broker.ledger.write(async tx => {
    if (!(await tx.answerApproval(id, { state: 'denied', by: actor, reason }))) throw approvalOver(row)
    await tx.moveAsk(row.ask, ['pending'], 'denied')
    const subject = { actor, task: row.task, agent: row.agent }
    await record(tx, 'approval.denied', subject, { approval: id, digest: row.digest, reason })
    await tellWebhooks(broker, tx, 'approval.decided', row)
  })
  return told(broker, row)
}

async function told(broker: Broker, { id, task }: ApprovalRow): Promise<ApprovalRow> {
  broker.waits.wake(task)
  broker.outbox.wake()
  const row = (await broker.ledger.read.approval(id))!
  if (row.state === 'approved' || row.state === 'denied')
    broker.metrics.answered(row.state, (row.closed_at ?? row.created_at) - row.created_at)
  return row
}

/** A human out of the groups, who neither owns the agent nor had it asked for. */
async function demandEligible(
  broker: Broker,
  human: Operator,
  row: ApprovalRow,
): Promise<{ requires: ApprovalRequirement[]; owner: boolean }> {
  if (human.kind !== 'human')
    throw new BrokerError('forbidden', 'an operator token approves nothing: a human signs in to do it')
  await refuseDelegator(broker, human, row)
  const { agent, line } = readDocument(row.document)
  const owner = owns(human, ownersOf(broker, [{ agent: agent.name }, ...line]))
  const requires = JSON.parse(row.requires) as ApprovalRequirement[]
  const may = mayAnswer({ human: human.id, groups: human.groups, owner }, requires)
  if (may) return { requires, owner }
  throw new BrokerError(
    'forbidden',
    owner
      ? 'you own the agent, or one above it: somebody else must answer'
      : 'you are in none of the groups that may answer',
  )
}

/** Whoever it is asked on behalf of agrees to nothing of it, whatever policy waives. @throws BrokerError `forbidden` */
async function refuseDelegator(broker: Broker, human: Operator, { task }: ApprovalRow): Promise<void> {
  const row = await broker.ledger.read.task(task)
  if (row === undefined || !isOnBehalfOf(verifiedTask(broker, row), human)) return
  throw new BrokerError('forbidden', 'it is asked on your behalf: somebody else must answer')
}

/** What would be minted now must still be what is shown. @throws BrokerError `approval_over` after asking again */
async function demandCurrent(broker: Broker, row: ApprovalRow): Promise<void> {
  const [task, above, ask] = await Promise.all([
    broker.ledger.read.task(row.task),
    broker.ledger.read.ancestors(row.task),
    broker.ledger.read.ask(row.ask),
  ])
  if (task === undefined || ask === undefined || task.state !== 'active') throw approvalOver(row)
  const before = readDocument(row.document)
  const wish = { justification: before.untrusted.justification, mints: row.mints }
  const subject = { task: verifiedTask(broker, task), above, ask, deadline: task.deadline }
  const now = approvalDocument(broker, subject, wish)
  if (sealed(now).digest === row.digest) return
  const why = `it is no longer what was asked: ${changed(before, now).join(', ')} changed`
  const requires = JSON.parse(row.requires) as ApprovalRequirement[]
  const again = await askAgain(broker, { task, above, ask, requires, earlier: row, wish, why })
  throw new BrokerError('approval_over', again.message)
}
