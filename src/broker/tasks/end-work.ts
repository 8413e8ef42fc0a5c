import type { WorkEnd } from '../../../issuers/shared/work.ts'
import type { WorkRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { endTask } from './end-task.ts'
import { runKey, WHOLE_RUN } from './work.ts'

/** Who may tell of an end. */
export type EndSource = 'github-webhook' | 'github-poll'

/**
 * A provider's word that a job or a whole run is over: remembered first, for as long as evidence of it could
 * live, and then the tasks that belong to it end. Nothing else can come of it: a notice opens, extends and
 * widens nothing. Told again, or late, or twice at once, it changes nothing.
 *
 * @returns how many tasks it ended, at most one batch; what is left, and what a crash leaves, is done by
 * {@link sweepWorkEnds}.
 */
export async function endWork(broker: Broker, end: WorkEnd, source: EndSource): Promise<number> {
  const { job = WHOLE_RUN, outcome } = end
  const row = { run_key: runKey(end), job, end: outcome, source }
  const now = await broker.ledger.now()
  const until = now + broker.limits.workEndKeptMs
  // Told before, and perhaps not carried out to its end: the sweep has it.
  if (!(await broker.ledger.write(tx => tx.endWork({ ...row, until })))) return 0
  return applyEnd(broker, row, end.said)
}

/** Ends what earlier notices left to end. @returns how many tasks ended. */
export async function sweepWorkEnds(broker: Broker): Promise<number> {
  let ended = 0
  for (const row of await broker.ledger.read.pendingWorkEnds(broker.limits.endBatch))
    ended += await applyEnd(broker, row, undefined)
  return ended
}

async function applyEnd(
  broker: Broker,
  { run_key, job, end, source }: Pick<WorkRow, 'run_key' | 'job' | 'end' | 'source'>,
  said: string | undefined,
): Promise<number> {
  const { endBatch } = broker.limits
  const reached = await broker.ledger.read.tasksOfWork(run_key, job, endBatch)
  const what = job === WHOLE_RUN ? 'its run' : `its job ${job}`
  const detail = `${what} has ended${said === undefined ? '' : `: ${said}`}`
  // An end always has an outcome; the column is empty only for work that was entered and goes on.
  const ends = reached.map(({ task }) =>
    endTask(broker, task, end ?? 'cancelled', { actor: `${source}`, detail }),
  )
  const done = await Promise.allSettled(ends)
  for (const one of done) if (one.status === 'rejected') throw one.reason
  if (reached.length < endBatch) await broker.ledger.write(tx => tx.settleWork(run_key, job))
  return reached.length
}
