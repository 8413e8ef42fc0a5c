/** Agents, tasks and the CI work they belong to: the write side of the contract, over rows. */
import type { LedgerWrite } from '../../../src/store/ledger.ts'
import type { AgentStanding, TaskRow, WorkRow } from '../../../src/store/rows.ts'
import type { StatementIo } from './transaction.ts'

type TaskWrites = Pick<
  LedgerWrite,
  | 'putAgent'
  | 'lockAgent'
  | 'shareAgent'
  | 'moveAgent'
  | 'certifyAgent'
  | 'insertTask'
  | 'lockLineage'
  | 'lockDescent'
  | 'endTasks'
  | 'settleTasks'
  | 'markTokenUsed'
  | 'setHeartbeat'
  | 'extendTask'
  | 'bindTask'
  | 'enterWork'
  | 'endWork'
  | 'settleWork'
>

export function taskWrites(io: StatementIo): TaskWrites {
  const { now, statement } = io
  return {
    ...agentWrites(io),
    ...workWrites(io),
    insertTask: (row, ancestors) =>
      statement('insertTask', async () => {
        if (row.token_hash !== null) await io.lock('tasks.token_hash', row.token_hash, 'update')
        await io.insert('tasks', row.id, row)
        if (ancestors.length > 0)
          await io.insert('lines', row.id, { task: row.id, ancestors: [...ancestors] })
      }),
    lockLineage: (task, mode) =>
      statement('lockLineage', () =>
        io.lockRows('tasks', [...(io.get('lines', task)?.ancestors ?? []), task], mode),
      ),
    async lockDescent(task) {
      const [top] = await statement('lockDescent', () => io.lockRows('tasks', [task], 'update'))
      if (top === undefined) return []
      const below = await statement('lockDescent', () =>
        io.lockRows('tasks', descendants(io, task), 'update'),
      )
      return [top, ...below]
    },
    async endTasks(ids, how, detail) {
      const change = { state: 'ended', end: how, end_detail: detail, ended_at: now } as const
      const isActive = (row: TaskRow) => row.state === 'active'
      const ended = await statement('endTasks', () => io.update('tasks', isActive, () => change, ids))
      const gone = new Set(ended.map(row => row.id))
      await statement('endTasks', async () => {
        for (const [key] of io.scan('task_works', row => gone.has(row.task))) {
          await io.lock('task_works', key, 'update')
          io.set('task_works', key, undefined)
        }
      })
      return ended
    },
    async settleTasks(ids) {
      await statement('settleTasks', () => io.lockRows('tasks', ids.toSorted(), 'update'))
      return statement('settleTasks', async () => {
        const open = new Set(io.scan('leases', row => row.state !== 'closed').map(([, row]) => row.task))
        const isOver = (row: TaskRow) => row.state === 'ended' && !open.has(row.id)
        const settled = await io.update(
          'tasks',
          isOver,
          () => ({ state: 'settled', settled_at: now }) as const,
          ids,
        )
        for (const { id, system } of settled) {
          const owed = { task: id, due_at: now, jws: null, sha256: null, signed_at: null }
          if (system === 0) await io.insert('receipts', id, owed)
        }
        return settled.map(row => row.id)
      })
    },
    markTokenUsed: task =>
      statement('markTokenUsed', async () => {
        await io.update(
          'tasks',
          row => row.token_used_at === null,
          () => ({ token_used_at: now }),
          [task],
        )
      }),
    setHeartbeat: (task, due) =>
      changeActive(io, task, row => ({ heartbeat_due: Math.max(due, row.heartbeat_due ?? 0) })),
    extendTask: (task, deadline, mac) => changeActive(io, task, () => ({ deadline, mac })),
  }
}

function changeActive(
  io: StatementIo,
  task: string,
  change: (row: TaskRow) => Partial<TaskRow>,
): Promise<boolean> {
  const isActive = (row: TaskRow) => row.state === 'active'
  return io.statement(
    'changeActive',
    async () => (await io.update('tasks', isActive, change, [task])).length > 0,
  )
}

/** Nearest first: the order in which a line is locked everywhere. */
function descendants(io: StatementIo, task: string): string[] {
  return io
    .scan('lines', line => line.ancestors.includes(task))
    .map(([id, { ancestors }]) => ({ id, distance: ancestors.length - ancestors.indexOf(task) }))
    .sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id)
}

/** How an agent stands of which nothing was said yet. */
const neverMoved: AgentStanding = {
  ...{ standing: 'active', standing_cause: null, standing_reason: null, standing_by: null },
  ...{ standing_at: null, standing_run: null, certified_build: null, certified_until: null },
  ...{ certified_by: null, certified_at: null, certified_mac: null },
}

function agentWrites(
  io: StatementIo,
): Pick<LedgerWrite, 'putAgent' | 'lockAgent' | 'shareAgent' | 'moveAgent' | 'certifyAgent'> {
  return {
    putAgent: row =>
      io.statement('putAgent', async () => {
        await io.lock('agents', row.name, 'update')
        const { name, digest, document, status, updated_at, mac } = row
        const declared = { name, digest, document, status, updated_at, mac }
        io.set('agents', name, { ...(io.get('agents', name) ?? neverMoved), ...declared })
      }),
    moveAgent: (name, from, to) =>
      io.statement('moveAgent', async () => {
        const { standing, standing_cause, standing_reason, standing_by, standing_run } = to
        const moved = { standing, standing_cause, standing_reason, standing_by, standing_run }
        const change = () => ({ ...moved, standing_at: io.now })
        return (await io.update('agents', row => row.standing === from, change, [name])).length > 0
      }),
    certifyAgent: (name, to) =>
      io.statement('certifyAgent', async () => {
        const { certified_build, certified_until, certified_by, certified_mac } = to
        const certified = { certified_build, certified_until, certified_by, certified_mac }
        const change = () => ({ ...certified, certified_at: io.now })
        await io.update('agents', () => true, change, [name])
      }),
    lockAgent: (name, mode) =>
      io.statement('lockAgent', async () => (await io.lockRows('agents', [name], mode))[0]),
    shareAgent: name =>
      io.statement('shareAgent', async () => {
        const [row] = await io.lockRows('agents', [name], 'share')
        if (row === undefined) return undefined
        const { digest, mac, status, standing } = row
        return { name, digest, mac, status, standing }
      }),
  }
}

function workWrites(io: StatementIo): Pick<LedgerWrite, 'bindTask' | 'enterWork' | 'endWork' | 'settleWork'> {
  const keyOf = (run: string, job: string) => `${run} ${job}`
  return {
    bindTask: row => io.statement('bindTask', () => io.insert('task_works', row.task, row)),
    async enterWork(runKey, jobs, until) {
      for (const job of jobs.toSorted()) {
        const row = await io.statement('enterWork', async () => {
          await io.lock('works', keyOf(runKey, job), 'update')
          const fresh: WorkRow = {
            run_key: runKey,
            job,
            end: null,
            source: null,
            ended_at: null,
            pending: 0,
            until,
          }
          const stands = io.get('works', keyOf(runKey, job)) ?? fresh
          const entered = { ...stands, until: Math.max(stands.until, until) }
          io.set('works', keyOf(runKey, job), entered)
          return { ...entered }
        })
        if (row.end !== null) return row
      }
      return undefined
    },
    endWork: ({ run_key, job, end, source, until }) =>
      io.statement('endWork', async () => {
        await io.lock('works', keyOf(run_key, job), 'update')
        const stands = io.get('works', keyOf(run_key, job))
        if (stands !== undefined && stands.end !== null) return false
        const ended: WorkRow = { run_key, job, end, source, ended_at: io.now, pending: 1, until }
        io.set('works', keyOf(run_key, job), { ...ended, until: Math.max(until, stands?.until ?? until) })
        return true
      }),
    settleWork: (runKey, job) =>
      io.statement('settleWork', async () => {
        const isPending = (row: WorkRow) => row.pending === 1
        return (
          (await io.update('works', isPending, () => ({ pending: 0 }) as const, [keyOf(runKey, job)]))
            .length > 0
        )
      }),
  }
}
