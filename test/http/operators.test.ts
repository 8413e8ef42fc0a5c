import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canonicalDigest } from '../../src/canonical.ts'
import type { RunningServer } from '../../src/server.ts'
import { ORDERS, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let broker: RunningServer
let api: Api
const as = (id: string) => sessionOf(broker, installation, id)

beforeAll(async () => {
  installation = await createPeopledInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker.stop()
  await installation.close()
})

describe('a session', () => {
  test('reads, says whose it is, and ends', async () => {
    const token = await as('vera')
    expect((await api.call('GET', '/v1/leases', token)).status).toBe(200)
    const me = await api.call('GET', '/v1/operator-sessions/current', token)
    expect(me.body).toMatchObject({ kind: 'human', name: 'Vera', groups: ['mayfly-viewer'], ended_at: null })
    expect((await api.call('POST', '/v1/operator-sessions/current/end', token, {})).status).toBe(200)
    expect((await api.call('GET', '/v1/leases', token)).status).toBe(401)
  })

  test('reads the receipt of a task, where workloads read theirs', async () => {
    const task = await api.open([{ type: 'jwt', audience: ORDERS }])
    await api.complete(task)
    await api.until(task, 'settled')
    const path = `/v1/tasks/${task.id}/receipt`
    await expect.poll(async () => (await api.call('GET', path, await as('vera'))).status).toBe(200)
  })

  test('is listed without its token, and an admin ends it', async () => {
    const token = await as('vera')
    const admin = await as('ada')
    const listed = await api.call('GET', '/v1/operator-sessions', admin)
    const veras = listed.body.items.find((row: { subject: string }) => row.subject === 'vera')
    expect(JSON.stringify(listed.body)).not.toContain('token')
    expect((await api.call('POST', `/v1/operator-sessions/${veras.id}/end`, token, {})).status).toBe(200)
    const cleo = await as('cleo')
    const bos = (await api.call('GET', '/v1/operator-sessions/current', await as('bo'))).body.id
    expect((await api.call('POST', `/v1/operator-sessions/${bos}/end`, cleo, {})).status).toBe(403)
    expect((await api.call('POST', `/v1/operator-sessions/${bos}/end`, admin, {})).body.ended_by).toContain(
      'Ada',
    )
  })

  test('keeps the groups of its sign-in until it is over, and a human out of a group gets no other', async () => {
    installation.people.addPerson({ id: 'tim', groups: ['mayfly-viewer'] })
    const token = await as('tim')
    installation.people.addPerson({ id: 'tim', groups: [] })
    expect((await api.call('GET', '/v1/leases', token)).status).toBe(200)
    expect((await api.call('GET', '/v1/leases', await as('tim'))).status).toBe(403)
  })

  test('is over after its time', async () => {
    const token = await as('vera')
    installation.clock.advance(8 * 60 * 60_000 + 1)
    expect((await api.call('GET', '/v1/leases', token)).status).toBe(401)
  })

  test('revokes for whom it may, and for an owner their own team only', async () => {
    const revoke = async (id: string, filter: object) =>
      (await api.call('POST', '/v1/revocations', await as(id), { ...filter, reason: 'a test' })).status
    expect(await revoke('vera', { agent: 'release' })).toBe(403)
    expect(await revoke('olga', { agent: 'release' })).toBe(202)
    expect(await revoke('olga', { everything: true })).toBe(403)
    expect(await revoke('olga', { issuer: 'github' })).toBe(403)
    expect(await revoke('ada', { everything: true })).toBe(202)
  })

  test('widens nothing: unblocking takes a fresh sign-in of the same human', async () => {
    const token = await as('ada')
    const held = await api.call('POST', '/v1/revocations', token, {
      agent: 'coder',
      reason: 'a test',
      hold: true,
    })
    const path = `/v1/revocations/${held.body.id}/unblock`
    const boundTo = canonicalDigest({ unblock: held.body.id })
    expect((await api.call('POST', path, token, {})).body).toMatchObject({
      status: 401,
      code: 'fresh_sign_in_needed',
    })
    const unblock = (id_token: string) => api.call('POST', path, token, { id_token })
    expect((await unblock(await installation.signInAs('bo', { boundTo }))).status).toBe(403)
    expect((await unblock(await installation.signInAs('vera', { boundTo }))).status).toBe(403)
    const other = canonicalDigest({ unblock: 'another' })
    expect((await unblock(await installation.signInAs('ada', { boundTo: other }))).status).toBe(401)
    const good = await installation.signInAs('ada', { boundTo })
    expect((await unblock(good)).body).toMatchObject({ blocking: false })
    expect((await unblock(good)).body).toMatchObject({ code: 'fresh_sign_in_needed' })
  })
})

describe('whoever answers for an agent takes back what they held of it', () => {
  async function heldBy(who: string, filter: object): Promise<(as: string) => Promise<number>> {
    const order = { ...filter, reason: 'a test', hold: true }
    const held = await api.call('POST', '/v1/revocations', await as(who), order)
    expect(held.status).toBe(202)
    const boundTo = canonicalDigest({ unblock: held.body.id })
    return async human => {
      const id_token = await installation.signInAs(human, { boundTo })
      const path = `/v1/revocations/${held.body.id}/unblock`
      return (await api.call('POST', path, await as(human), { id_token })).status
    }
  }

  test('an owner of the team, and nobody of another', async () => {
    const unblockAs = await heldBy('olga', { agent: 'release' })
    expect(await unblockAs('paul')).toBe(403)
    expect(await unblockAs('olga')).toBe(200)
  })

  test('a task of the agent’s is the agent’s, too', async () => {
    const task = await api.open([{ type: 'jwt', audience: ORDERS }])
    expect(await (await heldBy('olga', { task: task.id }))('olga')).toBe(200)
  })

  test('what was held of more than their own is not theirs', async () => {
    const unblockAs = await heldBy('ada', { issuer: 'github' })
    expect(await unblockAs('olga')).toBe(403)
    expect(await unblockAs('ada')).toBe(200)
  })

  test('what is not there is told to those who may take back anything', async () => {
    const path = '/v1/revocations/rev_none/unblock'
    const boundTo = canonicalDigest({ unblock: 'rev_none' })
    const unblockAs = async (id: string) =>
      api.call('POST', path, await as(id), { id_token: await installation.signInAs(id, { boundTo }) })
    expect([(await unblockAs('olga')).status, (await unblockAs('ada')).status]).toEqual([403, 404])
  })
})

describe('nobody who is in no group may do anything', () => {
  /** Every endpoint of operators, as the OpenAPI document has it. */
  test('on any endpoint of operators', async () => {
    const zoe = await as('zoe')
    const { body: document } = await api.call('GET', '/openapi.json')
    type Operation = { security?: Record<string, unknown>[] }
    const operations = Object.entries(document.paths as Record<string, Record<string, Operation>>).flatMap(
      ([path, methods]) =>
        Object.entries(methods)
          .filter(([, { security = [] }]) => security.some(one => 'operatorToken' in one))
          .map(([method]) => ({
            method: method.toUpperCase(),
            path: path.replace('{kind}', 'agent').replaceAll(/\{\w+\}/g, 'payments.x'),
          })),
    )
    expect(operations.length).toBeGreaterThan(12)
    const open: string[] = []
    for (const { method, path } of operations) {
      if (OWN.has(`${method} ${path}`)) continue
      if (method === 'GET' && path.startsWith('/v1/registry/')) continue
      const verb = /^\/v1\/agents\/[^/]+\/\w+$/.test(path) ? { reason: 'a test' } : {}
      const body = method === 'GET' ? undefined : (BODIES[`${method} ${path}`] ?? verb)
      const { status } = await api.call(method, path, zoe, body)
      if (status !== 403) open.push(`${method} ${path}: ${status}`)
    }
    expect(open).toEqual([])
  })

  test('nor learn what is registered, but for the names of what all teams may use', async () => {
    const zoe = await as('zoe')
    const { body } = await api.call('GET', '/v1/registry/agent', zoe)
    expect(body.items).toEqual([])
    expect((await api.call('GET', '/v1/registry/agent/release', zoe)).status).toBe(404)
    expect((await api.call('GET', '/v1/registry/agent/release/versions', zoe)).status).toBe(404)
    const issuers = (await api.call('GET', '/v1/registry/issuer', zoe)).body.items
    for (const row of issuers) expect(Object.keys(row)).toEqual(['kind', 'name', 'managed_by', 'type'])
  })

  /** What is about the bearer alone. */
  const OWN = new Set(['GET /v1/operator-sessions/current'])

  /** Bodies that are parsed before it is known what is to be authorized. */
  const BODIES: Record<string, object> = {
    'POST /v1/revocations': { everything: true, reason: 'a test' },
    'POST /v1/drills': { issuer: 'jwt' },
    'POST /v1/changes/payments.x/deny': { reason: 'a test' },
    'POST /v1/changes/payments.x/withdraw': { reason: 'a test' },
    'POST /v1/agents/payments.x/certify': { reason: 'a test', valid_until: '2040-01-01T00:00:00Z' },
    'POST /v1/registry/plan': { remove: [{ kind: 'agent', name: 'payments.x' }] },
    'POST /v1/registry/apply': {
      ...{ remove: [{ kind: 'agent', name: 'payments.x' }], reason: 'a test' },
      plan: { generation: 1, digest: 'f'.repeat(64) },
    },
  }
})

describe('an operator token', () => {
  test('goes on as before, and approves nothing', async () => {
    const token = await operatorTokenOf(broker)
    expect((await api.call('GET', '/v1/leases', token)).status).toBe(200)
    expect((await api.call('GET', '/v1/operator-sessions/current', token)).body).toMatchObject({
      kind: 'token',
    })
  })
})
