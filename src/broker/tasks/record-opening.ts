/** One transaction: the task, its asks, its decision, and what its evidence, ticket and budgets are used up by. */
import { record } from '../../audit/record.ts'
import type { Agent } from '../../policy/agent.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { AskRow, TaskRow } from '../../store/rows.ts'
import { type PlannedApproval, requestApprovals } from '../approvals/ask-approval.ts'
import type { Broker } from '../broker.ts'
import { takeTask } from '../budgets/budgets.ts'
import { demandGeneration, lockAgent, lockMintable } from '../lock-mintable.ts'
import { behalfOf } from '../people/on-behalf-of.ts'
import { refuseBlocked } from '../revocations/refuse-blocked.ts'
import { type Binding, enterWork, worded } from './bind-work.ts'
import { requireCheckIns } from './check-in.ts'
import { type Claim, claimBeside, claimEvidence, ticketRejected } from './claim-evidence.ts'
import type { Judged } from './judge-opening.ts'
import type { Parent } from './new-task.ts'
import { type Reuse, reuseEvidence } from './reused-evidence.ts'

export type Recorded = {
  task: TaskRow
  asks: AskRow[]
  approvals: readonly PlannedApproval[]
  judged: Judged
  parent: Parent | undefined
  binding: Binding | undefined
  claim: Claim | undefined
  beside: Claim | undefined
  reuse: Reuse | undefined
  agent: Agent
  cannotWait: true | undefined
}

/** Rolls the opening back: whoever opens cannot wait, and nobody had agreed to it beforehand. */
export class HumansNeeded extends Error {}

/** @returns the task as it stands, and the id of the one that it replaces, where its evidence came again after a lost answer. */
export async function recordOpening(
  broker: Broker,
  tx: LedgerWrite,
  it: Recorded,
): Promise<{ task: TaskRow; replaced: string | undefined }> {
  const { parent, binding } = it
  if (binding !== undefined) await enterWork(broker, tx, binding)
  const above = parent?.line.at(-1)
  const phases = it.judged.asks.map(({ issuer, ask }) => issuer.facts(ask).phase)
  if (above !== undefined) await lockMintable(broker, tx, above.id, phases)
  // Asked at once, and run in this order: what is read is read after the lock.
  const [, , blocks] = await Promise.all([
    lockAgent(broker, tx, it.task.agent, phases),
    demandGeneration(broker, tx),
    tx.blocks(),
  ])
  const claimed = await claimEvidence(broker, tx, it.claim, it.task)
  await claimBeside(broker, tx, it.beside, it.task, claimed)
  const { task, replaced: earlier = claimed } = await reuseEvidence(broker, tx, it.reuse, {
    task: it.task,
    phases,
  })
  if (parent !== undefined) await redeem(tx, parent, task, earlier)
  await tx.insertTask(task, parent === undefined ? [] : parent.line.map(row => row.id))
  if (binding !== undefined) await tx.bindTask({ ...binding, task: task.id })
  await tx.insertDecision({ ...it.judged.decision, task: task.id })
  for (const ask of it.asks) await tx.insertAsk(ask)
  const waiting = await requestApprovals(broker, tx, it.approvals)
  if (waiting > 0 && it.cannotWait) throw new HumansNeeded()
  await requireCheckIns(broker, tx, it.agent, task)
  await refuseBlocked(broker, tx, { task: task.id, agent: task.agent, asks: it.asks }, blocks)
  await record(
    tx,
    earlier === undefined ? 'task.opened' : 'task.reissued',
    { actor: `agent:${task.agent}`, task: task.id, agent: task.agent },
    {
      decision: it.judged.decision.id,
      ...worded(binding),
      ...behalfOf(task),
      ...(earlier === undefined ? {} : { instead_of: earlier }),
    },
  )
  // Late: every opening of this agent waits for these rows until the transaction is over.
  await takeTask(broker, tx, task)
  return { task, replaced: earlier }
}

/** Once; or again by the task that takes the place of the one that had redeemed it. */
async function redeem(
  tx: LedgerWrite,
  { ticket }: Parent,
  task: TaskRow,
  earlier: string | undefined,
): Promise<void> {
  if ((await tx.redeemTicket(ticket.token_hash, task.id)) !== undefined) return
  if (earlier === undefined || !(await tx.passTicket(ticket.id, { from: earlier, to: task.id })))
    throw ticketRejected()
}
