/** Who is asking, and whether they may: what every endpoint of operators begins with. */
import type { Context } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import {
  authenticateOperator,
  authorizeOperator,
  demandFresh,
  type OperatedOn,
  type Operator,
  type OperatorAction,
} from '../broker/people/operators.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'

/** One thing, or several of which all must be allowed; none: the installation. */
type On = OperatedOn | readonly OperatedOn[]

/** For what a session is enough for. @throws BrokerError `unauthenticated`, `forbidden`, `fresh_sign_in_needed` */
export async function operatorFor(c: Context<Env>, action: OperatorAction, on: On = {}): Promise<Operator> {
  const broker = c.get('broker')
  const operator = await authenticateOperator(broker, bearer(c))
  await authorizeOn(broker, operator, action, on)
  return operator
}

/**
 * For what approves or widens: a human brings an ID token beside their session, for this alone and of the same
 * human; their groups are those of that token. An operator token is enough where authorization lets it.
 *
 * @param boundTo hex digest of exactly what is agreed to.
 * @throws BrokerError `unauthenticated`, `forbidden`, `fresh_sign_in_needed`
 */
export async function freshOperatorFor(
  c: Context<Env>,
  action: OperatorAction,
  { boundTo, idToken, on = {} }: { boundTo: string; idToken: string | undefined; on?: On },
): Promise<Operator> {
  const broker = c.get('broker')
  const operator = await authenticateOperator(broker, bearer(c))
  if (operator.kind === 'token' || idToken === undefined) {
    await authorizeOn(broker, operator, action, on)
    return operator
  }
  const fresh = await demandFresh(broker, new Secret(idToken), boundTo)
  if (fresh.id !== operator.id)
    throw new BrokerError('forbidden', 'the sign-in is of another human than the session')
  await authorizeOn(broker, fresh, action, on)
  return fresh
}

async function authorizeOn(
  broker: Broker,
  operator: Operator,
  action: OperatorAction,
  on: On,
): Promise<void> {
  const each = [on].flat()
  for (const one of each.length === 0 ? [{}] : each) await authorizeOperator(broker, operator, action, one)
}
