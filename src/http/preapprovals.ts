/** `/v1/preapprovals`: consent beforehand. Who gives it signs in for that alone. */
import { Hono } from 'hono'
import type { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'
import {
  openPreapproval,
  type PreapprovalOrder,
  planPreapproval,
  preapprovalBinding,
  revokePreapproval,
} from '../broker/approvals/preapprovals.ts'
import type { Broker } from '../broker/broker.ts'
import { actorOf, authorizeOperator, demandFresh, recogniseHuman } from '../broker/people/operators.ts'
import { preapprovalBody, preapprovalPreviewBody, preapprovalsQuery } from './approval-schemas.ts'
import { anyOperator, LOOKING, operatorOf, refuseBearers } from './approvals.ts'
import { demandSeen, eyesOf, seenPage } from './eyes.ts'
import type { Env } from './guard.ts'
import { given, query } from './page.ts'
import { createExchangeGate } from './rate-limit.ts'
import { readJson } from './read-body.ts'
import { renderPreapproval } from './render-approval.ts'
import { toAsk } from './to-ask.ts'

export function preapprovalRoutes(broker: Broker): Hono<Env> {
  const { bodyBytes } = broker.limits
  const routes = new Hono<Env>()
  const gate = createExchangeGate(broker.limits, broker.now)

  routes.get('/', async c => {
    await operatorOf(c, 'read')
    const { limit, after, agent, open } = query(c, preapprovalsQuery)
    const filter = {
      ...(agent === undefined ? {} : { agent }),
      ...(open === undefined ? {} : { open: await c.get('broker').ledger.now() }),
    }
    const found = await c.get('broker').ledger.read.preapprovals(filter, given({ limit, after }))
    return c.json(await seenPage(c, found, renderPreapproval, await eyesOf(c, LOOKING)))
  })

  /** What is to be agreed to, and what the sign-in is to be bound to. */
  routes.post('/preview', async c => {
    await operatorOf(c, 'read')
    const order = orderOf(await readJson(c, preapprovalPreviewBody, bodyBytes))
    await demandSeen(c, order.agent, 'agent', await eyesOf(c, LOOKING))
    const { document, digest } = await planPreapproval(c.get('broker'), order)
    return c.json({ document, digest, sign_in_for: preapprovalBinding(digest) })
  })

  routes.post('/', async c => {
    await refuseBearers(c)
    const { id_token, ...body } = await readJson(c, preapprovalBody, bodyBytes)
    const idToken = new Secret(id_token)
    const on = { agent: body.agent }
    // Before anything of the agent is looked at, or asked of a provider.
    const known = await gate.pass(c.get('source'), () => recogniseHuman(c.get('broker'), idToken))
    await authorizeOperator(c.get('broker'), { ...known, fresh: true }, 'approve', on)
    const planned = await planPreapproval(c.get('broker'), orderOf(body))
    const human = await demandFresh(c.get('broker'), idToken, preapprovalBinding(planned.digest))
    await authorizeOperator(c.get('broker'), human, 'approve', on)
    return c.json(renderPreapproval(await openPreapproval(c.get('broker'), human, planned)), 201)
  })

  /** Narrows: whose consent it is, and whoever may revoke what is the agent's, may take it back. */
  routes.delete('/:id', async c => {
    const within = c.get('broker')
    const operator = await anyOperator(c)
    const window = await within.ledger.read.preapproval(c.req.param('id'))
    if (window?.human !== operator.id)
      await authorizeOperator(within, operator, 'revoke', window === undefined ? {} : { agent: window.agent })
    const row = await revokePreapproval(within, actorOf(operator), c.req.param('id'))
    return c.json(renderPreapproval(row))
  })

  return routes
}

function orderOf(body: z.infer<typeof preapprovalPreviewBody>): PreapprovalOrder {
  const { agent, authorization_details, minutes, uses, reason } = body
  return { agent, wanted: toAsk(authorization_details[0]), minutes, uses, reason }
}
