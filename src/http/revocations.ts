import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { authenticateOperator } from '../broker/operators.ts'
import { previewRevocation } from '../broker/preview-revocation.ts'
import { revocationStatus, startRevocation, unblock } from '../broker/revocations.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'
import { given, page, query } from './page.ts'
import { readJson } from './read-body.ts'
import { renderPreview, renderRevocation } from './render.ts'
import { revocationBody, revocationsQuery, unblockBody } from './schemas.ts'

/** The operator's switch; mounted where operators are authenticated. */
export function revocationRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.post('/', async c => {
    const { name } = await authenticateOperator(c.get('broker'), bearer(c))
    const body = await readJson(c, revocationBody, broker.limits.bodyBytes)
    const { reason, hold, dry_run, everything: _, ...parts } = body
    const filter = given(parts)
    if (dry_run) return c.json(renderPreview(filter, await previewRevocation(c.get('broker'), filter)), 200)
    const { id } = await startRevocation(c.get('broker'), { filter, reason, hold }, `operator:${name}`)
    c.header('location', `/v1/revocations/${id}`)
    return c.json(renderRevocation(await revocationStatus(c.get('broker'), id)), 202)
  })

  routes.get('/', async c => {
    const { limit, after, blocking } = query(c, revocationsQuery)
    const filter = blocking === undefined ? {} : { blocking: true as const }
    const found = await c.get('broker').ledger.read.revocations(filter, given({ limit, after }))
    return c.json(page(found, row => renderRevocation({ row })))
  })

  routes.get('/:id', async c =>
    c.json(renderRevocation(await revocationStatus(c.get('broker'), c.req.param('id')))),
  )

  routes.post('/:id/unblock', async c => {
    const { name } = await authenticateOperator(c.get('broker'), bearer(c))
    await readJson(c, unblockBody, broker.limits.bodyBytes)
    return c.json(
      renderRevocation({ row: await unblock(c.get('broker'), c.req.param('id'), `operator:${name}`) }),
    )
  })

  return routes
}
