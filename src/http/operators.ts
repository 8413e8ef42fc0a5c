import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { explainDecision } from '../broker/decisions/explain-decision.ts'
import { createOperatorToken } from '../broker/people/create-operator-token.ts'
import { authenticateOperator } from '../broker/people/operators.ts'
import { readReceiptOf } from '../broker/proof/read-receipt.ts'
import type { AuditRow } from '../store/rows.ts'
import { agentRoutes } from './agents.ts'
import { attestorRoutes } from './attestors.ts'
import { bearer } from './bearer.ts'
import { renderExplained } from './explain.ts'
import { agentOfTask, demandSeen, eyesOf, seen, seenPage } from './eyes.ts'
import type { Env } from './guard.ts'
import { leakRoutes } from './leaks.ts'
import { changeRoutes } from './operator-changes.ts'
import { operatorFor } from './operator-guard.ts'
import { operatorSessionRoutes } from './operator-sessions.ts'
import { given, page, query } from './page.ts'
import { policyRoutes } from './policies.ts'
import { readJson } from './read-body.ts'
import { renderAudit, renderDelivery, renderLease, renderReceipt, renderTask } from './render.ts'
import { reviewRoutes } from './review.ts'
import { revocationRoutes } from './revocations.ts'
import { auditQuery, deliveriesQuery, leasesQuery, operatorTokenBody, tasksQuery } from './schemas.ts'

/** What operators may read and end. Nothing here can read a secret. */
export function operatorRoutes(broker: Broker): Hono<Env> {
  const { read } = broker.ledger
  const routes = new Hono<Env>()

  // Before anybody is an operator.
  routes.route('/operator-sessions', operatorSessionRoutes(broker))

  /** Reading is for whoever may read; each endpoint that does something authorizes for what it does. */
  routes.use('*', async (c, next) => {
    if (c.req.method === 'GET') await operatorFor(c, 'read')
    else await authenticateOperator(c.get('broker'), bearer(c))
    await next()
  })

  routes.route('/changes', changeRoutes(broker))

  routes.route('/agents', agentRoutes(broker))

  routes.get('/tasks', async c => {
    const { limit, after, ...filter } = query(c, tasksQuery)
    const found = await read.tasks(given(filter), given({ limit, after }))
    return c.json(await seenPage(c, found, row => renderTask(row, [])))
  })

  routes.get('/tasks/:id/receipt', async c => {
    const id = c.req.param('id')
    await demandSeen(c, await agentOfTask(c.get('broker'), id), 'task')
    return c.json(renderReceipt(await readReceiptOf(c.get('broker'), id)))
  })

  routes.get('/deliveries', async c => {
    const { limit, after, ...filter } = query(c, deliveriesQuery)
    const found = await read.deliveries(given(filter), given({ limit, after }))
    const items = await seen(found.items, await eyesOf(c), row => agentOfTask(broker, row.task))
    return c.json(page({ ...found, items }, renderDelivery))
  })

  routes.get('/leases', async c => {
    const { limit, after, ...filter } = query(c, leasesQuery)
    return c.json(await seenPage(c, await read.leases(given(filter), given({ limit, after })), renderLease))
  })

  routes.get('/leases/:id', async c => {
    const lease = await read.lease(c.req.param('id'))
    if (lease === undefined) throw new BrokerError('not_found', 'no such lease')
    await demandSeen(c, lease.agent, 'lease')
    return c.json(renderLease(lease))
  })

  routes.get('/decisions/:id', async c => {
    const explained = await explainDecision(c.get('broker'), c.req.param('id'))
    await demandSeen(c, explained.decision.agent, 'decision')
    return c.json(renderExplained(explained))
  })

  routes.get('/audit', async c => {
    const { limit, after, ...filter } = query(c, auditQuery)
    const found = await read.audit(given(filter), given({ limit, after }))
    const agentOf = (row: AuditRow) => row.agent ?? agentOfTask(broker, row.task)
    return c.json(page({ ...found, items: await seen(found.items, await eyesOf(c), agentOf) }, renderAudit))
  })

  routes.route('/', reviewRoutes(broker))

  routes.route('/revocations', revocationRoutes(broker))

  routes.route('/leaks', leakRoutes(broker))

  routes.route('/policies', policyRoutes(broker))

  routes.route('/attestors', attestorRoutes(broker))

  /** One row: the token that asked for this ends here, and so does whoever else holds it. */
  routes.post('/operator-tokens', async c => {
    const { name, kind } = await authenticateOperator(c.get('broker'), bearer(c))
    if (kind !== 'token') throw new BrokerError('forbidden', 'an operator token alone renews itself')
    await readJson(c, operatorTokenBody, broker.limits.bodyBytes)
    const { token, expiresAt } = await createOperatorToken(c.get('broker'), name)
    return c.json({ token: token.reveal(), name, expires_at: new Date(expiresAt).toISOString() }, 201)
  })

  return routes
}
