/** `mayfly task wait`: until humans have answered for everything that the task asked for. */
import { createClient } from './client.ts'
import { printable, printJson, showAsk } from './print.ts'
import { readTaskFile, type TaskFileOption, taskFilePath } from './task-file.ts'
import { isPending, untilAnswered } from './task-session.ts'
import { CommandError, EXIT, type Terminal } from './terminal.ts'

export type WaitOptions = TaskFileOption & { seconds: number; json?: boolean }

/** Exit codes: 0 all granted, 3 something is not, 4 still waiting when the time was up. */
export async function taskWait(
  terminal: Terminal,
  id: string | undefined,
  options: WaitOptions,
): Promise<void> {
  const held = await readTaskFile(terminal, taskFilePath(terminal, id, options), id)
  const task = await untilAnswered(terminal, createClient(terminal, held.broker), held, options.seconds)
  if (options.json) printJson(terminal, task)
  else
    for (const ask of task.asks)
      terminal.out(`${ask.id} ${printable(ask.state)}: ${showAsk(ask.authorization_details)}\n`)
  if (task.asks.some(isPending))
    throw new CommandError('humans have not answered yet', { exitCode: EXIT.unavailable })
  if (task.state === 'active' && task.asks.every(ask => ask.state === 'granted')) return
  throw new CommandError('not everything was granted', { exitCode: EXIT.denied })
}
