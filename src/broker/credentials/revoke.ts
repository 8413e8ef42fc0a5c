import { record } from '../../audit/record.ts'
import type { DecisionRow, LeaseRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { endedEarly } from '../budgets/credential-budget.ts'
import { findLease } from './find-lease.ts'

/**
 * Takes one credential back; the task goes on. False: it was on its way out, or out, already.
 * @param decision by which it may not stay, where somebody judged; kept with the change
 */
export async function revokeLease(
  broker: Broker,
  lease: LeaseRow,
  actor: string,
  decision?: DecisionRow,
): Promise<boolean> {
  const revoking = await broker.ledger.write(async tx => {
    const row = await tx.revokeLease(lease.id)
    if (row === undefined) return undefined
    if (decision !== undefined) await tx.insertDecision(decision)
    const subject = { actor, task: lease.task, agent: lease.agent, lease: lease.id }
    await record(tx, 'lease.revoking', subject, decision === undefined ? {} : { decision: decision.id })
    await tx.cutHolds(endedEarly([row]), tx.now)
    return row
  })
  broker.wake()
  return revoking !== undefined
}

/**
 * RFC 7009 for a holder: a credential of this task or of one below it. A token that is not the caller's to
 * revoke is left alone, and the answer is the same.
 */
export async function revokePresented(broker: Broker, holder: TaskRow, token: string): Promise<void> {
  const lease = await findLease(broker, token)
  if (lease === undefined) return
  if (lease.task !== holder.id) {
    const above = await broker.ledger.read.ancestors(lease.task)
    if (!above.some(task => task.id === holder.id)) return
  }
  await revokeLease(broker, lease, `task:${holder.id}`)
}
