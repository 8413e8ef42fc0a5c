import type { Context } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { rejectEvidence } from '../broker/tasks/attest.ts'
import type { OpenRequest } from '../broker/tasks/open-request.ts'
import type { Env } from './guard.ts'
import { type ExchangeAnswer, type Pace, type Poll, pollExchange, TASK_TOKEN_TYPE } from './oauth-pending.ts'
import { demand, demandKnown, type Form, invalid, one, openAndAnswer, readOpening } from './oauth-request.ts'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const TYPE = 'urn:ietf:params:oauth:token-type:'
/** A JWT is presented as one of these (RFC 8693 section 3); an access token is not evidence. */
const SUBJECT_TOKEN_TYPES: readonly string[] = [`${TYPE}id_token`, `${TYPE}jwt`]
const REQUESTED_TOKEN_TYPES: readonly string[] = [`${TYPE}access_token`, `${TYPE}jwt`]

const OWN_PARAMETERS = [
  ...['subject_token', 'subject_token_type', 'requested_token_type'],
  ...['actor_token', 'actor_token_type'],
]
const DEFAULT_PURPOSE = 'token exchange'

/** RFC 8693: evidence in, as subject or actor; or the token of a task that waits for humans. */
export async function exchange(c: Context<Env>, form: Form, pace: Pace): Promise<ExchangeAnswer> {
  if (one(form, 'subject_token_type') === TASK_TOKEN_TYPE) return pollExchange(c, readPoll(form), pace)
  const request = readExchange(form)
  await demandTypes(c.get('broker'), form)
  return openAndAnswer(c, request)
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
  const unknown = [...form.keys()].find(name => !KNOWN_OF_POLL.has(name))
  if (unknown !== undefined) throw invalid(`the parameter ${unknown.slice(0, 40)} is not supported here`)
  return { token: demand(form, 'subject_token'), ask: one(form, 'ask') }
}

const KNOWN_OF_POLL = new Set(['grant_type', 'subject_token', 'subject_token_type', 'client_id', 'ask'])

/** Everything about the request's form is judged before anything is done with the evidence. */
function readExchange(form: Form): OpenRequest {
  demandKnown(form, OWN_PARAMETERS)
  // An empty one is evidence that is not accepted, answered like any other of that kind.
  const token = one(form, 'subject_token')
  if (token === undefined) throw invalid('the parameter subject_token is missing')
  demand(form, 'subject_token_type')
  const requested = one(form, 'requested_token_type')
  if (requested !== undefined && !REQUESTED_TOKEN_TYPES.includes(requested))
    throw invalid(`requested_token_type must be one of ${REQUESTED_TOKEN_TYPES.join(', ')}`)
  const opening = readOpening(form, DEFAULT_PURPOSE)
  return { ...opening, ...evidenceOf(form, token) }
}
