/** One task from the command line: opened with evidence, given credentials, ended, and watched until it is over. */
import type { Secret } from '../../issuers/shared/secret.ts'
import {
  heartbeatAnswer,
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
} & DeclaredOptions

/** What the caller says of itself; the broker takes it against the caller only. */
export type DeclaredOptions = { confidence?: number; urgency?: 'low' | 'normal' | 'high' }

export function declared({ confidence, urgency }: DeclaredOptions): DeclaredOptions {
  return {
    ...(confidence === undefined ? {} : { confidence }),
    ...(urgency === undefined ? {} : { urgency }),
  }
}

export type Outcome = 'completed' | 'failed' | 'cancelled'

/** @throws BrokerRefusal, CommandError */
export async function openTask(
  client: Client,
  evidence: Secret,
  asks: readonly AskDetail[],
  options: TaskOptions & { purpose: string },
): Promise<{ held: HeldTask; task: TaskAnswer }> {
  const { agent, purpose, minutes, heartbeatSeconds, lifetime } = options
  const body = {
    evidence: { type: 'jwt', token: evidence.reveal() },
    purpose,
    authorization_details: asks,
    ...(agent === undefined ? {} : { agent }),
    ...(options.justification === undefined ? {} : { justification: options.justification }),
    ...(minutes === undefined ? {} : { minutes }),
    ...(heartbeatSeconds === undefined ? {} : { heartbeat_seconds: heartbeatSeconds }),
    ...(lifetime === undefined ? {} : { lifetime }),
    ...declared(options),
  }
  const answer = await client.call(
    { method: 'POST', path: '/v1/tasks', body, whenLost: 'reopen' },
    openAnswer,
  )
  return { held: { broker: client.url, id: answer.task.id, token: answer.task_token }, task: answer.task }
}

/** A lost answer is not asked for again: the credential it spoke of is in the ledger and dies with the task. */
export async function mint(
  client: Client,
  { id, token }: HeldTask,
  what: { ask: string } | ({ authorization_details: [AskDetail] } & DeclaredOptions),
): Promise<Minted> {
  const path = `/v1/tasks/${id}/credentials`
  const call = { method: 'POST', path, token, body: what, whenLost: 'never' } as const
  const answer = await client.call(call, mintAnswer)
  if (!('approval' in answer)) return answer
  throw new CommandError(
    `humans are asked (${printable(answer.approval)}): the ask ${printable(answer.ask)} waits for them.\n` +
      `  Wait with: mayfly task wait ${id}`,
    { exitCode: EXIT.unavailable },
  )
}

export function readTask(client: Client, { id, token }: HeldTask, signal?: AbortSignal): Promise<TaskAnswer> {
  return client.call(
    { method: 'GET', path: `/v1/tasks/${id}`, token, whenLost: 'repeat', ...(signal && { signal }) },
    taskAnswer,
  )
}

/** @param deadlineMs of one attempt: a connection that hangs must not outlast the agreed silence */
export async function beat(
  client: Client,
  { id, token }: HeldTask,
  { signal, deadlineMs }: { signal: AbortSignal; deadlineMs: number },
): Promise<void> {
  const path = `/v1/tasks/${id}/heartbeat`
  await client.call({ method: 'POST', path, token, whenLost: 'repeat', signal, deadlineMs }, heartbeatAnswer)
}

export function complete(
  client: Client,
  { id, token }: HeldTask,
  outcome: Outcome,
  detail?: string,
): Promise<TaskAnswer> {
  const body = { outcome, ...(detail === undefined ? {} : { detail }) }
  const path = `/v1/tasks/${id}/complete`
  return client.call({ method: 'POST', path, token, body, whenLost: 'repeat' }, taskAnswer)
}

/** Ends a task whose opening led to nothing; the error that led here matters more than one that comes now. */
export async function abandon(
  terminal: Terminal,
  client: Client,
  held: HeldTask,
  why: string,
): Promise<void> {
  try {
    await complete(client, held, 'failed', why)
  } catch {
    note(terminal, `task ${held.id} could not be ended now; it ends by itself at its deadline`)
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
