import { type Context, Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { decideChange, isPast, noSuchChange, readChange } from '../broker/people/decide-change.ts'
import { authenticateOperator, type OperatedOn, type Operator } from '../broker/people/operators.ts'
import { namespacesOfChange } from '../registry/propose.ts'
import type { ChangeRow } from '../store/rows.ts'
import { bearer } from './bearer.ts'
import { namespaceEyesOf } from './eyes.ts'
import type { Env } from './guard.ts'
import { freshOperatorFor, operatorFor } from './operator-guard.ts'
import { agreeBody, changesQuery, denyBody } from './operator-schemas.ts'
import { given, page, query } from './page.ts'
import { readJson } from './read-body.ts'
import { time } from './time.ts'

/** `/v1/changes`: what takes two humans, and was proposed by one where it would be changed (`/v1/registry/apply`). */
export function changeRoutes(broker: Broker): Hono<Env> {
  const routes = new Hono<Env>()

  routes.get('/', async c => {
    await operatorFor(c, 'read')
    const { limit, after, state } = query(c, changesQuery)
    const found = await broker.ledger.read.changes(given({ state }), given({ limit, after }))
    const sees = await changeEyesOf(c)
    const items: ChangeRow[] = []
    for (const row of found.items) if (await sees(row)) items.push(row)
    const now = await broker.ledger.now()
    return c.json(page({ ...found, items }, row => renderChange(row, now)))
  })

  routes.get('/:id', async c => {
    return c.json(renderChange(await seenChange(c, c.req.param('id')), await broker.ledger.now()))
  })

  /** Bound to the digest of the change. */
  routes.post('/:id/approve', async c => {
    const within = c.get('broker')
    const { id_token } = await readJson(c, agreeBody, broker.limits.bodyBytes)
    const change = await seenChange(c, c.req.param('id'))
    const bound = { boundTo: change.digest, idToken: id_token, on: placesOf(change) }
    const operator = await freshOperatorFor(c, 'configure', bound)
    const row = await decideChange(within, change.id, operator, { state: 'applied' })
    return c.json(renderChange(row, await within.ledger.now()))
  })

  // Nothing is widened by either of these: a session is enough.
  routes.post('/:id/deny', async c => {
    const change = await seenChange(c, c.req.param('id'))
    return end(c, change.id, await operatorFor(c, 'narrow', placesOf(change)), 'denied')
  })

  /** Whoever proposed it, whatever else they may. To others it is there as far as they see it. */
  routes.post('/:id/withdraw', async c => {
    const id = c.req.param('id')
    const operator = await authenticateOperator(c.get('broker'), bearer(c))
    const change = await broker.ledger.read.change(id)
    if (change?.proposer !== operator.id) await seenChange(c, id)
    return end(c, id, operator, 'withdrawn')
  })

  async function end(c: Context<Env>, id: string, operator: Operator, state: 'denied' | 'withdrawn') {
    const within = c.get('broker')
    const { reason } = await readJson(c, denyBody, broker.limits.bodyBytes)
    const row = await decideChange(within, id, operator, { state, reason })
    return c.json(renderChange(row, await within.ledger.now()))
  }

  return routes
}

/** Whoever may decide on a change sees what it says. */
const LOOKING = ['read', 'narrow', 'configure'] as const

/** A change is shown whole: to whoever sees every namespace in it. */
async function changeEyesOf(c: Context<Env>): Promise<(row: ChangeRow) => Promise<boolean>> {
  const sees = await namespaceEyesOf(c, LOOKING)
  return async row => {
    for (const namespace of namespacesOfChange(row)) if (!(await sees(namespace))) return false
    return true
  }
}

/** What is decided on with a change. */
const placesOf = (row: ChangeRow): OperatedOn[] =>
  namespacesOfChange(row).map(namespace => (namespace === null ? {} : { namespace }))

/** @throws BrokerError `forbidden` to whoever reads nothing here; `not_found` */
async function seenChange(c: Context<Env>, id: string): Promise<ChangeRow> {
  await operatorFor(c, 'read')
  const row = await readChange(c.get('broker'), id)
  if (!(await (await changeEyesOf(c))(row))) throw noSuchChange()
  return row
}

function renderChange(row: ChangeRow, now: number) {
  const { id, kind, document, digest, reason, proposed_by, created_at, expires_at, decided_at } = row
  return {
    ...{ id, kind, state: isPast(row, now) ? 'expired' : row.state, digest, reason, proposed_by },
    change: JSON.parse(document) as unknown,
    ...{ created_at: time(created_at), expires_at: time(expires_at) },
    ...{ decided_at: time(decided_at), decided_by: row.decided_by },
    detail: row.detail,
  }
}
