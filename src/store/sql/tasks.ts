/** Tasks: opening, the locks on their line, ending and settling. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite, Lock } from '../ledger.ts'
import type { TaskEnd, TaskRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { gather, pick, prepare, prepareList, type Transaction } from './prepare.ts'

export type TaskWrites = Pick<
  LedgerWrite,
  | 'insertTask'
  | 'lockLineage'
  | 'lockDescent'
  | 'endTasks'
  | 'settleTasks'
  | 'markTokenUsed'
  | 'setHeartbeat'
  | 'extendTask'
>

export function taskWrites(dialect: SqlDialect): (tx: Transaction) => TaskWrites {
  const { insert, insertAncestor } = openingQueries(dialect)
  const { lineage, lockOne, descendants } = lockQueries(dialect)
  const { end, unbind, lockAll, settle, oweReceipts, markUsed, heartbeat, extend } = changeQueries(dialect)

  return ({ run, send, now }) => ({
    async insertTask(row, ancestors) {
      await send(insert(row))
      for (const [index, ancestor] of ancestors.entries()) {
        await send(insertAncestor({ task: row.id, ancestor, distance: ancestors.length - index }))
      }
    },
    async lockLineage(task, mode) {
      return (await run(lineage[mode]({ task }))).rows
    },
    async lockDescent(task) {
      // The task first, in a statement of its own: whoever opens a child holds a share of this row, so the
      // second statement, with a snapshot taken after the lock was granted, sees every child there will be.
      const [top] = (await run(lockOne({ task }))).rows
      return top === undefined ? [] : [top, ...(await run(descendants({ task }))).rows]
    },
    async endTasks(ids, how, detail) {
      const ended = await gather(run, end(ids, { how, detail, now }))
      const gone = ended.map(row => row.id)
      await gather(run, unbind(gone, {}))
      return inOrder(ids, ended, row => row.id)
    },
    async settleTasks(ids) {
      // Two closers of a task's last two leases: the lock makes the later one see what the earlier one did.
      if (dialect.rowLocks) await gather(run, lockAll(ids, {}))
      const settled = await gather(run, settle(ids, { now }))
      const owed = settled.filter(row => row.system === 0).map(row => row.id)
      for (const query of oweReceipts(owed, { now })) await send(query)
      return inOrder(ids, settled, row => row.id).map(row => row.id)
    },
    async markTokenUsed(task) {
      await run(markUsed({ task, now }))
    },
    async setHeartbeat(task, due) {
      return (await run(heartbeat({ task, due }))).changed > 0
    },
    async extendTask(task, deadline, mac) {
      return (await run(extend({ task, deadline, mac }))).changed > 0
    },
  })
}

function openingQueries({ db }: SqlDialect) {
  return {
    insert: prepare((row: TaskRow) => db.insertInto('tasks').values(pick(row, columns.tasks))),
    insertAncestor: prepare((row: { task: string; ancestor: string; distance: number }) =>
      db
        .insertInto('task_ancestors')
        .values({ task: row.task, ancestor: row.ancestor, distance: row.distance }),
    ),
  }
}

function lockQueries({ db, lock }: SqlDialect) {
  /** The task's line as (id, distance), itself at distance 0. */
  const line = (task: string) => sql<{ id: string; distance: number }>`
    (select ancestor as id, distance from task_ancestors where task = ${task}
     union all select id, 0 from tasks where id = ${task})`

  const lineage = (mode: Lock) =>
    prepare((p: { task: string }) =>
      lock(
        db
          .selectFrom('tasks')
          .innerJoin(line(p.task).as('line'), join => join.onRef('line.id', '=', 'tasks.id'))
          .selectAll('tasks')
          .orderBy('line.distance', 'desc'),
        mode,
        'tasks',
      ),
    )

  return {
    lineage: { share: lineage('share'), update: lineage('update') },
    lockOne: prepare((p: { task: string }) =>
      lock(db.selectFrom('tasks').selectAll().where('id', '=', p.task), 'update', 'tasks'),
    ),
    /** Nearest first: the order in which a line is locked everywhere. */
    descendants: prepare((p: { task: string }) =>
      lock(
        db
          .selectFrom('task_ancestors')
          .innerJoin('tasks', 'tasks.id', 'task_ancestors.task')
          .selectAll('tasks')
          .where('ancestor', '=', p.task)
          .orderBy('distance')
          .orderBy('tasks.id'),
        'update',
        'tasks',
      ),
    ),
  }
}

function changeQueries({ db, lock }: SqlDialect) {
  return {
    end: prepareList((ids, p: { how: TaskEnd; detail: string | null; now: number }) =>
      db
        .updateTable('tasks')
        .set({ state: 'ended', end: p.how, end_detail: p.detail, ended_at: p.now })
        .where('id', 'in', ids)
        .where('state', '=', 'active')
        .returningAll(),
    ),
    unbind: prepareList((ids, _: object) => db.deleteFrom('task_works').where('task', 'in', ids)),
    lockAll: prepareList((ids, _: object) =>
      lock(db.selectFrom('tasks').select('id').where('id', 'in', ids).orderBy('id'), 'update', 'tasks'),
    ),
    settle: prepareList((ids, p: { now: number }) =>
      db
        .updateTable('tasks')
        .set({ state: 'settled', settled_at: p.now })
        .where('id', 'in', ids)
        .where('state', '=', 'ended')
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('leases')
                .select('leases.id')
                .whereRef('leases.task', '=', 'tasks.id')
                .where('leases.state', '<>', sql.lit('closed')),
            ),
          ),
        )
        .returning(['id', 'system']),
    ),
    oweReceipts: prepareList((ids, p: { now: number }) =>
      db
        .insertInto('receipts')
        .columns(['task', 'due_at'])
        .expression(eb =>
          eb
            .selectFrom('tasks')
            .select(['id', sql<number>`cast(${p.now} as bigint)`.as('due_at')])
            .where('id', 'in', ids),
        ),
    ),
    markUsed: prepare((p: { task: string; now: number }) =>
      db
        .updateTable('tasks')
        .set({ token_used_at: p.now })
        .where('id', '=', p.task)
        .where('token_used_at', 'is', null),
    ),
    heartbeat: prepare((p: { task: string; due: number }) =>
      db
        .updateTable('tasks')
        .set(({ eb, ref, val }) => ({
          heartbeat_due: eb
            .case()
            .when('heartbeat_due', '>', p.due)
            .then(ref('heartbeat_due'))
            .else(val(p.due))
            .end(),
        }))
        .where('id', '=', p.task)
        .where('state', '=', 'active'),
    ),
    extend: prepare((p: { task: string; deadline: number; mac: string }) =>
      db
        .updateTable('tasks')
        .set({ deadline: p.deadline, mac: p.mac })
        .where('id', '=', p.task)
        .where('state', '=', 'active'),
    ),
  }
}

/** RETURNING promises no order; the caller's own is given back. */
function inOrder<Row>(ids: readonly string[], rows: Row[], id: (row: Row) => string): Row[] {
  if (rows.length < 2) return rows
  const place = new Map(ids.map((each, index) => [each, index]))
  return rows.sort((a, b) => (place.get(id(a)) ?? 0) - (place.get(id(b)) ?? 0))
}
