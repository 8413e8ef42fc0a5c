/** What webhooks are to be told is owed from the transaction on that makes it so. */
import type { LedgerWrite } from '../../store/ledger.ts'
import type { ApprovalRow, DeliveryRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'

/** Of an approval. */
export function tellWebhooks(
  broker: Pick<Broker, 'newId' | 'outbox'>,
  tx: LedgerWrite,
  event: 'approval.requested' | 'approval.decided',
  { id, task }: Pick<ApprovalRow, 'id' | 'task'>,
): Promise<void> {
  return oweMessages(broker, tx, broker.outbox.webhooks, { event, task, about: id })
}

/** Of ends, without a receipt: how they ended is known, and what they held is on its way. The broker's own are nobody's. */
export async function tellOfEnds(
  broker: Pick<Broker, 'newId' | 'outbox'>,
  tx: LedgerWrite,
  ended: readonly TaskRow[],
): Promise<void> {
  for (const { id: task, system } of ended)
    if (system === 0)
      await oweMessages(broker, tx, broker.outbox.ending, { event: 'task.ending', task, about: null })
}

/** One to each of these webhooks. */
export async function oweMessages(
  broker: Pick<Broker, 'newId'>,
  tx: LedgerWrite,
  webhooks: readonly string[],
  of: Pick<DeliveryRow, 'event' | 'task' | 'about'>,
): Promise<void> {
  for (const webhook of webhooks)
    await tx.insertDelivery({
      ...of,
      ...{ id: broker.newId('dlv'), webhook, state: 'due' },
      ...{ created_at: tx.now, due_at: tx.now, attempts: 0, last_error: null, done_at: null },
    })
}
