/**
 * Token exchange where humans are asked first, in the manner of RFC 8628 section 3.5: the first answer is
 * `authorization_pending` with the task's id and token beside it; then the caller comes back with the task token
 * as subject token, never with the evidence.
 */
import type { Context } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import { ApprovalPending } from '../broker/approvals/ask-approval.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { requestCredential } from '../broker/credentials/grant-ask.ts'
import type { OpenedTask } from '../broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import type { ApprovalRow, AskRow, TaskRow } from '../store/rows.ts'
import type { Env } from './guard.ts'
import { exchangeAnswer } from './oauth-answer.ts'
import { presentedInBody } from './possession.ts'

/** Mayfly's own: the token of a task that this endpoint, or `POST /v1/tasks`, has opened. */
export const TASK_TOKEN_TYPE = 'urn:mayfly:oauth:token-type:task_token'

export type ExchangeAnswer = { status: 200 | 400; body: object }

/** How often each task asks. */
export type Pace = {
  /** Whether it came sooner than it was told to. */
  isEarly(task: string): boolean
}

/** @param now epoch ms. @param most tasks remembered; the first seen is forgotten first. */
export function createPace(intervalMs: number, most: number, now: () => number): Pace {
  const seen = new Map<string, number>()
  return {
    isEarly(task) {
      const [at, before] = [now(), seen.get(task)]
      seen.delete(task)
      seen.set(task, at)
      if (seen.size > most) seen.delete(seen.keys().next().value!)
      // A second of grace: clocks and networks are not exact.
      return before !== undefined && at - before < intervalMs - GRACE_MS
    },
  }
}

const GRACE_MS = 1_000

/** The task is open, and its first ask waits. */
export async function firstPending(
  broker: Broker,
  { task, token }: OpenedTask,
  ask: AskRow,
): Promise<ExchangeAnswer> {
  const approval = await broker.ledger.read.approvalOf(ask.id)
  const beside = { task_id: task.id, task_token: token.reveal(), ask: ask.id, approval: approval?.id }
  const left = (approval?.expires_at ?? task.deadline) - broker.now()
  return refusal('authorization_pending', 'humans are asked; come back with task_token as subject_token', {
    ...beside,
    interval: broker.limits.approvalPollMs / 1_000,
    expires_in: Math.max(0, Math.floor(left / 1_000)),
  })
}

export type Poll = { token: string; ask: string | undefined }

/** The credential, once: whoever lost the answer asks for another. */
export async function pollExchange(c: Context<Env>, poll: Poll, pace: Pace): Promise<ExchangeAnswer> {
  const broker = c.get('broker')
  const token = new Secret(poll.token)
  const task = await presentedInBody(c, token)
  const { ask, approval } = await waitingAsk(broker, task, poll.ask)
  switch (approval.state) {
    case 'pending':
      return waiting(broker, task, pace)
    case 'expired':
      return refusal('expired_token', 'nobody answered in time')
    case 'denied':
      return refusal('access_denied', 'a human said no')
    case 'cancelled':
      return refusal('access_denied', 'the approval was cancelled')
    case 'approved':
      if (approval.minted > 0) return refusal('access_denied', 'the credential was answered already')
  }
  try {
    const credential = await withFreshConfiguration(broker, within =>
      requestCredential(within, task, { ask: ask.id }),
    )
    return { status: 200, body: await exchangeAnswer(broker, credential, task, token) }
  } catch (error) {
    if (error instanceof ApprovalPending) return waiting(broker, task, pace)
    throw error
  }
}

function waiting({ limits }: Broker, task: TaskRow, pace: Pace): ExchangeAnswer {
  const interval = limits.approvalPollMs / 1_000
  return pace.isEarly(task.id)
    ? refusal('slow_down', `come back every ${interval} seconds, and less often from now on`)
    : refusal('authorization_pending', 'humans have not answered yet', { interval })
}

/** The one that is named, or the only one that humans were asked for. */
async function waitingAsk(
  broker: Broker,
  task: TaskRow,
  named: string | undefined,
): Promise<{ ask: AskRow; approval: ApprovalRow }> {
  const found: { ask: AskRow; approval: ApprovalRow }[] = []
  for (const ask of await broker.ledger.read.asks(task.id)) {
    if (named !== undefined && ask.id !== named) continue
    const approval = await broker.ledger.read.approvalOf(ask.id)
    if (approval !== undefined) found.push({ ask, approval })
  }
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const problem =
    only === undefined ? 'no such ask of this task waited for humans' : 'several asks did: say which, as ask'
  throw new BrokerError('request_invalid', problem)
}

type OauthError = 'authorization_pending' | 'slow_down' | 'access_denied' | 'expired_token'

function refusal(error: OauthError, error_description: string, beside: object = {}): ExchangeAnswer {
  return { status: 400, body: { error, error_description, ...beside } }
}
