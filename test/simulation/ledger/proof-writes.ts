/** Receipts, deliveries and drills: queues whose work is claimed by moving its due time. */
import type { LedgerWrite } from '../../../src/store/ledger.ts'
import type { DeliveryRow, DrillRow, ReceiptRow } from '../../../src/store/rows.ts'
import type { StatementIo } from './transaction.ts'

type ProofWrites = Pick<
  LedgerWrite,
  | 'claimReceipts'
  | 'deferReceipt'
  | 'childrenWithoutReceipt'
  | 'signReceipt'
  | 'insertDelivery'
  | 'claimDeliveries'
  | 'retryDelivery'
  | 'finishDelivery'
>

export function proofWrites(io: StatementIo): ProofWrites {
  const { now, statement } = io
  const isUnsigned = (row: ReceiptRow) => row.due_at !== null
  const soonestFirst = <Row extends { due_at: number | null }>(rows: [string, Row][]) =>
    rows.sort(([, a], [, b]) => (a.due_at ?? 0) - (b.due_at ?? 0))
  return {
    claimReceipts: (limit, claimedUntil) =>
      statement('claimReceipts', async () => {
        const isDue = (row: ReceiptRow) => row.due_at !== null && row.due_at <= now
        const due = soonestFirst(io.scan('receipts', isDue)).map(([key]) => key)
        const keys = io.skipLocked('receipts', due, limit)
        return (await io.update('receipts', isDue, () => ({ due_at: claimedUntil }), keys)).map(
          row => row.task,
        )
      }),
    deferReceipt: (task, until) =>
      statement(
        'deferReceipt',
        async () => (await io.update('receipts', isUnsigned, () => ({ due_at: until }), [task])).length > 0,
      ),
    childrenWithoutReceipt: task =>
      statement('childrenWithoutReceipt', () => {
        const children = io.scan('lines', line => line.ancestors.at(-1) === task).map(([key]) => key)
        return children.filter(key => (io.get('receipts', key)?.jws ?? null) === null).sort()
      }),
    async signReceipt({ task, jws, sha256 }) {
      const signed = () => ({ jws, sha256, signed_at: now, due_at: null })
      const done = await statement('signReceipt', () => io.update('receipts', isUnsigned, signed, [task]))
      if (done.length === 0) return false
      const parent = io.get('tasks', task)?.parent ?? null
      const keys = parent === null ? [] : [parent]
      await statement('signReceipt', () => io.update('receipts', isUnsigned, () => ({ due_at: now }), keys))
      return true
    },
    insertDelivery: row => statement('insertDelivery', () => io.insert('deliveries', row.id, row)),
    claimDeliveries: (webhook, limit, claimedUntil) =>
      statement('claimDeliveries', async () => {
        const isDue = (row: DeliveryRow) =>
          row.webhook === webhook && row.state === 'due' && row.due_at !== null && row.due_at <= now
        const due = soonestFirst(io.scan('deliveries', isDue)).map(([key]) => key)
        const keys = io.skipLocked('deliveries', due, limit)
        const claim = (row: DeliveryRow) => ({ attempts: row.attempts + 1, due_at: claimedUntil })
        const claimed = await io.update('deliveries', isDue, claim, keys)
        return claimed.sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1))
      }),
    retryDelivery: (id, attempts, { due_at, last_error }) =>
      statement('retryDelivery', async () => {
        const isOurs = (row: DeliveryRow) => row.attempts === attempts && row.state === 'due'
        return (await io.update('deliveries', isOurs, () => ({ due_at, last_error }), [id])).length > 0
      }),
    finishDelivery: (id, attempts, { state, last_error }) =>
      statement('finishDelivery', async () => {
        const isOurs = (row: DeliveryRow) => row.attempts === attempts && row.state === 'due'
        const change = () => ({ state, due_at: null, done_at: now, last_error })
        return (await io.update('deliveries', isOurs, change, [id])).length > 0
      }),
  }
}

export function drillWrites(
  io: StatementIo,
): Pick<LedgerWrite, 'startDrill' | 'finishDrill' | 'abandonDrills'> {
  const { now, statement } = io
  const isRunning = (row: DrillRow) => row.state === 'running'
  return {
    startDrill: row =>
      statement('startDrill', async () => {
        // The unique key over running drills of one issuer.
        await io.lock('drills_running', row.issuer, 'update')
        if (io.scan('drills', one => isRunning(one) && one.issuer === row.issuer).length > 0) return false
        await io.insert('drills', row.id, row)
        return true
      }),
    finishDrill: (id, to) =>
      statement('finishDrill', async () => {
        const { state, task, lease, proof, mint_ms, revoke_ms, dead_ms, detail } = to
        const change = () => ({
          state,
          task,
          lease,
          proof,
          mint_ms,
          revoke_ms,
          dead_ms,
          detail,
          finished_at: now,
        })
        return (await io.update('drills', isRunning, change, [id])).length > 0
      }),
    abandonDrills: detail =>
      statement('abandonDrills', () => {
        const isPast = (row: DrillRow) => isRunning(row) && row.deadline <= now
        return io.update('drills', isPast, () => ({ state: 'failed', finished_at: now, detail }) as const)
      }),
  }
}
