import type { Broker } from '../broker/broker.ts'
import { endTask } from '../broker/tasks/end-task.ts'
import type { TaskRow } from '../store/rows.ts'

/** Epoch ms between which the ledger is known to have taken writes without a break, and this process to have run. */
export type Writable = { since: number; until: number }

/**
 * Ends the tasks whose time is up: past the deadline, or silent for longer than agreed. Silence counts only
 * while the ledger took writes, so an outage of ours ends nobody's work, not even one that falls into this look.
 *
 * @returns whether there may be more: it ends a batch of each and no more.
 */
export async function endOverdue(broker: Broker, writable: Writable): Promise<boolean> {
  const now = await broker.ledger.now()
  const { endBatch } = broker.limits
  const expired = await broker.ledger.read.tasksPastDeadline(now, endBatch)
  // It may be extended, or heard from, between the look and the lock.
  const deadline = {
    ...{ actor: 'broker', detail: 'deadline' },
    onlyIf: (task: TaskRow, at: number) => task.deadline <= at,
  }
  await Promise.all(expired.map(id => endTask(broker, id, 'expired', deadline)))
  const lapsed =
    now > writable.until ? [] : await broker.ledger.read.tasksLapsed(now, writable.since, endBatch)
  const silence = {
    ...{ actor: 'broker', detail: 'no heartbeat' },
    onlyIf: (task: TaskRow, at: number) =>
      at <= writable.until && task.heartbeat_due !== null && task.heartbeat_due <= at,
  }
  await Promise.all(lapsed.map(id => endTask(broker, id, 'lapsed', silence)))
  return expired.length === endBatch || lapsed.length === endBatch
}
