/** The OpenAPI document names every endpoint of `/v1`, and what it says of answers is so. */
import { createHash } from 'node:crypto'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AppOptions, createApp } from '../../src/http/app.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { createDelegation, type Delegation } from '../support/delegation.ts'
import { operatorTokenOf } from '../support/operator.ts'

let installation: Delegation
let broker: RunningServer
let api: Api
let operator: string
// biome-ignore lint/suspicious/noExplicitAny: the document is looked into member by member.
let document: any

beforeAll(async () => {
  installation = await createDelegation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
  document = (await api.call('GET', '/openapi.json')).body
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

test('every endpoint of /v1 is described, and none that there is not', () => {
  // Nothing is asked of it: what its routes need of the rest does not matter.
  const options = { publicUrl: 'http://127.0.0.1', proxyHops: 0, operators: true } as unknown as AppOptions
  const served = createApp(broker.broker, options)
    .routes.filter(({ method, path }) => method !== 'ALL' && path.startsWith('/v1/'))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')}`)
  const described = Object.entries(document.paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${path}`),
  )
  expect(described.sort()).toEqual([...new Set(served)].sort())
})

/** The answer, which must be as the document says. */
async function told(method: 'GET' | 'POST', path: string, described: string, body?: object): Promise<Answer> {
  const answer = await api.call(method, path, operator, body)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  const { schema } =
    document.paths[described][method.toLowerCase()].responses['200'].content['application/json']
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  const isTrue = ajv.compile({ ...schema, components: document.components })
  expect(isTrue(answer.body), JSON.stringify(isTrue.errors)).toBe(true)
  // The schema says something: it is not one that everything fits.
  expect(isTrue({ ...answer.body, more: 1 })).toBe(false)
  return answer
}

const jwt = (token: string) => ({ type: 'jwt', token })
const trailOf = async (id: string) =>
  (await told('GET', `/v1/tasks/${id}/trail`, '/v1/tasks/{id}/trail')).body

test('trails: of a parent and its child, for a human, denied, settled, and of the broker itself', async () => {
  const wanted = { authorization_details: [asks.apiRead] }
  const parent = await api.open([asks.apiRead], {
    evidence: jwt(installation.svid('/agent/coder')),
    on_behalf_of: jwt(await installation.humanToken()),
  })
  const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
    ...{ agent: 'reviewer', minutes: 10 },
    ...wanted,
  })
  const child = await api.open([asks.apiRead], {
    evidence: jwt(installation.svid('/agent/reviewer')),
    ticket: ticket.body.ticket,
  })
  expect((await api.credential(child)).status).toBe(201)
  const wide = { ask: { ...asks.api, permissions: { contents: 'write', issues: 'write' } } }
  await api.call('POST', `/v1/tasks/${child.id}/credentials`, child.token, wide)
  expect(await trailOf(parent.id)).toMatchObject({
    task: { on_behalf_of: { name: 'Hanna' } },
    descendants: [{ id: child.id }],
    receipt: null,
  })
  expect((await trailOf(child.id)).ancestors).toMatchObject([{ id: parent.id }])
  await settled(parent)
  await broker.look()
  const after = await trailOf(child.id)
  expect(after.receipt).toEqual(expect.any(String))
  const closed = { state: 'closed', closed_as: 'revoked', confirmed_dead_at: expect.any(String) }
  expect(after.credentials).toMatchObject([closed])
  const own = await broker.broker.ledger.read.leases({ agent: 'mayfly' }, { limit: 1 })
  expect((await trailOf(own.items[0]!.task)).task.agent).toBe('mayfly')
})

async function settled(task: OpenedTask): Promise<void> {
  await api.complete(task)
  await api.until(task, 'settled')
}

test('reviews, and what is recognised', async () => {
  const task = await api.open([asks.apiRead])
  const { credential, lease } = (await api.credential(task)).body
  await settled(task)
  const from = new Date(installation.clock.now() - 3_600_000).toISOString()
  const to = new Date(installation.clock.now() + 3_600_000).toISOString()
  const review = async (more = '') =>
    (await told('GET', `/v1/review?from=${from}&to=${to}${more}`, '/v1/review')).body
  const all = await review()
  expect(all.agents.map((one: { agent: string }) => one.agent)).toContain('reviewer')
  expect(all.surplus).not.toEqual([])
  expect((await review('&agent=release')).agents).toMatchObject([{ credentials: { minted: 1 } }])
  const sha256 = createHash('sha256').update(credential).digest('hex')
  const path = '/v1/credentials/recognise'
  const { body } = await told('POST', path, path, {
    credentials: [{ sha256 }, { session: lease }, { session: 'unknown' }],
  })
  expect(body.items.map((one: { lease: string | null }) => one.lease)).toEqual([lease, lease, null])
})
