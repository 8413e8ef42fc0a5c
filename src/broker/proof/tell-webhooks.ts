import type { LedgerWrite } from '../../store/ledger.ts'
import type { ApprovalRow, DeliveryRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'

/** Owes every webhook a message about an approval, from this transaction on. */
export async function tellWebhooks(
  broker: Pick<Broker, 'newId' | 'outbox'>,
  tx: LedgerWrite,
  event: Exclude<DeliveryRow['event'], 'task.ended'>,
  { id, task }: Pick<ApprovalRow, 'id' | 'task'>,
): Promise<void> {
  for (const webhook of broker.outbox.webhooks)
    await tx.insertDelivery({
      ...{ id: broker.newId('dlv'), webhook, event, task, about: id, state: 'due' },
      ...{ created_at: tx.now, due_at: tx.now, attempts: 0, last_error: null, done_at: null },
    })
}
