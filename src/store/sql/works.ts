/** The CI work that active tasks belong to, and the memory of its ends. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite, NewWorkEnd } from '../ledger.ts'
import type { TaskWorkRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type WorkReads = Pick<LedgerRead, 'taskWork' | 'activeRuns' | 'tasksOfWork' | 'pendingWorkEnds'>
export type WorkWrites = Pick<LedgerWrite, 'bindTask' | 'enterWork' | 'endWork' | 'settleWork'>

export function workReads({ db }: SqlDialect, run: Run): WorkReads {
  const ofTask = prepare((p: { task: string }) =>
    db.selectFrom('task_works').selectAll().where('task', '=', p.task),
  )
  const runs = prepare((p: { after: string; limit: number }) =>
    db
      .selectFrom('task_works')
      .select(['run_key', sql<string>`min(work)`.as('work')])
      .where('run_key', '>', p.after)
      .groupBy('run_key')
      .orderBy('run_key')
      .limit(p.limit),
  )
  const ofRun = prepare((p: { runKey: string; limit: number }) =>
    db
      .selectFrom('task_works')
      .selectAll()
      .where('run_key', '=', p.runKey)
      .orderBy('job')
      .orderBy('task')
      .limit(p.limit),
  )
  const ofJob = prepare((p: { runKey: string; job: string; limit: number }) =>
    db
      .selectFrom('task_works')
      .selectAll()
      .where('run_key', '=', p.runKey)
      .where('job', '=', p.job)
      .where('lifetime', '<>', sql.lit('run'))
      .orderBy('task')
      .limit(p.limit),
  )
  const pending = prepare((p: { limit: number }) =>
    db.selectFrom('works').selectAll().where('pending', '=', sql.lit(1)).orderBy('ended_at').limit(p.limit),
  )
  return {
    taskWork: async task => (await run(ofTask({ task }))).rows[0],
    activeRuns: async (after, limit) => (await run(runs({ after, limit }))).rows,
    async tasksOfWork(runKey, job, limit) {
      return (await run(job === '' ? ofRun({ runKey, limit }) : ofJob({ runKey, job, limit }))).rows
    },
    pendingWorkEnds: async limit => (await run(pending({ limit }))).rows,
  }
}

export function workWrites(dialect: SqlDialect): (tx: Transaction) => WorkWrites {
  const { bind, enter, end, settle } = workQueries(dialect)
  return ({ run, send, now }) => ({
    async bindTask(row) {
      await send(bind(row))
    },
    async enterWork(runKey, jobs, until) {
      // In one order everywhere, the run before its jobs: two that enter the same work wait, and never cross.
      for (const job of jobs.toSorted()) {
        const [row] = (await run(enter({ runKey, job, until }))).rows
        if (row !== undefined && row.end !== null) return row
      }
      return undefined
    },
    async endWork(row) {
      return (await run(end({ ...row, now }))).changed > 0
    },
    async settleWork(runKey, job) {
      return (await run(settle({ runKey, job }))).changed > 0
    },
  })
}

function workQueries({ db }: SqlDialect) {
  return {
    bind: prepare((row: TaskWorkRow) => db.insertInto('task_works').values(pick(row, columns.task_works))),
    /** An update even where the row is there: it is the lock that an end of the same work waits for. */
    enter: prepare((p: { runKey: string; job: string; until: number }) =>
      db
        .insertInto('works')
        .values({
          run_key: p.runKey,
          job: p.job,
          end: null,
          source: null,
          ended_at: null,
          pending: sql.lit(0),
          until: p.until,
        })
        .onConflict(conflict => conflict.columns(['run_key', 'job']).doUpdateSet(later))
        .returningAll(),
    ),
    end: prepare((p: NewWorkEnd & { now: number }) =>
      db
        .insertInto('works')
        .values({
          run_key: p.run_key,
          job: p.job,
          end: p.end,
          source: p.source,
          ended_at: p.now,
          pending: sql.lit(1),
          until: p.until,
        })
        .onConflict(conflict =>
          conflict
            .columns(['run_key', 'job'])
            .doUpdateSet(eb => ({
              ...later,
              end: eb.ref('excluded.end'),
              source: eb.ref('excluded.source'),
              ended_at: eb.ref('excluded.ended_at'),
              pending: sql.lit(1),
            }))
            .where('works.end', 'is', null),
        ),
    ),
    settle: prepare((p: { runKey: string; job: string }) =>
      db
        .updateTable('works')
        .set({ pending: sql.lit(0) })
        .where('run_key', '=', p.runKey)
        .where('job', '=', p.job)
        .where('pending', '=', sql.lit(1)),
    ),
  }
}

const later = {
  until: sql<number>`case when works."until" < excluded."until" then excluded."until" else works."until" end`,
}
