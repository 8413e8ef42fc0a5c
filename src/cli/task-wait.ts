/** `mayfly task wait`: until humans have answered for everything that the task asked for. */
import { z } from 'zod'
import { waitCall } from '../client/task-calls.ts'
import { taskAnswer } from './answers.ts'
import { createClient } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { printable, printJson, showAsk } from './print.ts'
import { readTaskFile, type TaskFileOption, taskFilePath } from './task-file.ts'
import { CommandError, EXIT, sleep, type Terminal } from './terminal.ts'

const waitedTask = taskAnswer.extend({
  asks: z.array(
    z.looseObject({
      ...{ id: z.string(), state: z.string() },
      authorization_details: z.looseObject({ type: z.string() }),
    }),
  ),
})

export type WaitOptions = TaskFileOption & { seconds: number; json?: boolean }

/** Exit codes: 0 all granted, 3 something is not, 4 still waiting when the time was up. */
export async function taskWait(
  terminal: Terminal,
  id: string | undefined,
  options: WaitOptions,
): Promise<void> {
  const held = await readTaskFile(terminal, taskFilePath(terminal, id, options), id)
  const client = createClient(terminal, held.broker)
  const end = terminal.now() + options.seconds * 1_000
  for (;;) {
    const left = Math.max(0, Math.ceil((end - terminal.now()) / 1_000))
    const task = await client.call(waitCall(held, left), waitedTask)
    const waits = task.asks.some(ask => ask.state === 'pending')
    if (waits && terminal.now() < end) {
      // The broker may have had no place for one more that waits.
      await sleep(terminal, CLI_LIMITS.waitPollMs)
      continue
    }
    if (options.json) printJson(terminal, task)
    else
      for (const ask of task.asks)
        terminal.out(`${ask.id} ${printable(ask.state)}: ${showAsk(ask.authorization_details)}\n`)
    if (waits) throw new CommandError('humans have not answered yet', { exitCode: EXIT.unavailable })
    if (task.state === 'active' && task.asks.every(ask => ask.state === 'granted')) return
    throw new CommandError('not everything was granted', { exitCode: EXIT.denied })
  }
}
