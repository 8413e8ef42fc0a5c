/** Receipts and the deliveries that tell of them: queues whose work is claimed by moving its due time. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { DeliveryRow, ReceiptRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type ProofReads = Pick<
  LedgerRead,
  'receipt' | 'childReceipts' | 'nextReceiptDue' | 'delivery' | 'deliveries' | 'nextDeliveryDue'
>
export type ProofWrites = Pick<
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

export function proofReads(dialect: SqlDialect, run: Run): ProofReads {
  const { db } = dialect
  const receipt = prepare((p: { task: string }) =>
    db.selectFrom('receipts').selectAll().where('task', '=', p.task),
  )
  const children = prepare((p: { task: string }) =>
    db
      .selectFrom('task_ancestors')
      .leftJoin('receipts', 'receipts.task', 'task_ancestors.task')
      .select(['task_ancestors.task', 'receipts.sha256'])
      .where('ancestor', '=', p.task)
      .where('distance', '=', sql.lit(1))
      .orderBy('task_ancestors.task'),
  )
  const delivery = prepare((p: { id: string }) =>
    db.selectFrom('deliveries').selectAll().where('id', '=', p.id),
  )
  const nextReceipt = prepare((_: object) =>
    db
      .selectFrom('receipts')
      .select(eb => eb.fn.min<number | null>('due_at').as('at'))
      .where('due_at', 'is not', null),
  )
  const nextDelivery = prepare((p: { webhook: string }) =>
    db
      .selectFrom('deliveries')
      .select(eb => eb.fn.min<number | null>('due_at').as('at'))
      .where('webhook', '=', p.webhook)
      .where('state', '=', sql.lit('due')),
  )
  return {
    receipt: async task => (await run(receipt({ task }))).rows[0],
    childReceipts: async task => (await run(children({ task }))).rows,
    nextReceiptDue: async () => (await run(nextReceipt({}))).rows[0]?.at ?? null,
    delivery: async id => (await run(delivery({ id }))).rows[0],
    nextDeliveryDue: async webhook => (await run(nextDelivery({ webhook }))).rows[0]?.at ?? null,
    async deliveries({ state, task }, { limit, after }) {
      let query = db.selectFrom('deliveries').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc')
      if (state === 'dead') query = query.where('state', '=', sql.lit('dead'))
      else if (state !== undefined) query = query.where('state', '=', state)
      if (task !== undefined) query = query.where('task', '=', task)
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.created_at, row.id])
    },
  }
}

export function proofWrites(dialect: SqlDialect): (tx: Transaction) => ProofWrites {
  const receipts = receiptQueries(dialect)
  const deliveries = deliveryQueries(dialect)
  return ({ run, send, now }) => ({
    async claimReceipts(limit, claimedUntil) {
      const { rows } = await run(receipts.claim({ limit, claimedUntil, now }))
      return rows.map(row => row.task)
    },
    async deferReceipt(task, until) {
      return (await run(receipts.defer({ task, until }))).changed > 0
    },
    async childrenWithoutReceipt(task) {
      return (await run(receipts.waitingFor({ task }))).rows.map(row => row.task)
    },
    async signReceipt({ task, jws, sha256 }) {
      if ((await run(receipts.sign({ task, jws, sha256, now }))).changed === 0) return false
      await run(receipts.wakeParent({ task, now }))
      return true
    },
    async insertDelivery(row) {
      await send(deliveries.insert(row))
    },
    async claimDeliveries(webhook, limit, claimedUntil) {
      const { rows } = await run(deliveries.claim({ webhook, limit, claimedUntil, now }))
      return rows.sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1))
    },
    async retryDelivery(id, attempts, to) {
      const change = { id, attempts, dueAt: to.due_at, lastError: to.last_error }
      return (await run(deliveries.retry(change))).changed > 0
    },
    async finishDelivery(id, attempts, to) {
      const change = { id, attempts, state: to.state, lastError: to.last_error, now }
      return (await run(deliveries.finish(change))).changed > 0
    },
  })
}

function receiptQueries({ db, skipLocked }: SqlDialect) {
  const unsigned = () => db.updateTable('receipts').where('due_at', 'is not', null)
  return {
    claim: prepare((p: { limit: number; claimedUntil: number; now: number }) =>
      db
        .with('due', cte =>
          skipLocked(
            cte
              .selectFrom('receipts')
              .select('task')
              .where('due_at', '<=', p.now)
              .orderBy('due_at')
              .limit(p.limit),
          ),
        )
        .updateTable('receipts')
        .set({ due_at: p.claimedUntil })
        .where('task', 'in', eb => eb.selectFrom('due').select('due.task'))
        .returning('task'),
    ),
    defer: prepare((p: { task: string; until: number }) =>
      unsigned().set({ due_at: p.until }).where('task', '=', p.task),
    ),
    waitingFor: prepare((p: { task: string }) =>
      db
        .selectFrom('task_ancestors')
        .leftJoin('receipts', 'receipts.task', 'task_ancestors.task')
        .select('task_ancestors.task')
        .where('ancestor', '=', p.task)
        .where('distance', '=', sql.lit(1))
        .where('receipts.jws', 'is', null)
        .orderBy('task_ancestors.task'),
    ),
    sign: prepare((p: Pick<ReceiptRow, 'task' | 'jws' | 'sha256'> & { now: number }) =>
      unsigned()
        .set({ jws: p.jws, sha256: p.sha256, signed_at: p.now, due_at: null })
        .where('task', '=', p.task),
    ),
    wakeParent: prepare((p: { task: string; now: number }) =>
      unsigned()
        .set({ due_at: p.now })
        .where('task', '=', eb => eb.selectFrom('tasks').select('parent').where('id', '=', p.task)),
    ),
  }
}

function deliveryQueries({ db, skipLocked }: SqlDialect) {
  /** The number of the attempt is its fence. */
  const claimed = (p: { id: string; attempts: number }) =>
    db
      .updateTable('deliveries')
      .where('id', '=', p.id)
      .where('attempts', '=', p.attempts)
      .where('state', '=', sql.lit('due'))
  return {
    insert: prepare((row: DeliveryRow) => db.insertInto('deliveries').values(pick(row, columns.deliveries))),
    claim: prepare((p: { webhook: string; limit: number; claimedUntil: number; now: number }) =>
      db
        .with('due', cte =>
          skipLocked(
            cte
              .selectFrom('deliveries')
              .select('id')
              .where('webhook', '=', p.webhook)
              .where('state', '=', sql.lit('due'))
              .where('due_at', '<=', p.now)
              .orderBy('due_at')
              .limit(p.limit),
          ),
        )
        .updateTable('deliveries')
        .set(eb => ({ attempts: eb('attempts', '+', sql.lit(1)), due_at: p.claimedUntil }))
        .where('id', 'in', eb => eb.selectFrom('due').select('due.id'))
        .returningAll(),
    ),
    retry: prepare((p: { id: string; attempts: number; dueAt: number; lastError: string }) =>
      claimed(p).set({ due_at: p.dueAt, last_error: p.lastError }),
    ),
    finish: prepare(
      (p: {
        id: string
        attempts: number
        state: 'delivered' | 'dead'
        lastError: string | null
        now: number
      }) => claimed(p).set({ state: p.state, due_at: null, done_at: p.now, last_error: p.lastError }),
    ),
  }
}
