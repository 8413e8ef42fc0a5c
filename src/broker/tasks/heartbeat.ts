import type { Evidence } from '../../../attestors/attestor.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { HeldKeys } from '../bound/held-keys.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { proveAgain } from './posture.ts'

/**
 * Says that the work goes on.
 *
 * @param statements about where it runs
 * @param shown keys beside the one that the task is bound to
 * @returns when the next silence becomes a lapse (epoch ms), or null where none was agreed
 */
export async function heartbeat(
  broker: Broker,
  task: TaskRow,
  statements: readonly Evidence[] = [],
  shown: HeldKeys = {},
): Promise<number | null> {
  const { heartbeat_ms: interval } = task
  const ended = () => new BrokerError('task_not_active', 'the task, or one above it, has ended')
  if (task.state !== 'active') throw ended()
  await proveAgain(broker, task, statements, shown)
  if (interval === null) return null
  return broker.ledger.write(async tx => {
    const due = tx.now + interval
    if (!(await tx.setHeartbeat(task.id, due))) throw ended()
    return due
  })
}
