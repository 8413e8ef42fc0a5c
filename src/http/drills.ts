import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { actorOf } from '../broker/people/operators.ts'
import type { Drills } from '../broker/proof/drills.ts'
import type { Env } from './guard.ts'
import { operatorFor } from './operator-guard.ts'
import { parse, readJson } from './read-body.ts'
import { renderDrill } from './render.ts'
import { drillBody, drillsQuery } from './schemas.ts'

/** `/v1/drills`, for operators: started, and then read until they are over. */
export function drillRoutes(broker: Broker, drills: Pick<Drills, 'start'>): Hono<Env> {
  const { read } = broker.ledger
  const routes = new Hono<Env>()

  routes.post('/', async c => {
    const operator = await operatorFor(c, 'drill')
    const { issuer } = await readJson(c, drillBody, broker.limits.bodyBytes)
    const drill = await drills.start(issuer, actorOf(operator))
    c.header('location', `/v1/drills/${drill.id}`)
    return c.json(renderDrill(drill), 202)
  })

  routes.get('/', async c => {
    await operatorFor(c, 'read')
    const { limit, after, issuer } = parse(drillsQuery, c.req.query())
    const filter = issuer === undefined ? {} : { issuer }
    const page = await read.drills(filter, { limit, ...(after === undefined ? {} : { after }) })
    return c.json({ items: page.items.map(renderDrill), next: page.next })
  })

  routes.get('/:id', async c => {
    await operatorFor(c, 'read')
    const drill = await read.drill(c.req.param('id'))
    if (drill === undefined) throw new BrokerError('not_found', 'no such drill')
    return c.json(renderDrill(drill))
  })

  return routes
}
