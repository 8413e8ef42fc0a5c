/** `mayfly agent tasks | open | end`: what a running `mayfly agent` (or `mayfly exec`) holds, from another process. */
import { connectSidecar, type Sidecar, SidecarError, sidecarAddress } from '../sidecar/call.ts'
import type { LocalTask } from '../sidecar/protocol.ts'
import { readAsks } from './ask.ts'
import { type SocketOption, socketPath } from './local-agent.ts'
import { printable, printJson, shortTime, showAsk } from './print.ts'
import { CommandError, EXIT, type Terminal } from './terminal.ts'

type LocalOption = SocketOption & { json?: boolean }

export async function localTasks(terminal: Terminal, options: LocalOption): Promise<void> {
  const tasks = await asking(() => sidecarOf(terminal, options).tasks())
  if (options.json) return printJson(terminal, { tasks })
  if (tasks.length === 0) terminal.out('no task is held\n')
  for (const task of tasks) terminal.out(`${describe(task).join('\n')}\n`)
}

export type LocalOpenOptions = LocalOption & {
  ask?: string[]
  askJson?: string[]
  agent?: string
  purpose: string
  minutes?: number
  justification?: string
  mints?: number
  heartbeatSeconds?: number
}

export async function localOpen(terminal: Terminal, options: LocalOpenOptions): Promise<void> {
  const { agent, purpose, minutes, justification, mints, heartbeatSeconds } = options
  const body = {
    ...{ purpose, asks: readAsks(options) },
    ...(agent !== undefined && { agent }),
    ...(minutes !== undefined && { minutes }),
    ...(justification !== undefined && { justification }),
    ...(mints !== undefined && { mints }),
    ...(heartbeatSeconds !== undefined && { heartbeat_seconds: heartbeatSeconds }),
  }
  const task = await asking(() => sidecarOf(terminal, options).open(body))
  if (options.json) return printJson(terminal, task)
  terminal.out(`${describe(task).join('\n')}\n`)
}

export async function localEnd(
  terminal: Terminal,
  task: string,
  { outcome, ...options }: LocalOption & { outcome: 'completed' | 'failed' | 'cancelled' },
): Promise<void> {
  const ended = await asking(() => sidecarOf(terminal, options).complete(task, { outcome }))
  if (options.json) return printJson(terminal, ended)
  terminal.out(`${ended.id} has ended; what it held is being revoked\n`)
}

/** Where `--socket` says, or the environment, or at the user's own socket. @throws CommandError, SidecarError */
function sidecarOf(terminal: Terminal, options: SocketOption): Sidecar {
  const named = options.socket === undefined ? sidecarAddress(terminal.env) : undefined
  return connectSidecar(named ?? { socket: socketPath(terminal, options) })
}

/** What the server refuses, for a person at a terminal. @throws CommandError */
export async function asking<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof SidecarError ? refusal(error) : error
  }
}

function refusal({ message, code, problem }: SidecarError): CommandError {
  const { decision, approvals = [], status } = problem ?? {}
  const lines = [
    printable(message),
    ...(decision === undefined
      ? []
      : [`Quote decision ${printable(decision)} to whoever answers for the agent.`]),
    ...(approvals.length === 0 ? [] : [`Humans are asked: ${printable(approvals.join(', '))}`]),
  ]
  return new CommandError(problem === undefined ? message : lines.join('\n  '), {
    exitCode: exitCodeOf(code, status),
  })
}

function exitCodeOf(code: string, status: number | undefined): number {
  if (status === 401 || status === 403) return EXIT.denied
  if (status === 503 || code === 'approval_pending' || code === 'sidecar_unreachable') return EXIT.unavailable
  return code === 'sidecar_address_invalid' ? EXIT.usage : EXIT.failure
}

function describe({ id, agent, purpose, state, deadline, asks }: LocalTask): string[] {
  return [
    `${id} ${state} until ${shortTime(deadline)}`,
    `  agent     ${printable(agent)}`,
    `  purpose   ${printable(purpose)}`,
    ...asks.map(ask => `  ask       ${ask.handle} ${ask.state}: ${showAsk(ask.authorization_details)}`),
  ]
}
