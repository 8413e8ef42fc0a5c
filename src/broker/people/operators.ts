/**
 * Who a human is, and what they may do. A human signs in at the identity provider; an operator token is for
 * setting things up, and for when there is no identity provider.
 */
import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { authenticateOperatorToken } from '../authenticate.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { actorOf, needsFresh, type OperatedOn, type Operator, type OperatorAction } from './operator.ts'
import type { HumanToken } from './operator-identity.ts'
import { freshNonce } from './operator-nonce.ts'
import { authenticateSession, isSessionToken } from './operator-sessions.ts'
import { operatorOf, useAuthentication, useToken, verifyHuman } from './operator-sign-in.ts'
import type { SignIn } from './people.ts'

export { actorOf, type OperatedOn, type Operator, type OperatorAction }

/** By a session of a human, or by an operator token. @throws BrokerError `unauthenticated` */
export async function authenticateOperator(broker: Broker, token: Secret): Promise<Operator> {
  if (isSessionToken(token)) return authenticateSession(broker, token)
  const { name } = await authenticateOperatorToken(broker, token)
  if (!broker.people.bootstrapTokens)
    throw new BrokerError(
      'unauthenticated',
      'operator tokens are switched off (operators.bootstrap_tokens in mayfly.yaml): sign in',
    )
  return { id: `token:${name}`, name, groups: [], kind: 'token' }
}

/**
 * Denied unless a role policy permits it. A human who has not signed in for it alone may neither approve nor
 * widen. An operator token approves nothing, and where humans sign in it widens nothing either.
 *
 * @throws BrokerError `forbidden`, `fresh_sign_in_needed`
 */
export async function authorizeOperator(
  broker: Broker,
  operator: Operator,
  action: OperatorAction,
  on: OperatedOn = {},
): Promise<void> {
  if (operator.kind === 'token') {
    const isForHumans = needsFresh(action) && broker.people.signIn !== undefined
    if (action !== 'approve' && !isForHumans) return
    throw new BrokerError('forbidden', 'an operator token is not enough for this: a human signs in to do it')
  }
  const { allowed } = await broker.people.roles.judge({ operator, action, on: placed(broker, on) })
  if (!allowed) throw new BrokerError('forbidden', `your groups do not let you ${action} here`)
  if (needsFresh(action) && operator.fresh !== true)
    throw new BrokerError('fresh_sign_in_needed', `a session is not enough to ${action}: sign in for it`)
}

/** Whose an agent is, where that is not said: its team, and its namespace (the part of its name before a dot). */
function placed({ agents }: Broker, on: OperatedOn): OperatedOn {
  if (on.agent === undefined) return on
  const owner = agents().get(on.agent)?.owner.business
  const [namespace, name] = on.agent.split('.')
  return {
    ...(owner === undefined ? {} : { owner }),
    ...(namespace === undefined || name === undefined ? {} : { namespace }),
    ...on,
  }
}

/**
 * A human who has signed in for this alone: a moment ago, once, and with {@link freshNonce} of `boundTo`.
 *
 * @param idToken what the identity provider gave. @param boundTo hex digest of exactly what is agreed to.
 * @throws BrokerError `fresh_sign_in_needed`, `evidence_rejected`, `attestation_unavailable`
 */
export async function demandFresh(broker: Broker, idToken: Secret, boundTo: string): Promise<Operator> {
  const signIn = demandProvider(broker)
  const human = await verifyHuman(broker, signIn, idToken)
  const operator: Operator = { ...operatorOf(human), fresh: true }
  const stale = staleness(human, boundTo, signIn, broker.limits, await broker.ledger.now())
  const refused = stale ?? (await useUp(broker, human, operator, boundTo))
  if (refused === undefined) return operator
  await broker.ledger.write(tx =>
    record(tx, 'operator.sign_in_refused', { actor: actorOf(operator) }, { detail: refused, boundTo }),
  )
  throw new BrokerError('fresh_sign_in_needed', `${refused}: sign in again, for this alone`)
}

/**
 * Whose ID token it is, which is not used up by this and agrees to nothing: for strangers to be turned away by,
 * before anything is looked up for them.
 *
 * @throws BrokerError `fresh_sign_in_needed`, `evidence_rejected`, `attestation_unavailable`
 */
export async function recogniseHuman(broker: Broker, idToken: Secret): Promise<Operator> {
  return operatorOf(await verifyHuman(broker, demandProvider(broker), idToken))
}

function demandProvider({ people: { signIn } }: Broker): SignIn {
  if (signIn !== undefined) return signIn
  throw new BrokerError(
    'fresh_sign_in_needed',
    'no identity provider for operators is configured (operators.oidc in mayfly.yaml)',
  )
}

/** Why a verified token is no fresh sign-in for this, or undefined. */
function staleness(
  { nonce, authenticatedAt, acr }: HumanToken,
  boundTo: string,
  { freshAcrValues }: SignIn,
  { freshSignInMs, clockSkewMs }: Broker['limits'],
  now: number,
): string | undefined {
  if (nonce !== freshNonce(boundTo)) return 'the sign-in was for something else'
  if (authenticatedAt === undefined)
    return 'the identity provider did not say when you signed in (the claim auth_time)'
  if (authenticatedAt > now + clockSkewMs) return 'the sign-in is ahead of the broker'
  if (now - authenticatedAt > freshSignInMs) return 'the sign-in is too old'
  if (freshAcrValues.length > 0 && (acr === undefined || !freshAcrValues.includes(acr)))
    return 'the sign-in was not of the required strength (the claim acr)'
  return undefined
}

/** @returns why it was used up before, or undefined */
async function useUp(
  broker: Broker,
  human: HumanToken,
  operator: Operator,
  boundTo: string,
): Promise<string | undefined> {
  const refused = await broker.ledger.write(async tx => {
    if (!(await useToken(tx, human, boundTo))) return 'the sign-in was used before'
    if (!(await useAuthentication(broker, tx, human, boundTo)))
      return 'this proof of who you are was used before, for something else'
    await record(tx, 'operator.signed_in_for', { actor: actorOf(operator) }, { boundTo })
    return undefined
  })
  if (refused !== undefined)
    broker.log.warn({ alarm: 'sign_in_replayed', operator: operator.id }, 'a sign-in was presented again')
  return refused
}
