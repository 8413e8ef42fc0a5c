/** One task from the command line: opened with evidence, given credentials, ended, and watched until it is over. */

import type { Secret } from '../../issuers/shared/secret.ts'
import type { Presented } from '../client/evidence.ts'
import type { Statement } from '../client/posture.ts'
import {
  completeCall,
  type Declared,
  mintCall,
  type Outcome,
  openCall,
  readCall,
  waitCall,
} from '../client/task-calls.ts'
import {
  type LeaseAnswer,
  type Minted,
  mintAnswer,
  openAnswer,
  type TaskAnswer,
  taskAnswer,
} from './answers.ts'
import type { AskDetail } from './ask.ts'
import { given } from './broker-url.ts'
import type { Client } from './client.ts'
import { CLI_LIMITS } from './limits.ts'
import { count, note, printable, shortTime, showAsk } from './print.ts'
import type { HeldTask } from './task-file.ts'
import { CommandError, EXIT, sleep, type Terminal } from './terminal.ts'

export type TaskOptions = {
  agent?: string
  purpose?: string
  justification?: string
  minutes?: number
  heartbeatSeconds?: number
  lifetime?: 'step' | 'job' | 'run'
  /** A file with the ID token of the human on whose behalf. */
  onBehalfOfFile?: string
  /** How many credentials an approval is to be good for: one in an hour, for what lives so long. */
  mints?: number
} & Declared

/** @throws BrokerRefusal, CommandError */
export async function openTask(
  client: Client,
  evidence: Presented,
  asks: readonly AskDetail[],
  options: TaskOptions & { purpose: string; statements?: readonly Statement[] },
  human?: Secret,
): Promise<{ held: HeldTask; task: TaskAnswer }> {
  const call = openCall(evidence, asks, options, options.statements)
  const behalf = human === undefined ? {} : { on_behalf_of: { type: 'jwt', token: human.reveal() } }
  const answer = await client.call({ ...call, body: { ...(call.body as object), ...behalf } }, openAnswer)
  return { held: { broker: client.url, id: answer.task.id, token: answer.task_token }, task: answer.task }
}

/** @throws BrokerRefusal, CommandError; (unavailable) where humans are asked first */
export async function mint(
  client: Client,
  held: HeldTask,
  what: { ask: string } | ({ authorization_details: [AskDetail] } & Declared),
): Promise<Minted> {
  const answer = await client.call(mintCall(held, what), mintAnswer)
  if (!('approval' in answer)) return answer
  const how = held.file === undefined ? '' : `\n  Wait with: ${waitCommand(held.file)}`
  throw new CommandError(
    `humans are asked (${printable(answer.approval)}): the ask ${printable(answer.ask)} waits for them.${how}`,
    { exitCode: EXIT.unavailable },
  )
}

/** For a task whose token is in a file. */
export const waitCommand = (file: string): string => `mayfly task wait --task-token-file ${file}`

/**
 * Waits until humans have answered for everything that the task asked for, or for so many seconds; the asks that
 * still wait are `pending` in what is returned. @param check runs between looks, and ends the waiting by a throw
 */
export async function untilAnswered(
  terminal: Terminal,
  client: Client,
  held: HeldTask,
  seconds: number,
  check: () => void = () => {},
): Promise<TaskAnswer> {
  const end = terminal.now() + seconds * 1_000
  for (;;) {
    const left = Math.max(0, Math.ceil((end - terminal.now()) / 1_000))
    const task = await client.call(waitCall(held, Math.min(left, CLI_LIMITS.waitLookSeconds)), taskAnswer)
    check()
    if (!task.asks.some(isPending) || terminal.now() >= end) return task
    // The broker may have had no place for one more that waits.
    await sleep(terminal, CLI_LIMITS.waitPollMs)
  }
}

export const isPending = ({ state }: TaskAnswer['asks'][number]): boolean => state === 'pending'

/** One line for each ask that waits for humans. */
export function tellPending({ asks }: TaskAnswer): string[] {
  return asks
    .filter(isPending)
    .map(ask => `${ask.id} waits for humans: ${showAsk(ask.authorization_details)}`)
}

/**
 * For a command that ends its task where humans do not answer in time: says what waits and for how long, and waits.
 *
 * @throws CommandError (unavailable) when the time is up; the caller then ends the task
 */
export async function demandAnswers(
  terminal: Terminal,
  client: Client,
  held: HeldTask,
  { seconds, say, check }: { seconds: number; say: (text: string) => void; check?: () => void },
): Promise<void> {
  const asked = await readTask(client, held)
  for (const line of tellPending(asked)) say(line)
  if (asked.asks.some(isPending)) say(`waiting for them for at most ${seconds} s (--wait-seconds)`)
  const { asks } = await untilAnswered(terminal, client, held, seconds, check)
  if (!asks.some(isPending)) return
  throw new CommandError(
    `nobody has answered within ${seconds} s, so the task is ended, and what humans were asked is withdrawn.\n` +
      '  Start again with a longer --wait-seconds. Or keep a task open meanwhile: mayfly task open, then\n' +
      '  mayfly task wait, then mayfly token --ask-id ASK --task-token-file FILE',
    { exitCode: EXIT.unavailable },
  )
}

export function readTask(client: Client, held: HeldTask, signal?: AbortSignal): Promise<TaskAnswer> {
  return client.call({ ...readCall(held), ...(signal && { signal }) }, taskAnswer)
}

export function complete(
  client: Client,
  held: HeldTask,
  outcome: Outcome,
  detail?: string,
): Promise<TaskAnswer> {
  return client.call(completeCall(held, outcome, detail), taskAnswer)
}

/** Ends a task that led to nothing; the error that led here matters more than one that comes now. */
export async function abandon(terminal: Terminal, id: string, end: () => Promise<unknown>): Promise<void> {
  try {
    await end()
  } catch {
    note(terminal, `task ${id} could not be ended now; it ends by itself at its deadline`)
  }
}

/** Waits until nothing of an ended task is alive but what stops by itself, or for a bounded time. */
export async function untilQuiet(
  terminal: Terminal,
  client: Client,
  held: HeldTask,
  ended: TaskAnswer,
  signal?: AbortSignal,
): Promise<TaskAnswer> {
  const until = terminal.now() + CLI_LIMITS.settleMs
  const isStopped = () => signal?.aborted === true
  let task = ended
  while (isBusy(task) && terminal.now() < until && !isStopped()) {
    await sleep(terminal, CLI_LIMITS.settlePollMs)
    try {
      task = await readTask(client, held, signal)
    } catch (error) {
      // Whoever stopped the waiting wants what is known by now.
      if (!isStopped()) throw error
    }
  }
  return task
}

/** How a task ended and what of it is still alive, in lines for a person. */
export function tellEnd(task: TaskAnswer): string[] {
  const alive = outstanding(task)
  const closed = task.credentials.length - alive.length
  const how = task.state === 'active' ? 'is active' : (task.end ?? 'ended')
  const gone = closed === 0 ? '' : `, ${count(closed, 'credential')} gone`
  return [
    `task ${task.id} ${how}${gone}${alive.length === 0 ? '' : `, ${alive.length} still alive:`}`,
    ...alive.map(lease => `  ${describeLease(lease)}`),
  ]
}

/** In GitHub Actions the workflow says what it is for. */
export function purposeOf(
  { env }: Pick<Terminal, 'env'>,
  wished: string | undefined,
  otherwise: string,
): string {
  if (wished !== undefined) return wished
  const [workflow, job, run] = [env.GITHUB_WORKFLOW, env.GITHUB_JOB, env.GITHUB_RUN_ID].map(given)
  if (workflow === undefined || run === undefined) return otherwise
  return `${workflow}${job === undefined ? '' : ` / ${job}`}, run ${run}`.slice(0, CLI_LIMITS.shownChars)
}

function isBusy(task: TaskAnswer): boolean {
  return outstanding(task).some(lease => lease.revocability !== 'expiry_only')
}

function outstanding(task: TaskAnswer): LeaseAnswer[] {
  return task.credentials.filter(lease => lease.state !== 'closed')
}

/** One lease that is not closed: until when it is alive, and why. */
export function describeLease(lease: LeaseAnswer): string {
  const until = shortTime(lease.provider_expires_at ?? lease.expires_at)
  const why =
    lease.revocability === 'expiry_only'
      ? 'it cannot be revoked and stops by itself'
      : lease.provider_expires_at === null
        ? 'its mint has no known outcome yet'
        : `it is being revoked${lease.last_error === null ? '' : `; last try: ${lease.last_error}`}`
  return `${lease.lease} ${showAsk(lease.authorization_details)} until ${until} at the latest: ${why}`
}
