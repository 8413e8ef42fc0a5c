/**
 * Who a human is, and what they may do. A human signs in at the identity provider; an operator token is for
 * setting things up, and for when there is no identity provider.
 */
import type { Secret } from '../../issuers/shared/secret.ts'
import { authenticateOperatorToken } from './authenticate.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'

export type Operator = {
  /** Never given to anybody else: `token:<name>`, or `<issuer>#<subject>` of a human. */
  id: string
  /** For the audit log and for people. */
  name: string
  /** As the identity provider names them; none for an operator token. */
  groups: readonly string[]
  kind: 'token' | 'human'
}

/**
 * What operators do.
 * - `read`: everything that is shown to operators; no secret is.
 * - `revoke`: end what lives, refuse more of it.
 * - `drill`: exercise an issuer.
 * - `approve`: answer for one ask, or open a pre-approval window.
 * - `narrow`: suspend, quarantine, offboard.
 * - `widen`: take any of that back, unblock, certify.
 * - `register`: agents, attestors, issuers, resource servers of a namespace.
 * - `configure`: policies, approver groups, keys, other operators.
 */
export type OperatorAction =
  | 'read'
  | 'revoke'
  | 'drill'
  | 'approve'
  | 'narrow'
  | 'widen'
  | 'register'
  | 'configure'

/** What it is done to, as far as it is one thing. */
export type OperatedOn = { agent?: string; owner?: string; namespace?: string }

/** @throws BrokerError `unauthenticated` */
export async function authenticateOperator(broker: Broker, token: Secret): Promise<Operator> {
  const { name } = await authenticateOperatorToken(broker, token)
  return { id: `token:${name}`, name, groups: [], kind: 'token' }
}

/** @throws BrokerError `forbidden` */
export async function authorizeOperator(
  _broker: Broker,
  operator: Operator,
  action: OperatorAction,
  _on: OperatedOn = {},
): Promise<void> {
  if (operator.kind === 'human' || action !== 'approve') return
  throw new BrokerError('forbidden', 'an operator token approves nothing: a human signs in to do it')
}

/**
 * A human who has signed in for this alone: a moment ago, and with `boundTo` as the nonce.
 * @param idToken what the identity provider gave. @param boundTo hex digest of exactly what is agreed to.
 * @throws BrokerError `fresh_sign_in_needed`
 */
export async function demandFresh(_broker: Broker, _idToken: Secret, _boundTo: string): Promise<Operator> {
  throw new BrokerError(
    'fresh_sign_in_needed',
    'no identity provider for operators is configured (operators.oidc in mayfly.yaml)',
  )
}

/** As it stands in audit rows. */
export const actorOf = (operator: Operator): string => `operator:${operator.name}`
