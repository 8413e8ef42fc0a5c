/** Tasks of CI jobs, against the CI: each ends with its job, soon after it, and none before. */
import type { TaskWorkRow } from '../../src/store/rows.ts'
import type { Change } from './ledger/tables.ts'
import { POLL_MS, SIM_LIMITS } from './limits.ts'
import type { Facts } from './oracle.ts'

/** The longest that a provider is left alone for what it said before. */
const RECOVERY_MS = SIM_LIMITS.retryAfterCapMs + 10_000
/** Of several brokers the one that takes the turn may be gone the next time. */
const LONGEST_UNSEEN_MS = 2 * POLL_MS + 10_000

export function* workChecks(facts: Facts, changes: readonly Change[]): Generator<string> {
  const { ci, tally, bindings, scheduler } = facts
  for (const change of changes) {
    if (change.table === 'task_works' && change.after !== undefined) bindings.set(change.key, change.after)
    if (change.table === 'works' && change.after?.ended_at != null && change.before?.ended_at == null) {
      const { run_key, job, end, source } = change.after
      tally.edge(`work ended, told by ${source}`)
      const truth = ci.endBy(run_key, job)
      if (truth === undefined || truth.overAt > scheduler.now())
        yield `${source} says that ${run_key} ${job} is over, and it goes on`
      else if (truth.outcome !== end)
        yield `${run_key} ${job} was ${truth.outcome}, and the ledger says ${end}`
    }
    if (change.table !== 'tasks' || change.before?.state !== 'active' || change.after === undefined) continue
    const { id, state, end_detail } = change.after
    const isOfWork = /^its (job|run)\b/.test(end_detail ?? '')
    if (state === 'active' || !isOfWork) continue
    tally.edge('task ended with its work')
    const binding = bindings.get(id)
    if (binding === undefined || endOf(facts, binding) > scheduler.now())
      yield `${id} ended (${end_detail}), and its work goes on`
  }
}

/** When the work that a task belongs to is over: it may be given the rest of the run. */
function endOf({ ci }: Facts, { run_key, job, lifetime }: TaskWorkRow): number {
  return ci.endBy(run_key, lifetime === 'run' ? '' : job)?.overAt ?? Number.POSITIVE_INFINITY
}

/** Once nothing fails any more, nobody works on for longer than it takes to ask. */
export function* outlivedWork(facts: Facts): Generator<string> {
  const { rows, scheduler, calmSince } = facts
  if (calmSince === undefined) return
  for (const binding of rows.task_works.values()) {
    const task = rows.tasks.get(binding.task)
    if (task?.state !== 'active') continue
    // A task may be opened for a job of which nobody knew yet that it was over.
    const from = Math.max(endOf(facts, binding), task.opened_at, calmSince + RECOVERY_MS)
    if (scheduler.now() > from + LONGEST_UNSEEN_MS)
      yield `${task.id} goes on, and its work (${binding.run_key} ${binding.job}) is over`
  }
}
