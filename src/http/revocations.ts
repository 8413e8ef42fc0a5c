import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { actorOf, type OperatedOn } from '../broker/people/operators.ts'
import { demandKnown } from '../broker/revocations/known-target.ts'
import { previewRevocation } from '../broker/revocations/preview-revocation.ts'
import { revocationStatus, startRevocation, unblock } from '../broker/revocations/revocations.ts'
import { canonicalDigest } from '../canonical.ts'
import type { RevocationFilter } from '../policy/revocation-filter.ts'
import type { RevocationRow } from '../store/rows.ts'
import { demandSeen, eyesOf, seen } from './eyes.ts'
import type { Env } from './guard.ts'
import { freshOperatorFor, operatorFor } from './operator-guard.ts'
import { given, page, query } from './page.ts'
import { readJson } from './read-body.ts'
import { renderPreview, renderRevocation } from './render.ts'
import { revocationBody, revocationsQuery, unblockBody } from './schemas.ts'

/** The operator's switch; mounted where operators are authenticated. */
export function revocationRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.post('/', async c => {
    const body = await readJson(c, revocationBody, broker.limits.bodyBytes)
    const { reason, hold, unregistered, dry_run, everything: _, ...parts } = body
    const filter = given(parts)
    const on = await reachOf(c.get('broker'), filter)
    const operator = await operatorFor(c, dry_run ? 'read' : 'revoke', on)
    const sees = await eyesOf(c)
    if (!unregistered) await demandKnown(c.get('broker'), filter, sees)
    if (dry_run) {
      const preview = await previewRevocation(c.get('broker'), filter)
      const tasks = await seen(preview.tasks, sees, one => one.agent)
      const leases = await seen(preview.leases, sees, one => one.agent)
      return c.json(renderPreview(filter, { ...preview, tasks, leases }), 200)
    }
    const { id } = await startRevocation(c.get('broker'), { filter, reason, hold }, actorOf(operator))
    c.header('location', `/v1/revocations/${id}`)
    return c.json(renderRevocation(await revocationStatus(c.get('broker'), id)), 202)
  })

  routes.get('/', async c => {
    const { limit, after, blocking } = query(c, revocationsQuery)
    const filter = blocking === undefined ? {} : { blocking: true as const }
    const within = c.get('broker')
    const found = await within.ledger.read.revocations(filter, given({ limit, after }))
    const items = await seen(found.items, await eyesOf(c), row => agentOfRun(within, row))
    return c.json(page({ ...found, items }, row => renderRevocation({ row })))
  })

  routes.get('/:id', async c => {
    const status = await revocationStatus(c.get('broker'), c.req.param('id'))
    await demandSeen(c, await agentOfRun(c.get('broker'), status.row), 'revocation')
    return c.json(renderRevocation(status))
  })

  routes.post('/:id/unblock', async c => {
    const { id_token: idToken } = await readJson(c, unblockBody, broker.limits.bodyBytes)
    const id = c.req.param('id')
    const boundTo = canonicalDigest({ unblock: id })
    const row = await c.get('broker').ledger.read.revocation(id)
    const on = row === undefined ? {} : await reachOfRun(c.get('broker'), row)
    const operator = await freshOperatorFor(c, 'widen', { boundTo, idToken, on })
    return c.json(renderRevocation({ row: await unblock(c.get('broker'), id, actorOf(operator)) }))
  })

  return routes
}

/** Null: it is not one agent's, and for everybody who reads here at all. */
async function agentOfRun(broker: Broker, row: RevocationRow): Promise<string | null> {
  return (await reachOfRun(broker, row)).agent ?? null
}

/** Whoever may revoke it for being one agent's may, with the right to widen, take that back. */
const reachOfRun = (broker: Broker, { filter }: RevocationRow): Promise<OperatedOn> =>
  reachOf(broker, JSON.parse(filter) as RevocationFilter)

/** What it is done to, where it is one agent's: whoever answers for that agent may do it. */
async function reachOf({ ledger: { read } }: Broker, filter: RevocationFilter): Promise<OperatedOn> {
  const named = filter.agent
  if (named !== undefined) return { agent: named }
  const held = filter.lease === undefined ? undefined : await read.lease(filter.lease)
  const task = filter.task === undefined ? undefined : await read.task(filter.task)
  const agent = held?.agent ?? task?.agent
  return agent === undefined ? {} : { agent }
}
