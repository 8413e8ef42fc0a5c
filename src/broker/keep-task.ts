import { record } from '../audit/record.ts'
import type { TaskRow } from '../store/rows.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { lockAgent } from './lock-mintable.ts'
import { taskMac, verifiedTask } from './verified-rows.ts'

/** Says that the work goes on. @returns when the next silence becomes a lapse (epoch ms), or null where none was agreed. */
export async function heartbeat(broker: Broker, task: TaskRow): Promise<number | null> {
  const { heartbeat_ms: interval } = task
  if (task.state !== 'active') throw ended()
  if (interval === null) return null
  return broker.ledger.write(async tx => {
    const due = tx.now + interval
    if (!(await tx.setHeartbeat(task.id, due))) throw ended()
    return due
  })
}

/**
 * More time, for a reason, judged again: the agent must still be registered as it was judged, and neither
 * its limit, its own expiry nor any ancestor's deadline may be passed.
 *
 * @returns the new deadline, epoch ms. Credentials already given keep theirs.
 */
export async function extendTask(
  broker: Broker,
  task: TaskRow,
  { minutes, reason }: { minutes: number; reason: string },
): Promise<number> {
  const agent = broker.agents().get(task.agent)
  if (agent === undefined) throw new BrokerError('ask_denied', 'the agent is no longer registered')
  return broker.ledger.write(async tx => {
    const line = await tx.lockLineage(task.id, 'update')
    const now = line.at(-1)
    if (now === undefined || line.some(one => one.state !== 'active' || one.deadline <= tx.now)) throw ended()
    await lockAgent(broker, tx, task.agent)
    verifiedTask(broker, now)
    const deadline = tx.now + minutes * MINUTE_MS
    const latest = Math.min(
      now.opened_at + agent.limits.task_minutes * MINUTE_MS,
      agent.expires_at,
      ...line.slice(0, -1).map(above => above.deadline),
    )
    if (deadline > latest) {
      const most = Math.max(0, Math.floor((latest - tx.now) / MINUTE_MS))
      throw new BrokerError('ask_denied', `the task may be given at most ${most} more minutes from now`)
    }
    if (deadline <= now.deadline) return now.deadline
    await tx.extendTask(task.id, deadline, taskMac(broker, { ...now, deadline }))
    await record(
      tx,
      'task.extended',
      { actor: `task:${task.id}`, task: task.id, agent: task.agent },
      { from: now.deadline, to: deadline, reason },
    )
    return deadline
  })
}

const MINUTE_MS = 60_000

function ended(): BrokerError {
  return new BrokerError('task_not_active', 'the task, or one above it, has ended')
}
