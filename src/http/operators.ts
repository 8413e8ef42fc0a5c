import { type Context, Hono } from 'hono'
import type { z } from 'zod'
import { authenticateOperator } from '../broker/authenticate.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { createOperatorToken } from '../broker/create-operator-token.ts'
import { readReceiptOf } from '../broker/read-receipt.ts'
import { revokeByOperator } from '../broker/revoke.ts'
import type { Page } from '../store/ledger.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'
import { parse, readJson } from './read-body.ts'
import { renderAgent, renderAudit, renderDelivery, renderLease, renderReceipt, renderTask } from './render.ts'
import {
  auditQuery,
  deliveriesQuery,
  leasesQuery,
  operatorTokenBody,
  revocationBody,
  tasksQuery,
} from './schemas.ts'

/** What a human with an operator token may read and end. Nothing here can read a secret. */
export function operatorRoutes(broker: Broker): Hono<Env> {
  const { read } = broker.ledger
  const routes = new Hono<Env>()

  routes.use('*', async (c, next) => {
    await authenticateOperator(broker, bearer(c))
    c.header('cache-control', 'no-store')
    await next()
  })

  routes.get('/agents', async c => c.json({ items: (await read.agents()).map(renderAgent), next: null }))

  routes.get('/tasks', async c => {
    const { limit, after, ...filter } = query(c, tasksQuery)
    return c.json(page(await read.tasks(given(filter), given({ limit, after })), row => renderTask(row, [])))
  })

  routes.get('/tasks/:id/receipt', async c =>
    c.json(renderReceipt(await readReceiptOf(broker, c.req.param('id')))),
  )

  routes.get('/deliveries', async c => {
    const { limit, after, ...filter } = query(c, deliveriesQuery)
    return c.json(page(await read.deliveries(given(filter), given({ limit, after })), renderDelivery))
  })

  routes.get('/leases', async c => {
    const { limit, after, ...filter } = query(c, leasesQuery)
    return c.json(page(await read.leases(given(filter), given({ limit, after })), renderLease))
  })

  routes.get('/leases/:id', async c => {
    const lease = await read.lease(c.req.param('id'))
    if (lease === undefined) throw new BrokerError('not_found', 'no such lease')
    return c.json(renderLease(lease))
  })

  routes.get('/decisions/:id', async c => {
    const decision = await read.decision(c.req.param('id'))
    if (decision === undefined) throw new BrokerError('not_found', 'no such decision')
    const { reasons, facts, decided_at, ...rest } = decision
    const at = new Date(decided_at).toISOString()
    return c.json({ ...rest, decided_at: at, reasons: JSON.parse(reasons), facts: JSON.parse(facts) })
  })

  routes.get('/audit', async c => {
    const { limit, after, ...filter } = query(c, auditQuery)
    return c.json(page(await read.audit(given(filter), given({ limit, after })), renderAudit))
  })

  routes.post('/revocations', async c => {
    const operator = await authenticateOperator(broker, bearer(c))
    const { reason, ...target } = await readJson(c, revocationBody, broker.limits.bodyBytes)
    return c.json(await revokeByOperator(broker, target, `operator:${operator.name}`, reason), 202)
  })

  /** One row: the token that asked for this ends here, and so does whoever else holds it. */
  routes.post('/operator-tokens', async c => {
    const { name } = await authenticateOperator(broker, bearer(c))
    await readJson(c, operatorTokenBody, broker.limits.bodyBytes)
    const { token, expiresAt } = await createOperatorToken(broker, name)
    return c.json({ token: token.reveal(), name, expires_at: new Date(expiresAt).toISOString() }, 201)
  })

  return routes
}

/** Query parameters by a strict schema; a parameter that comes twice is refused. */
function query<T>(c: Context, schema: z.ZodType<T>): T {
  const all = c.req.queries()
  const twice = Object.entries(all).find(([, values]) => values.length > 1)
  if (twice !== undefined)
    throw new BrokerError('request_invalid', `the parameter ${twice[0]} was sent twice`)
  return parse(schema, c.req.query())
}

function page<Row, Shown>({ items, next }: Page<Row>, show: (row: Row) => Shown) {
  return { items: items.map(show), next }
}

/** Without the members that are undefined. */
function given<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}
