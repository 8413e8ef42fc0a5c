/** `mayfly agent`: tasks of a laptop or a pod, held by one process and offered to others as handles. */
import { isAbsolute, join, resolve } from 'node:path'
import type { Task } from '../client/task.ts'
import { SocketUnusable } from '../sidecar/claim-socket.ts'
import { said } from '../sidecar/keeper.ts'
import type { OpenBody } from '../sidecar/protocol.ts'
import { Refusal } from '../sidecar/refusal.ts'
import { type RunningSidecar, startSidecar } from '../sidecar/sidecar.ts'
import { SIDECAR_VARIABLES } from '../sidecar/variables.ts'
import { readAsks } from './ask.ts'
import { type BrokerOption, brokerUrl, given } from './broker-url.ts'
import { told } from './client.ts'
import type { EvidenceOption } from './evidence.ts'
import { CLI_LIMITS } from './limits.ts'
import { connectOpener, openLiveTask } from './live-task.ts'
import type { PostureOption } from './posture.ts'
import { count, note, printable, shortTime } from './print.ts'
import { checkSignIn, type Opener, type SignInOption } from './sign-in-work.ts'
import type { TaskOptions } from './task-session.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

export type SocketOption = { socket?: string }

export type AgentOptions = BrokerOption &
  EvidenceOption &
  PostureOption &
  SignInOption &
  TaskOptions &
  SocketOption & { ask?: string[]; askJson?: string[]; boundKey?: boolean }

const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs until it is told to end, and ends every task that it holds then. */
export async function localAgent(terminal: Terminal, options: AgentOptions): Promise<void> {
  // 1. What can be refused without taking the socket.
  const url = brokerUrl(terminal, options)
  const asks = readAsks(options)
  if (options.evidenceFile === '-')
    throw usageError('evidence is wanted for each task: name a file that is kept fresh, not stdin')
  if (asks.length > 0 && options.purpose === undefined)
    throw usageError('say what the first task is for: --purpose "review of pull request 12"')
  checkSignIn(options)
  const path = socketPath(terminal, options)

  // 2. The socket, which is also how a second one is kept away.
  const watched = { ...terminal, fetch: sayOutages(terminal, url) }
  const ended = new AbortController()
  const mayfly = await connectOpener(watched, url, options, ended.signal)
  const open = (body: OpenBody) => openFor(terminal, mayfly, body, options)
  const ending = Promise.withResolvers<void>()
  const end = () => {
    ended.abort()
    ending.resolve()
  }
  const releases = ENDS.map(signal => terminal.onSignal(signal, end))
  const sidecar = await startOn(terminal, path, open)
  try {
    terminal.out(`${SIDECAR_VARIABLES.socket}=${path}\n`)
    note(terminal, `tasks are held at ${path}; end them all with SIGTERM`)

    // 3. The first task, where one is asked for, and whatever others ask for.
    if (asks.length > 0) await openFirst(sidecar, url, { asks, purpose: options.purpose ?? '' })
    await ending.promise
  } finally {
    // 4. Nobody is answered any more, and everything ends.
    const tasks = sidecar.keeper.active().map(({ task }) => task)
    await sidecar.close()
    await endAll(terminal, tasks, 'mayfly agent ended')
    for (const release of releases) release()
  }
}

async function startOn(
  terminal: Terminal,
  path: string,
  open: NonNullable<Parameters<typeof startSidecar>[1]['open']>,
): Promise<RunningSidecar> {
  const report = () => note(terminal, 'a request met a fault of the local server and was answered with 500')
  try {
    return await startSidecar(terminal, { socket: { path, claim: true }, loopback: true, open, report })
  } catch (error) {
    throw error instanceof SocketUnusable ? new CommandError(error.message, { cause: error }) : error
  }
}

/** @throws Refusal where there is no evidence; MayflyError */
export async function openFor(
  terminal: Terminal,
  mayfly: Opener,
  { asks, heartbeat_seconds, ...body }: OpenBody,
  options: AgentOptions,
): Promise<{ task: Task; purpose: string }> {
  const { ask: _ask, askJson: _askJson, ...ours } = options
  const wanted = {
    ...ours,
    ...said(body),
    heartbeatSeconds: heartbeat_seconds ?? options.heartbeatSeconds ?? CLI_LIMITS.heartbeatSeconds,
  }
  try {
    const task = await openLiveTask(
      terminal,
      mayfly,
      asks.map(one => ({ ...one })),
      wanted,
    )
    note(
      terminal,
      `task ${task.id} until ${shortTime(task.deadline.toISOString())}: ${printable(body.purpose)}`,
    )
    task.signal.addEventListener('abort', () => note(terminal, `task ${task.id} has ended`), { once: true })
    return { task, purpose: body.purpose }
  } catch (error) {
    throw error instanceof CommandError ? new Refusal('evidence_unavailable', error.message) : error
  }
}

async function openFirst({ keeper }: RunningSidecar, url: string, body: OpenBody): Promise<void> {
  try {
    await keeper.open(body)
  } catch (error) {
    throw error instanceof Refusal ? new CommandError(error.message, { cause: error }) : told(url, error)
  }
}

/** What cannot be ended now is told; it lapses, or reaches its deadline. */
export async function endAll(terminal: Terminal, tasks: readonly Task[], detail: string): Promise<void> {
  const ends = await Promise.allSettled(tasks.map(task => task.cancel({ detail })))
  for (const [index, end] of ends.entries())
    if (end.status === 'rejected')
      note(terminal, `task ${tasks[index]?.id} could not be ended now; it lapses or reaches its deadline`)
  note(terminal, `${count(ends.filter(({ status }) => status === 'fulfilled').length, 'task')} ended`)
}

/** Says once that the broker is gone, and once that it is back; who retries what is the client's. */
function sayOutages(terminal: Terminal, url: string): typeof fetch {
  let isGone = false
  return async (input, init) => {
    if (!String(input).startsWith(`${url}/`)) return terminal.fetch(input, init)
    try {
      const response = await terminal.fetch(input, init)
      if (isGone) note(terminal, `the broker at ${url} answers again`)
      isGone = false
      return response
    } catch (error) {
      if (!isGone && init?.signal?.aborted !== true)
        note(
          terminal,
          `the broker at ${url} does not answer. It is asked again; what is held is handed out while it is good,\n` +
            '  and a task whose heartbeats it misses lapses',
        )
      isGone = true
      throw error
    }
  }
}

/** `--socket`, or one that each user has. @throws CommandError (usage) */
export function socketPath({ env }: Pick<Terminal, 'env'>, { socket }: SocketOption): string {
  if (socket !== undefined) return resolve(socket)
  const runtime = given(env.XDG_RUNTIME_DIR)
  if (runtime !== undefined && isAbsolute(runtime)) return join(runtime, 'mayfly', 'agent.sock')
  const user = given(env.HOME)
  if (user === undefined)
    throw usageError('neither XDG_RUNTIME_DIR nor HOME is set: name the socket with --socket')
  return join(user, '.local', 'state', 'mayfly', 'agent.sock')
}
