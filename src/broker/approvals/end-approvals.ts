/** Approvals that nobody needs to answer any more. */
import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { tellWebhooks } from '../proof/tell-webhooks.ts'

/**
 * With the tasks that asked: part of the transaction that ends them. What was given stays, and mints nothing.
 *
 * @returns how many
 */
export async function cancelApprovals(
  broker: Pick<Broker, 'newId' | 'outbox'>,
  tx: LedgerWrite,
  tasks: readonly string[],
  actor: string,
): Promise<number> {
  const gone = await tx.cancelApprovals(tasks, { by: actor, reason: 'the task ended' })
  for (const row of gone) {
    const { id, ask, task, agent } = row
    await tx.moveAsk(ask, ['pending'], 'cancelled')
    await record(tx, 'approval.cancelled', { actor, task, agent }, { approval: id })
    await tellWebhooks(broker, tx, 'approval.decided', row)
  }
  return gone.length
}

/** A batch of those that were not answered in time. @returns whether there may be more */
export async function expireApprovals(broker: Broker): Promise<boolean> {
  const { endBatch } = broker.limits
  const gone = await broker.ledger.write(async tx => {
    const rows = await tx.expireApprovals(endBatch)
    for (const row of rows) {
      await tx.moveAsk(row.ask, ['pending'], 'expired')
      const subject = { actor: 'broker', task: row.task, agent: row.agent }
      await record(tx, 'approval.expired', subject, { approval: row.id })
      await tellWebhooks(broker, tx, 'approval.decided', row)
    }
    return rows
  })
  for (const row of gone) {
    broker.waits.wake(row.task)
    broker.metrics.answered('expired', row.expires_at - row.created_at)
  }
  if (gone.length > 0) broker.outbox.wake()
  return gone.length === endBatch
}
