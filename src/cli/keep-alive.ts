import { keepAlive as keepPulse, type Life } from '../client/keep-alive.ts'
import { heartbeatCall } from '../client/task-calls.ts'
import type { TaskAnswer } from './answers.ts'
import type { Client } from './client.ts'
import type { HeldTask } from './task-file.ts'
import type { Terminal } from './terminal.ts'

/** Says that the work of a task goes on, until it is stopped or the broker says that the task is over. */
export function keepAlive(
  terminal: Pick<Terminal, 'schedule' | 'now'>,
  client: Client,
  held: HeldTask,
  task: TaskAnswer,
): Life {
  const deadline = Date.parse(task.deadline)
  return keepPulse(terminal, {
    ...{ id: held.id, heartbeatSeconds: task.heartbeat_seconds },
    deadline: () => deadline,
    beat: options => client.request({ ...heartbeatCall(held), ...options }),
  })
}
