/** Humans as operators: their sessions, and changes that wait for a second one. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { ChangeRow, OperatorSessionRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type OperatorReads = Pick<
  LedgerRead,
  'operatorSession' | 'operatorSessionByToken' | 'operatorSessions' | 'change' | 'changes'
>
export type OperatorWrites = Pick<
  LedgerWrite,
  'insertOperatorSession' | 'endOperatorSession' | 'insertChange' | 'lockChange' | 'decideChange'
>

export function operatorReads({ db }: SqlDialect, run: Run): OperatorReads {
  const session = prepare((p: { id: string }) =>
    db.selectFrom('operator_sessions').selectAll().where('id', '=', p.id),
  )
  const byToken = prepare((p: { hash: string }) =>
    db.selectFrom('operator_sessions').selectAll().where('token_hash', '=', p.hash),
  )
  const change = prepare((p: { id: string }) => db.selectFrom('changes').selectAll().where('id', '=', p.id))
  return {
    operatorSession: async id => (await run(session({ id }))).rows[0],
    operatorSessionByToken: async hash => (await run(byToken({ hash }))).rows[0],
    async operatorSessions({ open }, { limit, after }) {
      let query = db
        .selectFrom('operator_sessions')
        .selectAll()
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
      if (open !== undefined) query = query.where('ended_at', 'is', null).where('expires_at', '>', open)
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.created_at, row.id])
    },
    change: async id => (await run(change({ id }))).rows[0],
    async changes({ state }, { limit, after }) {
      let query = db.selectFrom('changes').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc')
      if (state !== undefined) query = query.where('state', '=', state)
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.created_at, row.id])
    },
  }
}

export function operatorWrites({ db, lock }: SqlDialect): (tx: Transaction) => OperatorWrites {
  const insertSession = prepare((row: OperatorSessionRow) =>
    db.insertInto('operator_sessions').values(pick(row, columns.operator_sessions)),
  )
  const forget = prepare((p: { before: number }) =>
    db.deleteFrom('operator_sessions').where('expires_at', '<', p.before),
  )
  const endSession = prepare((p: { id: string; by: string; now: number }) =>
    db
      .updateTable('operator_sessions')
      .set({ ended_at: p.now, ended_by: p.by })
      .where('id', '=', p.id)
      .where('ended_at', 'is', null),
  )
  const insertChange = prepare((row: ChangeRow) =>
    db.insertInto('changes').values(pick(row, columns.changes)),
  )
  const lockChange = prepare((p: { id: string }) =>
    lock(db.selectFrom('changes').selectAll().where('id', '=', p.id), 'update', 'changes'),
  )
  const decide = prepare((p: Pick<ChangeRow, 'id' | 'state' | 'decided_by' | 'detail'> & { now: number }) =>
    db
      .updateTable('changes')
      .set({ state: p.state, decided_at: p.now, decided_by: p.decided_by, detail: p.detail, sealed: null })
      .where('id', '=', p.id)
      .where('state', '=', sql.lit('pending'))
      .where('expires_at', '>', p.now),
  )
  return ({ run, now }) => ({
    async insertOperatorSession(row, forgetBefore) {
      await run(forget({ before: forgetBefore }))
      await run(insertSession(row))
    },
    async endOperatorSession(id, by) {
      return (await run(endSession({ id, by, now }))).changed > 0
    },
    async insertChange(row) {
      await run(insertChange(row))
    },
    async lockChange(id) {
      return (await run(lockChange({ id }))).rows[0]
    },
    async decideChange(id, { state, by, detail }) {
      return (await run(decide({ id, state, decided_by: by, detail, now }))).changed > 0
    },
  })
}
