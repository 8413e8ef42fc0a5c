/**
 * `mayfly mcp exec`: a command that has what the tasks at a socket were granted, and nothing set up beforehand. It
 * opens no task and ends none; what it hands to its command is good for as long as the credential.
 */
import { kindOf } from '../sidecar/ask-kind.ts'
import { connectSidecar, type Sidecar } from '../sidecar/call.ts'
import type { LocalAsk, LocalCredential, LocalTask } from '../sidecar/protocol.ts'
import { SIDECAR_VARIABLES } from '../sidecar/variables.ts'
import { childEnvironment, type GivenSecret, namesOf } from './child-environment.ts'
import { exitCodeOf } from './exec.ts'
import { watchSignals } from './exec-signals.ts'
import type { SocketOption } from './local-agent.ts'
import { asking } from './local-tasks.ts'
import { mcpSocket } from './mcp.ts'
import { note } from './print.ts'
import { CommandError, EXIT, type Terminal, usageError } from './terminal.ts'

type LocalSecret = LocalCredential['secret']

export type McpExecOptions = SocketOption & { handle?: string[] }

export async function mcpExec(
  terminal: Terminal,
  command: readonly string[],
  options: McpExecOptions,
): Promise<void> {
  const socket = mcpSocket(terminal, options)
  const sidecar = connectSidecar({ socket })
  const signals = watchSignals(terminal)
  try {
    const asks = chosen(await asking(() => sidecar.tasks()), options.handle)
    const env = await environment(terminal, sidecar, asks, socket)
    signals.throwIfAny()
    const [program = '', ...args] = command
    const child = terminal.run(program, args, env)
    signals.passTo(child)
    terminal.exitWith(exitCodeOf(terminal, program, await child.ended))
  } finally {
    signals.release()
  }
}

/** @throws CommandError where there is nothing to hand out */
function chosen(tasks: readonly LocalTask[], handles: readonly string[] | undefined): LocalAsk[] {
  const asks = tasks.filter(({ state }) => state === 'active').flatMap(task => task.asks)
  if (handles === undefined) {
    const granted = asks.filter(({ state }) => state === 'granted')
    if (granted.length > 0) return granted
    throw new CommandError('no task that is open here was granted anything: open one with open_task', {
      exitCode: EXIT.denied,
    })
  }
  return handles.map(handle => {
    const ask = asks.find(one => one.handle === handle)
    if (ask === undefined) throw usageError(`no task that is open here has the ask ${JSON.stringify(handle)}`)
    return ask
  })
}

/** git and this command's own children ask the server; what reads nothing but variables has those. */
async function environment(
  terminal: Terminal,
  sidecar: Sidecar,
  asks: readonly LocalAsk[],
  socket: string,
): Promise<Record<string, string>> {
  const bare = asks.map(one => given(one, ''))
  const place = { variables: { [SIDECAR_VARIABLES.socket]: socket }, aws: undefined }
  const single = asks.filter(one => !isRivalled(terminal, one, asks))
  const secrets = await Promise.all(single.map(async one => given(one, await secretOf(sidecar, one))))
  return {
    ...childEnvironment(terminal, bare, 'handles', place),
    ...childEnvironment({ ...terminal, env: {} }, secrets, 'variables', undefined),
  }
}

function given({ handle, authorization_details: ask, provider }: LocalAsk, secret: LocalSecret): GivenSecret {
  return { ask, handle, provider, credential: { reveal: () => secret } }
}

async function secretOf(sidecar: Sidecar, { handle }: LocalAsk): Promise<LocalSecret> {
  return (await asking(() => sidecar.credential({ handle }))).secret
}

/** Whether its variables could be another's as well; that is said once. */
function isRivalled(terminal: Terminal, ask: LocalAsk, all: readonly LocalAsk[]): boolean {
  const [name = ''] = namesOf(ask.authorization_details)
  const rivals = all.filter(one => namesOf(one.authorization_details)[0] === name)
  if (rivals.length > 1 && rivals[0] === ask) {
    const besides = kindOf(ask.authorization_details) === 'github' ? ' (git needs none)' : ''
    const handles = rivals.map(one => one.handle).join(', ')
    note(
      terminal,
      `${name} could be of several asks, and is not set${besides}: name one with --handle, of ${handles}`,
    )
  }
  return rivals.length > 1
}
