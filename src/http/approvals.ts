/** `/v1/approvals`: what waits for humans. Whoever answers signs in for that alone; a session is for reading. */
import { type Context, Hono } from 'hono'
import { Secret } from '../../issuers/shared/secret.ts'
import { approve, bindingOf, deny, openApproval, type Verb } from '../broker/approvals/answer-approval.ts'
import { showApproval } from '../broker/approvals/show-approval.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import {
  authenticateOperator,
  authorizeOperator,
  demandFresh,
  type Operator,
  type OperatorAction,
  recogniseHuman,
} from '../broker/people/operators.ts'
import { parseToken } from '../keys/tokens.ts'
import { approvalsQuery, approveBody, denyBody } from './approval-schemas.ts'
import { bearer } from './bearer.ts'
import { demandSeen, eyesOf, seenPage } from './eyes.ts'
import type { Env } from './guard.ts'
import { given, query } from './page.ts'
import { createExchangeGate } from './rate-limit.ts'
import { readJson } from './read-body.ts'
import { renderApproval, renderShown } from './render-approval.ts'

/** Whoever may answer sees what they are asked. */
export const LOOKING = ['read', 'approve'] as const

export function approvalRoutes(broker: Broker): Hono<Env> {
  const { bodyBytes } = broker.limits
  const routes = new Hono<Env>()
  const gate = createExchangeGate(broker.limits, broker.now)

  /** Who answers, having signed in for this answer to this document. @throws BrokerError */
  async function freshHuman(c: Context<Env>, verb: Verb, id_token: string): Promise<Operator> {
    const within = c.get('broker')
    const idToken = new Secret(id_token)
    // Strangers do not learn what there is to be answered.
    await gate.pass(c.get('source'), () => recogniseHuman(within, idToken))
    const row = await openApproval(within, c.req.param('id') ?? '')
    const human = await demandFresh(within, idToken, bindingOf(verb, row))
    await authorizeOperator(within, human, 'approve', { agent: row.agent })
    return human
  }

  routes.get('/', async c => {
    await operatorOf(c, 'read')
    const { limit, after, ...filter } = query(c, approvalsQuery)
    const found = await c.get('broker').ledger.read.approvals(given(filter), given({ limit, after }))
    return c.json(await seenPage(c, found, renderApproval, await eyesOf(c, LOOKING)))
  })

  routes.get('/:id', async c => {
    await operatorOf(c, 'read')
    const shown = await showApproval(c.get('broker'), c.req.param('id'))
    await demandSeen(c, shown.row.agent, 'approval', await eyesOf(c, LOOKING))
    return c.json(renderShown(shown))
  })

  routes.post('/:id/approve', async c => {
    await refuseBearers(c)
    const { id_token, reason } = await readJson(c, approveBody, bodyBytes)
    const human = await freshHuman(c, 'approve', id_token)
    const row = await approve(c.get('broker'), human, c.req.param('id'), reason ?? null)
    return c.json(renderShown(await showApproval(c.get('broker'), row.id)))
  })

  routes.post('/:id/deny', async c => {
    await refuseBearers(c)
    const { id_token, reason } = await readJson(c, denyBody, bodyBytes)
    const human = await freshHuman(c, 'deny', id_token)
    return c.json(renderApproval(await deny(c.get('broker'), human, c.req.param('id'), reason)))
  })

  return routes
}

/** Workloads have nothing to look for here, whatever they hold. */
export async function operatorOf(c: Context<Env>, action: OperatorAction): Promise<Operator> {
  const operator = await anyOperator(c)
  await authorizeOperator(c.get('broker'), operator, action)
  return operator
}

/** Whoever may do nothing at all, too. @throws BrokerError `unauthenticated`; `forbidden` for a task */
export async function anyOperator(c: Context<Env>): Promise<Operator> {
  const token = bearer(c)
  if (parseToken(token.reveal())?.kind === 'task')
    throw new BrokerError('forbidden', 'a task may not look at what humans are asked, and answers nothing')
  return authenticateOperator(c.get('broker'), token)
}

/** The ID token in the body is the whole proof: a token beside it says that something else than a human asks. */
export async function refuseBearers(c: Context<Env>): Promise<void> {
  if (c.req.header('authorization') === undefined) return
  const token = bearer(c)
  const kind = parseToken(token.reveal())?.kind
  if (kind === 'operator') await authenticateOperator(c.get('broker'), token)
  throw new BrokerError(
    'forbidden',
    kind === 'task'
      ? 'a task answers nothing: a human signs in for it'
      : 'no token approves anything: a human signs in for it, and sends id_token alone',
  )
}
