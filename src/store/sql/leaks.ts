/** What secrets are known again by, what was reported as leaked, and alerts that wait to be looked at. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { LeakRow, SecretAlertRow, SecretPrintRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

type LeakReads = Pick<
  LedgerRead,
  'leaseByPrint' | 'printsOf' | 'leak' | 'leaks' | 'alertsDue' | 'nextAlertDue'
>
type LeakWrites = Pick<
  LedgerWrite,
  'insertPrint' | 'noteLeak' | 'forgetOperatorToken' | 'noteAlert' | 'deferAlert' | 'closeAlert'
>

export function leakReads({ db }: SqlDialect, run: Run): LeakReads {
  const byPrint = prepare((p: { sha256: string }) =>
    db
      .selectFrom('secret_prints')
      .innerJoin('leases', 'leases.id', 'secret_prints.lease')
      .selectAll('leases')
      .where('secret_prints.sha256', '=', p.sha256)
      .orderBy('leases.intended_at', 'desc')
      .orderBy('leases.id', 'desc')
      .limit(sql.lit(1)),
  )
  const ofTask = prepare((p: { task: string }) =>
    db
      .selectFrom('leases')
      .innerJoin('secret_prints', 'secret_prints.lease', 'leases.id')
      .selectAll('secret_prints')
      .where('leases.task', '=', p.task)
      .orderBy('secret_prints.lease')
      .orderBy('secret_prints.part'),
  )
  const leak = prepare((p: { subject: string }) =>
    db.selectFrom('leaks').selectAll().where('subject', '=', p.subject),
  )
  const due = prepare((p: { now: number; limit: number }) =>
    db
      .selectFrom('secret_alerts')
      .selectAll()
      .where('due_at', '<=', p.now)
      .orderBy('due_at')
      .orderBy('id')
      .limit(p.limit),
  )
  const next = prepare((_: object) =>
    db.selectFrom('secret_alerts').select('due_at').orderBy('due_at').limit(sql.lit(1)),
  )
  return {
    leaseByPrint: async sha256 => (await run(byPrint({ sha256 }))).rows[0],
    printsOf: async task => (await run(ofTask({ task }))).rows,
    leak: async subject => (await run(leak({ subject }))).rows[0],
    async leaks({ limit, after }) {
      let query = db.selectFrom('leaks').selectAll().orderBy('reported_at', 'desc').orderBy('subject', 'desc')
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('reported_at', 'subject'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.reported_at, row.subject])
    },
    alertsDue: async (now, limit) => (await run(due({ now, limit }))).rows,
    nextAlertDue: async () => (await run(next({}))).rows[0]?.due_at ?? null,
  }
}

export function leakWrites({ db }: SqlDialect): (tx: Transaction) => LeakWrites {
  const insertPrint = prepare((row: SecretPrintRow) =>
    db.insertInto('secret_prints').values(pick(row, columns.secret_prints)),
  )
  const again = prepare((p: { subject: string; now: number }) =>
    db
      .updateTable('leaks')
      .set(eb => ({ times: eb('times', '+', sql.lit(1)), last_at: p.now }))
      .where('subject', '=', p.subject),
  )
  const insertLeak = prepare((row: LeakRow) =>
    db
      .insertInto('leaks')
      .values(pick(row, columns.leaks))
      .onConflict(conflict => conflict.column('subject').doNothing()),
  )
  const forgetOperator = prepare((p: { id: string }) =>
    db.deleteFrom('operator_tokens').where('id', '=', p.id),
  )
  const alertAgain = prepare((p: { id: string; now: number }) =>
    db
      .updateTable('secret_alerts')
      .set({ due_at: p.now, attempts: sql.lit(0) })
      .where('id', '=', p.id),
  )
  const waiting = prepare((_: object) =>
    db.selectFrom('secret_alerts').select(sql<number>`count(*)`.as('count')),
  )
  const insertAlert = prepare((row: SecretAlertRow) =>
    db
      .insertInto('secret_alerts')
      .values(pick(row, columns.secret_alerts))
      .onConflict(conflict => conflict.column('id').doNothing()),
  )
  const defer = prepare((p: Pick<SecretAlertRow, 'id' | 'due_at' | 'attempts' | 'last_error'>) =>
    db
      .updateTable('secret_alerts')
      .set({ due_at: p.due_at, attempts: p.attempts, last_error: p.last_error })
      .where('id', '=', p.id),
  )
  const close = prepare((p: { id: string }) => db.deleteFrom('secret_alerts').where('id', '=', p.id))

  return ({ run, send, now }) => ({
    async insertPrint(row) {
      await send(insertPrint(row))
    },
    async noteLeak(leak) {
      const { subject } = leak
      if ((await run(again({ subject, now }))).changed > 0) return false
      const row = { ...leak, reported_at: now, last_at: now, times: 1 }
      if ((await run(insertLeak(row))).changed > 0) return true
      await run(again({ subject, now }))
      return false
    },
    async forgetOperatorToken(id) {
      return (await run(forgetOperator({ id }))).changed > 0
    },
    async noteAlert(alert, most) {
      if ((await run(alertAgain({ id: alert.id, now }))).changed > 0) return true
      if (((await run(waiting({}))).rows[0]?.count ?? 0) >= most) return false
      await run(insertAlert({ ...alert, created_at: now, due_at: now, attempts: 0, last_error: null }))
      return true
    },
    async deferAlert(id, to) {
      return (await run(defer({ id, ...to }))).changed > 0
    },
    async closeAlert(id) {
      return (await run(close({ id }))).changed > 0
    },
  })
}
