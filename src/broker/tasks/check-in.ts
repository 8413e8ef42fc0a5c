/** A human looks after a task: where they are not heard from in time, it ends as lapsed. */
import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import { MINUTE_MS } from '../../limits.ts'
import type { Agent } from '../../policy/agent.ts'
import { owns } from '../../policy/approvers.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { CheckInRow, TaskRow } from '../../store/rows.ts'
import { ownersOf } from '../approvals/approval-votes.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { isOnBehalfOf } from '../people/human.ts'
import type { Operator } from '../people/operator.ts'
import { verifiedTask } from '../verified-rows.ts'
import { type EndOptions, endTask } from './end-task.ts'

/** With the task: the first is due one interval after it was opened. */
export async function requireCheckIns(
  { defaults: { checkIn } }: Pick<Broker, 'defaults'>,
  tx: LedgerWrite,
  agent: Agent,
  task: TaskRow,
): Promise<void> {
  const tier = checkIn?.tiers.includes(agent.risk_tier) ? checkIn.minutes : Number.POSITIVE_INFINITY
  const every = Math.min(agent.check_in_minutes ?? tier, tier) * MINUTE_MS
  if (!Number.isFinite(every)) return
  await tx.insertCheckIn({ task: task.id, every_ms: every, due_at: task.opened_at + every, last_by: null })
}

/** What a sign-in for a check-in is bound to, hex: it is good for this task, once, and for nothing else. */
export const checkInBinding = (task: string): string => canonicalDigest({ verb: 'check-in', task })

/**
 * Whoever looks after a task is somebody else than those whose affair it is: they own neither its agent nor one
 * above it, and it does not run on their behalf.
 *
 * @throws BrokerError `forbidden`
 */
export async function demandOutsider(broker: Broker, human: Operator, task: TaskRow): Promise<void> {
  if (isOnBehalfOf(verifiedTask(broker, task), human))
    throw new BrokerError('forbidden', 'it runs on your behalf: somebody else must look after it')
  const above = await broker.ledger.read.ancestors(task.id)
  if (owns(human, ownersOf(broker, [task, ...above])))
    throw new BrokerError('forbidden', 'you own the agent, or one above it: somebody else must look after it')
}

/** @param actor the human. @throws BrokerError `not_found`, `task_not_active` */
export async function checkIn(broker: Broker, actor: string, id: string): Promise<CheckInRow> {
  const task = await broker.ledger.read.task(id)
  if (task === undefined) throw new BrokerError('not_found', 'no such task')
  return broker.ledger.write(async tx => {
    const [standing] = (await tx.lockLineage(id, 'share')).slice(-1)
    if (standing?.state !== 'active') throw new BrokerError('task_not_active', 'the task has ended')
    const row = await tx.noteCheckIn(id, actor)
    if (row === undefined) throw new BrokerError('not_found', 'nobody is waited for with this task')
    await record(tx, 'task.checked_in', { actor, task: id, agent: task.agent }, { until: row.due_at })
    return row
  })
}

/** Ends those that nobody looked after. @returns whether there may be more */
export async function endUnattended(broker: Broker): Promise<boolean> {
  const { endBatch } = broker.limits
  const tasks = await broker.ledger.read.tasksUnattended(await broker.ledger.now(), endBatch)
  // Somebody may check in between the look and the lock.
  const end: EndOptions = {
    ...{ actor: 'broker', detail: 'no human checked in' },
    onlyIf: ({ id }, _now, tx) => tx.isUnattended(id),
  }
  await Promise.all(tasks.map(id => endTask(broker, id, 'lapsed', end)))
  return tasks.length === endBatch
}
