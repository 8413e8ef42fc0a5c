import { type Context, Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { authenticateOperator, authorizeOperator, type Operator } from '../broker/people/operators.ts'
import { applyPlan, takesTwo } from '../registry/apply.ts'
import { namespacesIn } from '../registry/documents.ts'
import { type Plan, planSet } from '../registry/plan.ts'
import { proposePlan } from '../registry/propose.ts'
import type { LiveRegistry } from '../registry/registry.ts'
import type { WantedSet } from '../registry/wanted.ts'
import type { ResourceKind, ResourceRow } from '../store/rows.ts'
import { bearer } from './bearer.ts'
import { namespaceEyesOf } from './eyes.ts'
import type { Env } from './guard.ts'
import { freshOperatorFor } from './operator-guard.ts'
import { parse, readJson } from './read-body.ts'
import { applyBody, kindShape, planBody, versionsQuery } from './registry-schemas.ts'

/** `/v1/registry`: what is registered, and how a team registers what is its own. Nothing here can read a secret. */
export function registryRoutes(broker: Broker, registry: LiveRegistry): Hono<Env> {
  const { registryBodyBytes } = broker.limits
  const { read } = broker.ledger
  const routes = new Hono<Env>()

  routes.post('/plan', async c => {
    const operator = await authenticateOperator(c.get('broker'), bearer(c))
    const set = wanted(await readJson(c, planBody, registryBodyBytes))
    await demandRead(c.get('broker'), operator, set)
    return c.json((await planSet(c.get('broker'), registry.options, set)).plan)
  })

  routes.post('/apply', async c => {
    const within = c.get('broker')
    const session = await authenticateOperator(within, bearer(c))
    const { plan, reason, id_token, ...body } = await readJson(c, applyBody, registryBodyBytes)
    const set = wanted(body)
    await demandRead(within, session, set)
    const planned = await planSet(within, registry.options, set)
    const operator = await demandRegister(c, planned.plan, id_token)
    const application = { set, reason, plan }
    const kind = takesTwo(within, application, planned)
    if (kind !== undefined) {
      const change = await proposePlan(within, operator, { application, planned, kind })
      c.header('location', `/v1/changes/${change}`)
      return c.json({ pending: change, changes: planned.plan.changes }, 202)
    }
    const generation = await applyPlan(within, registry, operator, { application, planned })
    return c.json({ generation, changes: planned.plan.changes })
  })

  routes.get('/:kind', async c => {
    const kind = kindOf(c)
    const see = await eyesOf(c)
    const rows = (await read.resources()).filter(row => row.kind === kind)
    const items: object[] = []
    for (const row of rows) {
      const seen = await see(row)
      if (seen !== undefined) items.push(seen)
    }
    return c.json({ items, next: null })
  })

  routes.get('/:kind/:name', async c => {
    const see = await eyesOf(c)
    const row = await read.resource(kindOf(c), c.req.param('name'))
    const seen = row === undefined ? undefined : await see(row)
    if (seen === undefined) throw notFound()
    return c.json(seen)
  })

  routes.get('/:kind/:name/versions', async c => {
    const kind = kindOf(c)
    const { limit, after } = parse(versionsQuery, c.req.query())
    const see = await eyesOf(c)
    const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) }
    const rows = await read.resourceVersions(kind, c.req.param('name'), page)
    const items: object[] = []
    for (const row of rows.slice(0, limit)) {
      const seen = await see(row)
      if (seen !== undefined) items.push(seen)
    }
    if (items.length === 0 && after === undefined) throw notFound()
    return c.json({ items, next: rows.length > limit ? String(rows[limit - 1]?.version) : null })
  })

  return routes
}

const notFound = () => new BrokerError('not_found', 'no such resource')

function wanted(body: ReturnType<(typeof planBody)['parse']>): WantedSet {
  const { documents, ...rest } = body
  return {
    ...rest,
    documents: documents.map((one, index) =>
      'text' in one ? one : { source: `documents[${index}]`, text: JSON.stringify(one.document) },
    ),
  }
}

/** Whoever may not look at a namespace learns nothing of it by planning, either. */
async function demandRead(broker: Broker, operator: Operator, set: WantedSet): Promise<void> {
  for (const namespace of namespacesIn(set))
    await authorizeOperator(broker, operator, 'read', namespace === null ? {} : { namespace })
}

/** A human has signed in for exactly this plan. Policies are more than a namespace's own matter. */
async function demandRegister(c: Context<Env>, plan: Plan, idToken: string | undefined): Promise<Operator> {
  const on = plan.namespaces.map(namespace => ({ namespace }))
  const operator = await freshOperatorFor(c, 'register', { boundTo: plan.digest, idToken, on })
  if (plan.changes.some(({ kind }) => kind === 'policy'))
    for (const one of on) await authorizeOperator(c.get('broker'), operator, 'configure', one)
  return operator
}

function kindOf(c: Context<Env>): ResourceKind {
  const kind = kindShape.safeParse(c.req.param('kind'))
  if (kind.success) return kind.data
  throw new BrokerError('not_found', `no such kind; there are ${kindShape.options.join(', ')}`)
}

/** What of each row this operator sees; undefined: not even that it is there. */
async function eyesOf(c: Context<Env>) {
  const sees = await namespaceEyesOf(c)
  return async (row: ResourceRow): Promise<object | undefined> => {
    if (await sees(row.namespace)) return renderResource(row)
    return row.namespace === null && SHARED.has(row.kind) ? renderShared(row) : undefined
  }
}

/** A team must know what the operator's issuers and attestors are called; their settings are not its own. */
const SHARED: ReadonlySet<ResourceKind> = new Set(['attestor', 'issuer'])

function renderShared({ kind, name, managed_by, document }: ResourceRow) {
  return { kind, name, managed_by, type: (JSON.parse(document) as { type: string }).type }
}

function renderResource(row: ResourceRow) {
  const { current: _, mac: __, document, at, ...rest } = row
  return { ...rest, at: new Date(at).toISOString(), document: asWritten(row.kind, JSON.parse(document)) }
}

/** As a file would say it. */
function asWritten(kind: ResourceKind, document: Readonly<Record<string, unknown>>) {
  if (kind !== 'agent') return document
  return { ...document, expires_at: new Date(Number(document.expires_at)).toISOString() }
}
