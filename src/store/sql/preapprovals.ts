/** What humans agreed to beforehand, and which tasks they look after. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { CheckInRow, PreapprovalRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type PreapprovalReads = Pick<
  LedgerRead,
  'preapproval' | 'preapprovals' | 'checkIn' | 'tasksUnattended'
>
export type PreapprovalWrites = Pick<
  LedgerWrite,
  | 'insertPreapproval'
  | 'usePreapproval'
  | 'revokePreapproval'
  | 'insertCheckIn'
  | 'noteCheckIn'
  | 'isUnattended'
>

export function preapprovalReads({ db }: SqlDialect, run: Run): PreapprovalReads {
  const preapproval = prepare((p: { id: string }) =>
    db.selectFrom('preapprovals').selectAll().where('id', '=', p.id),
  )
  const checkIn = prepare((p: { task: string }) =>
    db.selectFrom('check_ins').selectAll().where('task', '=', p.task),
  )
  const unattended = prepare((p: { now: number; limit: number }) =>
    db
      .selectFrom('check_ins')
      .innerJoin('tasks', 'tasks.id', 'check_ins.task')
      .select('check_ins.task')
      .where('due_at', '<=', p.now)
      .where('tasks.state', '=', sql.lit('active'))
      .orderBy('due_at')
      .limit(p.limit),
  )
  return {
    preapproval: async id => (await run(preapproval({ id }))).rows[0],
    checkIn: async task => (await run(checkIn({ task }))).rows[0],
    tasksUnattended: async (now, limit) => (await run(unattended({ now, limit }))).rows.map(row => row.task),
    async preapprovals({ agent, open }, { limit, after }) {
      let query = db
        .selectFrom('preapprovals')
        .selectAll()
        .orderBy('created_at', 'desc')
        .orderBy('id', 'desc')
      if (agent !== undefined) query = query.where('agent', '=', agent)
      if (open !== undefined)
        query = query
          .where('expires_at', '>', open)
          .where('revoked_at', 'is', null)
          .whereRef('used', '<', 'uses')
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.created_at, row.id])
    },
  }
}

export function preapprovalWrites({ db }: SqlDialect): (tx: Transaction) => PreapprovalWrites {
  const insert = prepare((row: PreapprovalRow) =>
    db.insertInto('preapprovals').values(pick(row, columns.preapprovals)),
  )
  const use = prepare((p: { id: string; now: number }) =>
    db
      .updateTable('preapprovals')
      .set(eb => ({ used: eb('used', '+', sql.lit(1)) }))
      .where('id', '=', p.id)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', p.now)
      .whereRef('used', '<', 'uses'),
  )
  const revoke = prepare((p: { id: string; by: string; now: number }) =>
    db
      .updateTable('preapprovals')
      .set({ revoked_at: p.now, revoked_by: p.by })
      .where('id', '=', p.id)
      .where('revoked_at', 'is', null),
  )
  const insertCheckIn = prepare((row: CheckInRow) =>
    db.insertInto('check_ins').values(pick(row, columns.check_ins)),
  )
  const checkIn = prepare((p: { task: string; by: string; now: number }) =>
    db
      .updateTable('check_ins')
      .set({ due_at: sql<number>`cast(${p.now} as bigint) + every_ms`, last_by: p.by })
      .where('task', '=', p.task)
      .returningAll(),
  )
  const unattended = prepare((p: { task: string; now: number }) =>
    db.selectFrom('check_ins').select('task').where('task', '=', p.task).where('due_at', '<=', p.now),
  )
  return ({ run, now }) => ({
    async insertPreapproval(row) {
      await run(insert(row))
    },
    async usePreapproval(id) {
      return (await run(use({ id, now }))).changed > 0
    },
    async revokePreapproval(id, by) {
      return (await run(revoke({ id, by, now }))).changed > 0
    },
    async insertCheckIn(row) {
      await run(insertCheckIn(row))
    },
    async noteCheckIn(task, by) {
      return (await run(checkIn({ task, by, now }))).rows[0]
    },
    isUnattended: async task => (await run(unattended({ task, now }))).rows.length > 0,
  })
}
