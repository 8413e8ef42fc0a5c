/** What the grants of `/oauth/token` have in common: what is asked for, the task's own parameters, and the answer. */
import type { Context } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { requestCredential } from '../broker/credentials/grant-ask.ts'
import type { WantedAsk } from '../broker/credentials/resolve-asks.ts'
import type { OpenRequest } from '../broker/tasks/open-request.ts'
import { openTask } from '../broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import { declaredOf } from './declared.ts'
import type { Env } from './guard.ts'
import { exchangeAnswer } from './oauth-answer.ts'
import { type ExchangeAnswer, firstPending } from './oauth-pending.ts'
import { shownKeys } from './possession.ts'
import { parse, strictJson } from './read-body.ts'
import { authorizationDetails, openTaskBody } from './schemas.ts'
import { toAsk } from './to-ask.ts'
import { wishOf } from './wish.ts'

export type Form = ReadonlyMap<string, string[]>

/** Beside the evidence: the parameters of RFC 8693 and RFC 9396, and those that `POST /v1/tasks` has. */
const COMMON: readonly string[] = [
  'grant_type',
  'audience',
  'resource',
  'scope',
  'authorization_details',
  'client_id',
  'agent',
  'purpose',
  'minutes',
  'heartbeat_seconds',
  'ticket',
  'lifetime',
  'confidence',
  'urgency',
  'justification',
  'mints',
]

/** @param beside the names of the parameters that hold the evidence. @throws BrokerError `request_invalid` */
export function demandKnown(form: Form, beside: readonly string[]): void {
  const unknown = [...form.keys()].find(name => !COMMON.includes(name) && !beside.includes(name))
  if (unknown !== undefined) throw invalid(`the parameter ${unknown.slice(0, 40)} is not supported`)
}

/** Everything but the evidence. @param purpose where the caller names none */
export function readOpening(form: Form, purpose: string): Omit<OpenRequest, 'evidence' | 'onBehalfOf'> {
  if (form.has('scope'))
    throw new BrokerError(
      'scope_invalid',
      'scope is not used here; say what is wanted in authorization_details',
    )
  const asks = readAsks(demand(form, 'authorization_details'))
  demandTarget(form, asks)
  const task = readTask(form, purpose)
  const { ticket, agent, minutes, heartbeat_seconds, lifetime } = task
  return {
    purpose: task.purpose,
    asks,
    mintFirst: true,
    ...(agent === undefined ? {} : { agent }),
    ...(minutes === undefined ? {} : { minutes }),
    ...(heartbeat_seconds === undefined ? {} : { heartbeatSeconds: heartbeat_seconds }),
    ...(ticket === undefined ? {} : { ticket: new Secret(ticket) }),
    ...(lifetime === undefined ? {} : { lifetime }),
    ...declaredOf(task),
    ...wishOf(task),
  }
}

/**
 * One call opens a task and answers with its first credential, and with the task's id and token beside it. Further
 * asks stay granted for later. Where humans are asked first, the task's token is what the caller comes back with:
 * the evidence is used up.
 */
export async function openAndAnswer(c: Context<Env>, wanted: OpenRequest): Promise<ExchangeAnswer> {
  const broker = c.get('broker')
  const request = { ...wanted, held: await shownKeys(c) }
  const opened = await withFreshConfiguration(broker, within => openTask(within, request))
  const { credential, task, token } = opened
  if (credential !== undefined)
    return { status: 200, body: await exchangeAnswer(broker, credential, task, token) }
  const first = opened.asks[0]
  if (first === undefined) throw new BrokerError('ask_invalid', 'authorization_details must hold an ask')
  if (first.state === 'pending') return firstPending(broker, opened, first)
  // Somebody had agreed to it beforehand.
  const minted = await withFreshConfiguration(broker, within =>
    requestCredential(within, task, { ask: first.id }),
  )
  return { status: 200, body: await exchangeAnswer(broker, minted, task, token) }
}

function readAsks(text: string): WantedAsk[] {
  try {
    const asks = parse(authorizationDetails, strictJson(text, 'authorization_details')).map(toAsk)
    if (asks.length > 0) return asks
  } catch (error) {
    if (error instanceof BrokerError) throw new BrokerError('ask_invalid', error.message)
    throw error
  }
  throw new BrokerError('ask_invalid', 'authorization_details must hold at least one ask')
}

/** `audience` and `resource` may only repeat what the asks already name (RFC 8693 section 2.1). */
function demandTarget(form: Form, asks: readonly WantedAsk[]): void {
  const targets = [...(form.get('audience') ?? []), ...(form.get('resource') ?? [])]
  const named = new Set(asks.flatMap(({ issuer, ask }) => [issuer, ask.audience]))
  if (targets.some(target => !named.has(target)))
    throw new BrokerError(
      'target_invalid',
      'audience and resource must name an issuer or audience that is asked for',
    )
}

/** The task's own parameters, held to the schema that `POST /v1/tasks` has. */
function readTask(form: Form, purpose: string) {
  const number = (name: string) => {
    const text = one(form, name)
    return text === undefined ? undefined : /^\d{1,6}$/.test(text) ? Number(text) : text
  }
  return parse(taskParameters, {
    agent: one(form, 'agent'),
    purpose: one(form, 'purpose') ?? purpose,
    minutes: number('minutes'),
    heartbeat_seconds: number('heartbeat_seconds'),
    ticket: one(form, 'ticket'),
    lifetime: one(form, 'lifetime'),
    confidence: number('confidence'),
    urgency: one(form, 'urgency'),
    justification: one(form, 'justification'),
    mints: number('mints'),
  })
}

const taskParameters = openTaskBody.omit({ evidence: true, on_behalf_of: true, authorization_details: true })

export const one = (form: Form, name: string): string | undefined => form.get(name)?.[0]

/** @throws BrokerError where it is not there, or empty. */
export function demand(form: Form, name: string): string {
  const value = one(form, name)
  if (value === undefined || value === '') throw invalid(`the parameter ${name} is missing`)
  return value
}

export const invalid = (message: string) => new BrokerError('request_invalid', message)
