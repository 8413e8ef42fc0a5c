import type { ReceiptRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

export type SignedReceipt = { task: string; jws: string; sha256: string; signedAt: number }

/** @throws BrokerError `receipt_not_ready`, which says what it waits for; `not_found` for the broker's own tasks. */
export async function readReceiptOf(broker: Broker, id: string): Promise<SignedReceipt> {
  const { read } = broker.ledger
  const task = await read.task(id)
  if (task === undefined) throw new BrokerError('not_found', 'no such task')
  if (task.system === 1)
    throw new BrokerError(
      'not_found',
      "the broker's own tasks have no receipt; their leases are in /v1/leases",
    )
  const row = await read.receipt(id)
  if (row !== undefined && isSigned(row))
    return { task: id, jws: row.jws, sha256: row.sha256, signedAt: row.signed_at }
  throw new BrokerError('receipt_not_ready', await whatItWaitsFor(broker, task), {
    retryAfterMs: broker.limits.receiptRetryAfterMs,
  })
}

type Signed = ReceiptRow & { jws: string; sha256: string; signed_at: number }
const isSigned = (row: ReceiptRow): row is Signed => row.jws !== null && row.sha256 !== null

async function whatItWaitsFor(broker: Broker, task: TaskRow): Promise<string> {
  if (task.state === 'active') return 'the task has not ended'
  if (task.state === 'ended') {
    const { items } = await broker.ledger.read.leases(
      { task: task.id, state: 'outstanding' },
      { limit: broker.limits.pageItems },
    )
    const over = items.map(lease => lease.provider_expires_at ?? lease.dead_by)
    const latest = over.length === 0 ? '' : `, at the latest at ${new Date(Math.max(...over)).toISOString()}`
    return `the task has ended, and waits for ${items.length} credentials to be dead${latest}`
  }
  const children = (await broker.ledger.read.childReceipts(task.id)).filter(child => child.sha256 === null)
  if (children.length === 0) return 'the task is settled, and its receipt is being written'
  return `the task is settled, and waits for the receipts of ${children.length} children`
}
