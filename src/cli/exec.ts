import { constants } from 'node:os'
import { basename } from 'node:path'
import type { Task } from '../client/task.ts'
import { kindOf } from '../sidecar/ask-kind.ts'
import type { Held } from '../sidecar/choose-ask.ts'
import { type AskDetail, readAsks } from './ask.ts'
import { type BrokerOption, brokerUrl } from './broker-url.ts'
import { checkVariables, childEnvironment, type EnvStyle, type Given } from './child-environment.ts'
import { type Client, createClient, told } from './client.ts'
import type { EvidenceOption } from './evidence.ts'
import { startLocalServer } from './exec-place.ts'
import { beginScan } from './exec-scan.ts'
import { type Signals, watchSignals } from './exec-signals.ts'
import { CLI_LIMITS } from './limits.ts'
import { connectMayfly, openLiveTask } from './live-task.ts'
import type { PostureOption } from './posture.ts'
import { note, printable, shortTime, showAsk } from './print.ts'
import { checkSignIn, makeOwnKey, openSignedIn, type SignInOption } from './sign-in-work.ts'
import type { HeldTask } from './task-file.ts'
import {
  abandon,
  demandAnswers,
  purposeOf,
  readTask,
  type TaskOptions,
  tellEnd,
  untilQuiet,
} from './task-session.ts'
import { type Child, type ChildEnd, CommandError, EXIT, type Terminal, usageError } from './terminal.ts'

export type ExecOptions = BrokerOption &
  EvidenceOption &
  PostureOption &
  SignInOption &
  TaskOptions & {
    ask?: string[]
    askJson?: string[]
    env?: EnvStyle
    awsTokenFile?: boolean
    scan?: boolean
    graceSeconds?: number
    waitSeconds?: number
    quiet?: boolean
  }

/** What every step after the opening needs. */
type Running = { terminal: Terminal; client: Client; task: Task; say: (text: string) => void }

/**
 * `mayfly exec`: a command that holds credentials for as long as it runs. The task ends with the command, and
 * everything it held is revoked; should this process be killed, the silence ends the task.
 */
export async function exec(
  terminal: Terminal,
  command: readonly string[],
  options: ExecOptions,
): Promise<void> {
  // 1. What can be refused without opening anything.
  const asks = readAsks(options)
  const style = options.env ?? 'auto'
  if (asks.length === 0)
    throw usageError('exec needs at least one --ask, or the command could run without it')
  checkVariables(asks, style)
  checkSignIn(options)
  const url = brokerUrl(terminal, options)
  const key = options.signIn === true ? await makeOwnKey(terminal, url) : undefined
  const client = createClient(key === undefined ? terminal : { ...terminal, fetch: key.fetch }, url)
  const say = options.quiet === true ? () => {} : (text: string) => note(terminal, text)

  const scan = options.scan === true ? await beginScan(terminal) : undefined

  // 2. A place where the command can ask, a task of its own, and its credentials.
  const signals = watchSignals(terminal)
  const forAws = asks.some(ask => kindOf(ask) === 'aws')
  const local = await startLocalServer(terminal, { listens: style !== 'variables', forAws })
  try {
    const wanted = toTask(terminal, command, options)
    const mayfly =
      key === undefined
        ? connectMayfly(terminal, url, options)
        : openSignedIn(terminal, url, { ...options, key, ended: signals.early })
    const task = await openLiveTask(terminal, mayfly, asks, wanted).catch((error: unknown) => {
      throw told(client.url, error)
    })
    const running = { terminal, client, task, say }
    const held = local.sidecar.keeper.add({ task, purpose: wanted.purpose })
    const given = await prepare(running, held, asks, { signals, options })
    say(`task ${task.id} until ${shortTime(task.deadline.toISOString())}`)
    for (const { ask, credential } of given)
      say(`  ${showAsk(ask)} until ${shortTime(credential.expiresAt.toISOString())}`)

    // 3. The command, for as long as the task lives. Whoever it leaves behind finds no server.
    const [program = '', ...args] = command
    const place = style === 'variables' ? undefined : await local.place(options.awsTokenFile === true)
    const child = terminal.run(program, args, childEnvironment(terminal, given, style, place))
    signals.passTo(child)
    const ended = await untilEnded(running, child, options)
    await local.close()
    const isClean = (await scan?.finish(keyOf(client, task))) ?? true
    const end = isClean ? ended : failed(ended)

    // 4. The end of the task, and of everything it held. A signal now ends the waiting, not the revoking.
    const waiting = new AbortController()
    signals.onNext(() => waiting.abort())
    await endFor(running, end, waiting.signal)
    terminal.exitWith(exitCodeOf(terminal, program, end))
  } finally {
    signals.release()
    await local.close()
  }
}

function toTask(terminal: Terminal, command: readonly string[], options: ExecOptions) {
  return {
    ...options,
    // Only the program's name: its arguments may hold what nobody should read in an audit log.
    purpose: purposeOf(terminal, options.purpose, `mayfly exec ${printable(basename(command[0] ?? ''))}`),
    heartbeatSeconds: options.heartbeatSeconds ?? CLI_LIMITS.heartbeatSeconds,
  }
}

/** Waits for humans, and mints: what cannot be had is told before anything is started. */
async function prepare(
  { terminal, client, task, say }: Running,
  held: Held,
  asks: readonly AskDetail[],
  { signals, options }: { signals: Signals; options: ExecOptions },
): Promise<Given[]> {
  const key = keyOf(client, task)
  try {
    signals.throwIfAny()
    if (task.asks.some(one => one.state === 'pending')) {
      const seconds = options.waitSeconds ?? CLI_LIMITS.answerSeconds
      await demandAnswers(terminal, client, key, { seconds, say, check: () => signals.throwIfAny() })
      await task.read()
    }
    const given = await Promise.all(asks.map((ask, index) => give(held, ask, index)))
    signals.throwIfAny()
    return given
  } catch (error) {
    await abandon(terminal, task.id, () => task.fail({ detail: 'the command was not started' }))
    throw told(client.url, error)
  }
}

/** The broker answers the asks of a task in the order in which they were made. */
async function give({ task, secrets }: Held, ask: AskDetail, index: number): Promise<Given> {
  const granted = task.asks[index]!
  const { id: handle, provider } = granted
  return { ask, handle, provider, credential: await secrets.take(granted) }
}

function keyOf({ url }: Client, { id, token }: Task): HeldTask {
  return { broker: url, id, token }
}

/** Of the command. It is stopped where its task ends first. */
async function untilEnded(
  { terminal, task }: Running,
  child: Child,
  { graceSeconds = CLI_LIMITS.graceSeconds }: ExecOptions,
): Promise<ChildEnd> {
  const { signal } = task
  const onOver = () => stop(terminal, child, `task ${task.id} has ended`, 1_000 * graceSeconds)
  if (signal.aborted) onOver()
  else signal.addEventListener('abort', onOver)
  const end = await child.ended
  signal.removeEventListener('abort', onOver)
  return end
}

/** A success that does not count as one. */
function failed(end: ChildEnd): ChildEnd {
  return end.how === 'exited' && end.code === 0 ? { how: 'exited', code: EXIT.failure } : end
}

/** SIGTERM at once, SIGKILL when the grace is over. */
function stop(terminal: Terminal, child: Child, why: string, graceMs: number): void {
  note(terminal, `${why}: the command is being stopped`)
  child.signal('SIGTERM')
  const cancel = terminal.schedule(graceMs, () => {
    note(terminal, 'the command did not stop in time: it is being killed')
    child.signal('SIGKILL')
  })
  void child.ended.then(cancel)
}

/** The command's own exit code stands, whatever comes of this; a task that nobody ends lapses. */
async function endFor(
  { terminal, client, task, say }: Running,
  end: ChildEnd,
  signal: AbortSignal,
): Promise<void> {
  const detail = detailOf(end)
  try {
    await (end.how === 'exited' && end.code === 0 ? task.complete({ detail }) : task.fail({ detail }))
    const key = keyOf(client, task)
    const last = await untilQuiet(terminal, client, key, await readTask(client, key), signal)
    for (const line of tellEnd(last)) say(line)
  } catch (error) {
    const why = told(client.url, error)
    note(
      terminal,
      `what became of task ${task.id} is not known; left alone, it lapses or reaches its deadline`,
    )
    note(terminal, why instanceof CommandError ? why.message : 'an unexpected error')
  }
}

function detailOf(end: ChildEnd): string {
  switch (end.how) {
    case 'exited':
      return `exit code ${end.code}`
    case 'signalled':
      return `ended by ${end.signal}`
    case 'failed':
      return 'the command could not be started'
  }
}

/** As a shell has it: 128 and the signal, 127 for a program that is not there, 126 for one that does not run. */
export function exitCodeOf(terminal: Terminal, program: string, end: ChildEnd): number {
  if (end.how === 'exited') return end.code
  if (end.how === 'signalled') return 128 + constants.signals[end.signal]
  const code = end.error.code ?? 'unknown error'
  note(terminal, `${JSON.stringify(printable(program))} cannot be started (${code})`)
  return code === 'ENOENT' ? 127 : 126
}
