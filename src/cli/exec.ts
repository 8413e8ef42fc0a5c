import { constants } from 'node:os'
import { basename } from 'node:path'
import type { Minted, TaskAnswer } from './answers.ts'
import { type AskDetail, readAsks } from './ask.ts'
import { type BrokerOption, brokerUrl } from './broker-url.ts'
import { checkVariables, childEnvironment } from './child-environment.ts'
import { type Client, createClient } from './client.ts'
import { type EvidenceOption, findEvidence, readHuman } from './evidence.ts'
import { keepAlive } from './keep-alive.ts'
import { CLI_LIMITS } from './limits.ts'
import { note, printable, shortTime, showAsk } from './print.ts'
import type { HeldTask } from './task-file.ts'
import {
  abandon,
  complete,
  isPending,
  mint,
  openTask,
  purposeOf,
  type TaskOptions,
  tellEnd,
  tellPending,
  untilAnswered,
  untilQuiet,
} from './task-session.ts'
import { type Child, type ChildEnd, CommandError, type Terminal, usageError } from './terminal.ts'

export type ExecOptions = BrokerOption &
  EvidenceOption &
  TaskOptions & {
    ask?: string[]
    askJson?: string[]
    graceSeconds?: number
    waitSeconds?: number
    quiet?: boolean
  }

type Credentials = { ask: AskDetail; minted: Minted }[]

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
  if (asks.length === 0)
    throw usageError('exec needs at least one --ask, or the command could run without it')
  checkVariables(asks)
  const client = createClient(terminal, brokerUrl(terminal, options))
  const say = options.quiet === true ? () => {} : (text: string) => note(terminal, text)

  // 2. A task of its own, and its credentials.
  const signals = watchSignals(terminal)
  const { held, task } = await openFor(terminal, client, asks, command, options)
  const life = keepAlive(terminal, client, held, task)
  let credentials: Credentials
  try {
    signals.throwIfAny()
    for (const line of tellPending(task)) say(line)
    if (task.asks.some(isPending)) {
      const seconds = options.waitSeconds ?? CLI_LIMITS.answerSeconds
      await untilAnswered(terminal, client, held, seconds, () => signals.throwIfAny())
    }
    credentials = await mintAll(client, held, task, asks)
    signals.throwIfAny()
  } catch (error) {
    life.stop()
    signals.release()
    await abandon(terminal, client, held, 'the command was not started')
    throw error
  }
  say(`task ${held.id} until ${shortTime(task.deadline)}`)
  for (const { ask, minted } of credentials)
    say(`  ${showAsk(ask)} until ${shortTime(minted.answer.expires_at)}`)

  // 3. The command, for as long as the task lives.
  const [program = '', ...args] = command
  const child = terminal.run(program, args, childEnvironment(terminal, credentials))
  signals.passTo(child)
  const graceMs = 1_000 * (options.graceSeconds ?? CLI_LIMITS.graceSeconds)
  life.whenEnded(why => stop(terminal, child, why, graceMs))
  const end = await child.ended
  life.stop()

  // 4. The end of the task, and of everything it held. A signal now ends the waiting, not the revoking.
  const waiting = new AbortController()
  signals.onNext(() => waiting.abort())
  await endFor(terminal, client, held, end, { say, signal: waiting.signal })
  signals.release()
  terminal.exitWith(exitCodeOf(terminal, program, end))
}

async function openFor(
  terminal: Terminal,
  client: Client,
  asks: readonly AskDetail[],
  command: readonly string[],
  options: ExecOptions,
) {
  const evidence = await findEvidence(terminal, client.url, options)
  // Only the program's name: its arguments may hold what nobody should read in an audit log.
  const purpose = purposeOf(terminal, options.purpose, `mayfly exec ${printable(basename(command[0] ?? ''))}`)
  const heartbeatSeconds = options.heartbeatSeconds ?? CLI_LIMITS.heartbeatSeconds
  const human = await readHuman(terminal, options)
  return openTask(client, evidence, asks, { ...options, purpose, heartbeatSeconds }, human)
}

/** The broker answers the asks of a task in the order in which they were made. */
async function mintAll(
  client: Client,
  held: HeldTask,
  task: TaskAnswer,
  asks: readonly AskDetail[],
): Promise<Credentials> {
  return Promise.all(
    asks.map(async (ask, index) => {
      const granted = task.asks[index]
      if (granted === undefined || granted.authorization_details.type !== ask.type)
        throw new CommandError(`the broker granted other asks than were made: see task ${held.id}`)
      return { ask, minted: await mint(client, held, { ask: granted.id }) }
    }),
  )
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
  terminal: Terminal,
  client: Client,
  held: HeldTask,
  end: ChildEnd,
  { say, signal }: { say: (text: string) => void; signal: AbortSignal },
): Promise<void> {
  const outcome = end.how === 'exited' && end.code === 0 ? 'completed' : 'failed'
  try {
    const ended = await complete(client, held, outcome, detailOf(end))
    const last = await untilQuiet(terminal, client, held, ended, signal)
    for (const line of tellEnd(last)) say(line)
  } catch (error) {
    const why = error instanceof CommandError ? error.message : 'an unexpected error'
    note(
      terminal,
      `what became of task ${held.id} is not known; left alone, it lapses or reaches its deadline`,
    )
    note(terminal, why)
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
function exitCodeOf(terminal: Terminal, program: string, end: ChildEnd): number {
  if (end.how === 'exited') return end.code
  if (end.how === 'signalled') return 128 + constants.signals[end.signal]
  const code = end.error.code ?? 'unknown error'
  note(terminal, `${JSON.stringify(printable(program))} cannot be started (${code})`)
  return code === 'ENOENT' ? 127 : 126
}

const PASSED_ON = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const
/** A terminal sends these to every process in front of it, the child among them. */
const FROM_TERMINAL: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT'])

/** Signals from now on: noted first, then passed to the child, then handed to whoever waits for the end. */
function watchSignals(terminal: Terminal) {
  let received: NodeJS.Signals | undefined
  let handle = (signal: NodeJS.Signals) => {
    received ??= signal
  }
  const release = PASSED_ON.map(signal => terminal.onSignal(signal, () => handle(signal)))
  return {
    throwIfAny() {
      if (received === undefined) return
      const exitCode = 128 + constants.signals[received]
      throw new CommandError(`${received} came before the command was started`, { exitCode })
    },
    passTo(child: Child) {
      handle = signal => {
        if (!(terminal.hasTerminal && FROM_TERMINAL.has(signal))) child.signal(signal)
      }
      if (received !== undefined) child.signal(received)
    },
    onNext(run: () => void) {
      handle = run
    },
    release() {
      for (const off of release) off()
    },
  }
}
