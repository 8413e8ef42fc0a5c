/** What humans are asked, their votes, and what they agreed to beforehand. Each change names the state it leaves. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { ApprovalRow, VoteRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { gather, pick, prepare, prepareList, type Run, type Transaction } from './prepare.ts'

export type ApprovalReads = Pick<
  LedgerRead,
  'approval' | 'approvalOf' | 'approvals' | 'votes' | 'waitingApprovals'
>
export type ApprovalWrites = Pick<
  LedgerWrite,
  | 'insertApproval'
  | 'lockApproval'
  | 'insertVote'
  | 'votesOf'
  | 'answerApproval'
  | 'withdrawApproval'
  | 'cancelApprovals'
  | 'expireApprovals'
  | 'spendApproval'
  | 'unspendApproval'
>

export function approvalReads(dialect: SqlDialect, run: Run): ApprovalReads {
  const { db } = dialect
  const approval = prepare((p: { id: string }) =>
    db.selectFrom('approvals').selectAll().where('id', '=', p.id),
  )
  const latest = prepare((p: { ask: string }) =>
    db
      .selectFrom('approvals')
      .selectAll()
      .where('ask', '=', p.ask)
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(sql.lit(1)),
  )
  const votes = votesQuery(dialect)
  const waiting = prepare((_: object) =>
    db
      .selectFrom('approvals')
      .select(eb => [
        eb.fn.countAll<number>().as('count'),
        eb.fn.min<number | null>('created_at').as('oldest'),
      ])
      .where('state', '=', sql.lit('pending')),
  )
  return {
    approval: async id => (await run(approval({ id }))).rows[0],
    approvalOf: async ask => (await run(latest({ ask }))).rows[0],
    votes: async id => (await run(votes({ id }))).rows,
    waitingApprovals: async () => (await run(waiting({}))).rows[0]!,
    async approvals({ state, agent, task }, { limit, after }) {
      let query = db.selectFrom('approvals').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc')
      if (state === 'pending') query = query.where('state', '=', sql.lit('pending'))
      else if (state !== undefined) query = query.where('state', '=', state)
      if (agent !== undefined) query = query.where('agent', '=', agent)
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

export function approvalWrites(dialect: SqlDialect): (tx: Transaction) => ApprovalWrites {
  const votes = votesQuery(dialect)
  const { insert, lockOne, insertVote, answer, withdraw, cancel, expire, spend, unspend } = queries(dialect)
  return ({ run, send, now }) => ({
    async insertApproval(row) {
      await send(insert(row))
    },
    async lockApproval(id) {
      return (await run(lockOne({ id }))).rows[0]
    },
    async insertVote(row) {
      return (await run(insertVote(row))).changed > 0
    },
    async votesOf(id) {
      return (await run(votes({ id }))).rows
    },
    async answerApproval(id, { state, by, reason }) {
      return (await run(answer({ id, state, by, reason, now }))).changed > 0
    },
    async withdrawApproval(id, { by, reason }) {
      return (await run(withdraw({ id, by, reason, now }))).changed > 0
    },
    async cancelApprovals(tasks, { by, reason }) {
      return gather(run, cancel(tasks, { by, reason, now }))
    },
    async expireApprovals(limit) {
      const { rows } = await run(expire({ limit, now }))
      return rows.sort((a, b) => a.expires_at - b.expires_at || (a.id < b.id ? -1 : 1))
    },
    async spendApproval(id, digest) {
      return (await run(spend({ id, digest }))).changed > 0
    },
    async unspendApproval(id) {
      await run(unspend({ id }))
    },
  })
}

function votesQuery({ db }: SqlDialect) {
  return prepare((p: { id: string }) =>
    db
      .selectFrom('approval_votes')
      .selectAll()
      .where('approval', '=', p.id)
      .orderBy('voted_at')
      .orderBy('human'),
  )
}

function queries({ db, lock, skipLocked }: SqlDialect) {
  type Closing = { by: string; reason: string | null; now: number }
  const closed = (p: Closing) => ({ closed_at: p.now, closed_by: p.by, reason: p.reason })
  return {
    insert: prepare((row: ApprovalRow) => db.insertInto('approvals').values(pick(row, columns.approvals))),
    lockOne: prepare((p: { id: string }) =>
      lock(db.selectFrom('approvals').selectAll().where('id', '=', p.id), 'update', 'approvals'),
    ),
    insertVote: prepare((row: VoteRow) =>
      db
        .insertInto('approval_votes')
        .values(pick(row, columns.approval_votes))
        .onConflict(conflict => conflict.columns(['approval', 'human']).doNothing()),
    ),
    answer: prepare((p: Closing & { id: string; state: 'approved' | 'denied' }) =>
      db
        .updateTable('approvals')
        .set({ state: p.state, ...closed(p) })
        .where('id', '=', p.id)
        .where('state', '=', sql.lit('pending'))
        .where('expires_at', '>', p.now),
    ),
    withdraw: prepare((p: Closing & { id: string }) =>
      db
        .updateTable('approvals')
        .set({ state: 'cancelled', ...closed(p) })
        .where('id', '=', p.id)
        .where('state', 'in', ['pending', 'approved']),
    ),
    cancel: prepareList((tasks, p: Closing) =>
      db
        .updateTable('approvals')
        .set({ state: 'cancelled', ...closed(p) })
        .where('task', 'in', tasks)
        .where('state', '=', sql.lit('pending'))
        .returningAll(),
    ),
    expire: prepare((p: { limit: number; now: number }) =>
      db
        .with('due', cte =>
          skipLocked(
            cte
              .selectFrom('approvals')
              .select('id')
              .where('state', '=', sql.lit('pending'))
              .where('expires_at', '<=', p.now)
              .orderBy('expires_at')
              .limit(p.limit),
          ),
        )
        .updateTable('approvals')
        .set({ state: 'expired', closed_at: p.now, closed_by: 'broker', reason: null })
        .where('id', 'in', eb => eb.selectFrom('due').select('due.id'))
        .where('state', '=', sql.lit('pending'))
        .returningAll(),
    ),
    spend: prepare((p: { id: string; digest: string }) =>
      db
        .updateTable('approvals')
        .set(eb => ({ minted: eb('minted', '+', sql.lit(1)) }))
        .where('id', '=', p.id)
        .where('digest', '=', p.digest)
        .where('state', '=', sql.lit('approved'))
        .whereRef('minted', '<', 'mints'),
    ),
    unspend: prepare((p: { id: string }) =>
      db
        .updateTable('approvals')
        .set(eb => ({ minted: eb('minted', '-', sql.lit(1)) }))
        .where('id', '=', p.id)
        .where('minted', '>', sql.lit(0)),
    ),
  }
}
