import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { requestCredential } from '../broker/credentials/grant-ask.ts'
import type { WantedAsk } from '../broker/credentials/resolve-asks.ts'
import { rejectEvidence } from '../broker/tasks/attest.ts'
import { type OpenRequest, openTask } from '../broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../broker/with-fresh-configuration.ts'
import { declaredOf } from './declared.ts'
import { exchangeAnswer } from './oauth-answer.ts'
import {
  type ExchangeAnswer,
  firstPending,
  type Pace,
  type Poll,
  pollExchange,
  TASK_TOKEN_TYPE,
} from './oauth-pending.ts'
import { parse, strictJson } from './read-body.ts'
import { authorizationDetails, openTaskBody } from './schemas.ts'
import { toAsk } from './to-ask.ts'
import { wishOf } from './wish.ts'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TYPE = 'urn:ietf:params:oauth:token-type:'
/** A JWT is presented as one of these (RFC 8693 section 3); an access token is not evidence. */
const SUBJECT_TOKEN_TYPES: readonly string[] = [`${TYPE}id_token`, `${TYPE}jwt`]
const REQUESTED_TOKEN_TYPES: readonly string[] = [`${TYPE}access_token`, `${TYPE}jwt`]

/** Beside the parameters of RFC 8693 and RFC 9396, those that `POST /v1/tasks` has. */
const KNOWN = new Set([
  ...['grant_type', 'subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'resource'],
  ...['actor_token', 'actor_token_type'],
  ...[
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
  ],
])
const DEFAULT_PURPOSE = 'token exchange'

type Form = ReadonlyMap<string, string[]>

/**
 * RFC 8693: evidence in; one call opens a task and answers with its first credential, and with the task's id
 * and token beside it. Further asks stay granted for later. Where humans are asked first, the task's token is what
 * the caller comes back with: the evidence is used up.
 */
export async function exchange(broker: Broker, form: Form, pace: Pace): Promise<ExchangeAnswer> {
  if (one(form, 'subject_token_type') === TASK_TOKEN_TYPE) return pollExchange(broker, readPoll(form), pace)
  const request = readExchange(form)
  await demandTypes(broker, form)
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

/** An actor's token is evidence like a subject's, and the human's is an ID token by that name. */
async function demandTypes(broker: Broker, form: Form): Promise<void> {
  const [subject, actor] = [demand(form, 'subject_token_type'), one(form, 'actor_token_type')]
  const isAccepted =
    actor === undefined
      ? SUBJECT_TOKEN_TYPES.includes(subject)
      : subject === `${TYPE}id_token` && SUBJECT_TOKEN_TYPES.includes(actor)
  if (isAccepted) return
  const which = actor === undefined ? 'subject_token_type' : 'subject_token_type or actor_token_type'
  throw await rejectEvidence(broker, 'none', 'type_not_allowed', `presented as another ${which}`)
}

/**
 * Without an actor the workload is the subject and acts for itself. With one (RFC 8693 section 1.1, delegation) the
 * subject is the human on whose behalf, and the actor is the workload.
 */
function evidenceOf(form: Form, token: string): Pick<OpenRequest, 'evidence' | 'onBehalfOf'> {
  const [actor, type] = [one(form, 'actor_token'), one(form, 'actor_token_type')]
  if ((actor === undefined) !== (type === undefined))
    throw invalid('actor_token and actor_token_type come together, or not at all')
  if (actor === undefined) return { evidence: { type: 'jwt', token } }
  return { evidence: { type: 'jwt', token: actor }, onBehalfOf: { type: 'jwt', token } }
}

/** Of the caller that comes back: the task token, and which ask where there are several. */
function readPoll(form: Form): Poll {
  if (demand(form, 'grant_type') !== TOKEN_EXCHANGE)
    throw new BrokerError('grant_type_unsupported', `only ${TOKEN_EXCHANGE} is supported`)
  const unknown = [...form.keys()].find(name => !KNOWN_OF_POLL.has(name))
  if (unknown !== undefined) throw invalid(`the parameter ${unknown.slice(0, 40)} is not supported here`)
  return { token: demand(form, 'subject_token'), ask: one(form, 'ask') }
}

const KNOWN_OF_POLL = new Set(['grant_type', 'subject_token', 'subject_token_type', 'client_id', 'ask'])

/** Everything about the request's form is judged before anything is done with the evidence. */
function readExchange(form: Form): OpenRequest {
  if (demand(form, 'grant_type') !== TOKEN_EXCHANGE)
    throw new BrokerError('grant_type_unsupported', `only ${TOKEN_EXCHANGE} is supported`)
  const unknown = [...form.keys()].find(name => !KNOWN.has(name))
  if (unknown !== undefined) throw invalid(`the parameter ${unknown.slice(0, 40)} is not supported`)
  // An empty one is evidence that is not accepted, answered like any other of that kind.
  const token = one(form, 'subject_token')
  if (token === undefined) throw invalid('the parameter subject_token is missing')
  demand(form, 'subject_token_type')
  const requested = one(form, 'requested_token_type')
  if (requested !== undefined && !REQUESTED_TOKEN_TYPES.includes(requested))
    throw invalid(`requested_token_type must be one of ${REQUESTED_TOKEN_TYPES.join(', ')}`)
  if (form.has('scope'))
    throw new BrokerError(
      'scope_invalid',
      'scope is not used here; say what is wanted in authorization_details',
    )
  const asks = readAsks(demand(form, 'authorization_details'))
  demandTarget(form, asks)
  const task = readTask(form)
  const { ticket, agent, purpose, minutes, heartbeat_seconds, lifetime } = task
  return {
    ...evidenceOf(form, token),
    purpose,
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
function readTask(form: Form) {
  const number = (name: string) => {
    const text = one(form, name)
    return text === undefined ? undefined : /^\d{1,6}$/.test(text) ? Number(text) : text
  }
  return parse(taskParameters, {
    agent: one(form, 'agent'),
    purpose: one(form, 'purpose') ?? DEFAULT_PURPOSE,
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

const one = (form: Form, name: string): string | undefined => form.get(name)?.[0]

function demand(form: Form, name: string): string {
  const value = one(form, name)
  if (value === undefined || value === '') throw invalid(`the parameter ${name} is missing`)
  return value
}

const invalid = (message: string) => new BrokerError('request_invalid', message)
