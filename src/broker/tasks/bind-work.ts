import type { Work } from '../../../attestors/attestor.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { Lifetime, TaskWorkRow, WorkRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { rejectEvidence } from './attest.ts'
import { runKey, WHOLE_RUN } from './work.ts'

/** Of which work the end is the end of a task. */
export type Binding = Omit<TaskWorkRow, 'task'>

/**
 * What binds a task to the CI work its evidence was issued to; undefined where the evidence names none.
 *
 * @throws BrokerError `request_invalid` where a lifetime was asked for that the evidence cannot say the end of;
 * `evidence_rejected` for evidence that could outlive the memory of its work's end.
 */
export async function bindingOf(
  broker: Broker,
  identity: Identity,
  wished: Lifetime | undefined,
): Promise<Binding | undefined> {
  const { work, replay, attestor } = identity
  if (work === undefined) {
    if (wished === undefined || wished === 'step') return undefined
    throw new BrokerError('request_invalid', `lifetime: the evidence names no ${wished} that could end`)
  }
  if (replay.until - (await broker.ledger.now()) > broker.limits.workEndKeptMs)
    throw await rejectEvidence(
      broker,
      attestor,
      'lifetime_too_long',
      'it would outlive what is known of its job',
    )
  return {
    run_key: runKey(work),
    job: work.job ?? WHOLE_RUN,
    lifetime: wished ?? 'job',
    work: JSON.stringify(work satisfies Work),
  }
}

/**
 * First of all in the transaction that opens: from here to its COMMIT no end of this work can come in between.
 *
 * @throws WorkOver where the job or its run has ended; it rolls the opening back.
 */
export async function enterWork(broker: Broker, tx: LedgerWrite, binding: Binding): Promise<void> {
  const ended = await tx.enterWork(
    binding.run_key,
    [...new Set([WHOLE_RUN, binding.job])],
    tx.now + broker.limits.workEndKeptMs,
  )
  if (ended !== undefined) throw new WorkOver(ended)
}

/** Evidence of work that is over. What is to be said of it is said once the transaction is rolled back. */
export class WorkOver extends Error {
  readonly ended: WorkRow
  constructor(ended: WorkRow) {
    super('the work has ended')
    this.ended = ended
  }
}

export function rejectOver(broker: Broker, attestor: string, { ended }: WorkOver): Promise<BrokerError> {
  const { run_key, job, end, source } = ended
  const what = job === WHOLE_RUN ? `run ${run_key}` : `job ${job} of run ${run_key}`
  return rejectEvidence(broker, attestor, 'work_ended', `${what} has ended: ${end}, by ${source}`)
}

/** For the audit row of the opening. */
export function worded(binding: Binding | undefined) {
  if (binding === undefined) return {}
  const { run_key: run, job, lifetime } = binding
  return { work: { run, job, lifetime } }
}
