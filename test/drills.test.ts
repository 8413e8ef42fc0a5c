/** Drills through HTTP: what they show is true, and what they cannot show is said. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LIMITS } from '../src/limits.ts'
import { type RunningServer, startServer } from '../src/server.ts'
import type { FaultDecision } from './fakes/faults.ts'
import {
  asks,
  createInstallation,
  edgeFor,
  type Installation,
  ORDERS,
  RESOURCE_SERVER,
  silent,
} from './fakes/installation.ts'
import { type Answer, type Api, createApi } from './support/api.ts'
import { operatorTokenOf } from './support/operator.ts'

const HOUR_MS = 3_600_000

let installation: Installation
let broker: RunningServer
let api: Api
let operator: string
let alarms: Record<string, unknown>[]
let everyDay: () => Promise<void>
let resourceServer: Server
/** What the resource server says of a token that introspection calls inactive. */
let toTheDead: 204 | 401 | 403

const { type: _jwt, ...ordersAsk } = asks.orders
const { type: _github, ...githubAsk } = asks.apiRead

beforeEach(async () => {
  alarms = []
  toTheDead = 401
  resourceServer = createServer((request, response) => {
    void introspect(String(request.headers.authorization).slice('Bearer '.length)).then(active =>
      response.writeHead(active ? 204 : toTheDead).end(),
    )
  })
  resourceServer.listen(0, '127.0.0.1')
  await once(resourceServer, 'listening')
  installation = await createInstallation()
  const { type: _, ...awsAsk } = asks.artifacts(installation.roleArn)
  await installation.configure({
    settings: {
      drills: { github: { ask: githubAsk }, jwt: { ask: ordersAsk, daily: false }, aws: { ask: awsAsk } },
    },
  })
  await start()
})
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
  resourceServer.close()
  resourceServer.closeAllConnections()
})

async function start(): Promise<void> {
  const log = { ...silent, error: (fields: Record<string, unknown>) => void alarms.push(fields) }
  const edge = edgeFor(installation, log)
  broker = await startServer(installation.configPath, {
    ...edge,
    everyDay: run => {
      everyDay = run
      return () => {}
    },
  })
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
}

async function introspect(token: string): Promise<boolean> {
  const basic = Buffer.from(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`).toString('base64')
  const answer = await api.form('/oauth/introspect', { token }, { authorization: `Basic ${basic}` })
  return answer.body.active
}

const drill = (issuer: string) => api.call('POST', '/v1/drills', operator, { issuer })
const read = (path: string) => api.call('GET', `/v1/drills${path}`, operator)

async function over(started: Answer): Promise<Record<string, unknown>> {
  expect(started.status, JSON.stringify(started.body)).toBe(202)
  for (;;) {
    const { body } = await read(`/${started.body.id}`)
    if (body.state !== 'running') return body
    await wait(5)
  }
}

describe('a drill passes', () => {
  test('GitHub: the canary works, and GitHub itself refuses it afterwards', async () => {
    const shown = await over(await drill('github'))
    expect(shown).toMatchObject({ state: 'passed', proof: 'provider', actor: 'operator:test', detail: null })
    for (const figure of ['mint_ms', 'revoke_ms', 'dead_ms'])
      expect(shown[figure]).toEqual(expect.any(Number))
    const [canary] = installation.github.credentials().slice(-1)
    expect(canary).toMatchObject({ alive: false, permissions: { contents: 'read' }, repositoryIds: [1] })
    const lease = (await api.call('GET', `/v1/leases/${shown.lease}`, operator)).body
    expect(lease).toMatchObject({
      agent: 'mayfly',
      task: shown.task,
      closed_as: 'revoked',
      sha256: canary?.sha256,
    })
    const audit = (await api.call('GET', `/v1/audit?lease=${shown.lease}`, operator)).body.items
    expect(audit.at(-1)).toMatchObject({
      event: 'drill.finished',
      data: { state: 'passed', issuer: 'github' },
    })
    expect(alarms).toEqual([])
  })

  test('a JWT: as whoever introspects is answered', async () => {
    expect(await over(await drill('jwt'))).toMatchObject({ state: 'passed', proof: 'introspection' })
  })

  test('a JWT, through a resource server that introspects', async () => {
    const through = `http://127.0.0.1:${(resourceServer.address() as AddressInfo).port}/ping`
    await broker.stop()
    await installation.configure({ settings: { drills: { jwt: { ask: ordersAsk, through } } } })
    await start()
    expect(await over(await drill('jwt'))).toMatchObject({ state: 'passed', proof: through })
    toTheDead = 204
    const trusting = await over(await drill('jwt'))
    expect(trusting).toMatchObject({ state: 'failed', detail: 'revoked, it was alive and not dead' })
    // A limit or a firewall says as much: nothing of the token.
    toTheDead = 403
    const forbidding = await over(await drill('jwt'))
    expect(forbidding).toMatchObject({ state: 'failed', detail: 'revoked, it was unknown and not dead' })
  })
})

test('what nobody can end is not called proven', async () => {
  const shown = await over(await drill('aws'))
  expect(shown).toMatchObject({ state: 'unprovable', revoke_ms: null, dead_ms: null })
  expect(shown.detail).toMatch(/nobody can end it before it expires at \d{4}-/)
  expect(alarms).toEqual([])
})

describe('a drill fails, and is an alarm', () => {
  const github = (decide: (operation: string) => FaultDecision) => {
    installation.github.faults = ({ operation, when }) => (when === 'before' ? decide(operation) : 'ok')
  }

  test('when nothing can be minted', async () => {
    github(operation => (operation.includes('create-installation-access-token') ? { status: 503 } : 'ok'))
    const shown = await over(await drill('github'))
    expect(shown.state).toBe('failed')
    expect(shown.detail).toContain('provider_unavailable')
    expect(alarms).toContainEqual(expect.objectContaining({ alarm: 'drill_failed', issuer: 'github' }))
  })

  test('when it could not be revoked in time', async () => {
    github(operation => (operation.includes('revoke') ? { status: 503 } : 'ok'))
    const started = await drill('github')
    const revoking = '/v1/leases?issuer=github&state=revoking'
    // The name look-up's, and the canary's.
    while ((await api.call('GET', revoking, operator)).body.items.length < 2) await wait(5)
    installation.clock.advance(LIMITS.drillMs)
    const shown = await over(started)
    expect(shown).toMatchObject({ state: 'failed', detail: 'it was not closed before the drill was over' })
    expect(alarms).toContainEqual(expect.objectContaining({ alarm: 'drill_failed' }))
  })

  test('when nobody revoked it before it had expired, which once passed', async () => {
    // A provider's credentials may live for less than a drill does.
    broker.broker.limits = { ...LIMITS, drillMs: 2 * HOUR_MS }
    github(operation => (operation.includes('revoke') ? { status: 503 } : 'ok'))
    const started = await drill('github')
    const revoking = '/v1/leases?issuer=github&state=revoking'
    while ((await api.call('GET', revoking, operator)).body.items.length < 2) await wait(5)
    installation.clock.advance(HOUR_MS)
    github(() => 'ok')
    await broker.look()
    const shown = await over(started)
    expect(shown).toMatchObject({
      state: 'failed',
      detail: 'it was seen dead only when it had expired by itself',
    })
  })

  test('when its broker never came back', async () => {
    const { broker: inside } = broker
    await inside.ledger.write(async tx =>
      tx.startDrill({
        ...{
          id: 'drl_lost',
          issuer: 'github',
          actor: 'schedule',
          state: 'running',
          revocability: 'immediate',
        },
        ...{
          started_at: tx.now,
          deadline: tx.now + 1,
          finished_at: null,
          task: null,
          lease: null,
          proof: '',
        },
        ...{ mint_ms: null, revoke_ms: null, dead_ms: null, detail: null },
      }),
    )
    installation.clock.advance(LIMITS.drillMs)
    await everyDay()
    expect((await read('/drl_lost')).body).toMatchObject({ state: 'failed' })
    expect(alarms).toContainEqual(expect.objectContaining({ alarm: 'drill_failed', drill: 'drl_lost' }))
  })
})

test('the calendar starts those that are daily, once a day', async () => {
  // A broker whose files are not in force leaves the day's to others.
  broker.broker.stale = () => 'its files are not those in force'
  await everyDay()
  expect((await read('')).body.items).toEqual([])
  broker.broker.stale = () => undefined
  await everyDay()
  await everyDay()
  const items = (await read('')).body.items as { issuer: string; actor: string }[]
  expect(items.map(({ issuer }) => issuer).toSorted()).toEqual(['aws', 'github'])
  expect(new Set(items.map(({ actor }) => actor))).toEqual(new Set(['schedule']))
  installation.clock.advance(24 * 3_600_000)
  operator = await operatorTokenOf(broker)
  await everyDay()
  expect((await read('?issuer=github')).body.items).toHaveLength(2)
})

test('one at a time; of configured issuers only; by operators only', async () => {
  installation.github.latencyMs = 100
  const first = await drill('github')
  expect(await drill('github')).toMatchObject({ status: 409, body: { code: 'drill_running' } })
  installation.github.latencyMs = 0
  await over(first)
  expect(await drill('nobody')).toMatchObject({ status: 404 })
  expect(await api.call('POST', '/v1/drills', undefined, { issuer: 'github' })).toMatchObject({ status: 401 })
  const task = await api.open([])
  expect(await api.call('POST', '/v1/drills', task.token, { issuer: 'github' })).toMatchObject({
    status: 401,
  })
  expect((await read('/drl_nobody')).status).toBe(404)
})

test('a broker that stops leaves the canary to be revoked, and says that nothing was shown', async () => {
  installation.github.faults = ({ operation, when }) =>
    when === 'before' && operation.includes('revoke') ? { status: 503 } : 'ok'
  const started = await drill('github')
  while (installation.github.credentials().length === 0) await wait(5)
  await broker.stop()
  installation.github.faults = () => 'ok'
  await start()
  expect(await over(started)).toMatchObject({ state: 'unprovable' })
  while (installation.github.credentials().some(one => one.alive)) {
    installation.clock.advance(10_000)
    await broker.look()
  }
})

test('an ask that its issuer does not know, or that could leave access, stops the start', async () => {
  await broker.stop()
  for (const [ask, expected] of [
    [{ audience: ORDERS, colour: 'red' }, /drills\.jwt\.ask: .*colour/],
    [{ ...githubAsk, permissions: { administration: 'write' } }, /drills\.github\.ask: .*least scope/],
  ] as const) {
    const issuer = 'audience' in ask ? 'jwt' : 'github'
    await installation.configure({ settings: { drills: { [issuer]: { ask } } } })
    await expect(start()).rejects.toThrow(expected)
  }
  await installation.configure({ settings: { drills: { nobody: { ask: {} } } } })
  await expect(start()).rejects.toThrow(/drills\.nobody: expected one of the issuers/)
  await installation.configure({})
  await start()
})

test('no canary is printed', async () => {
  const shown = await over(await drill('jwt'))
  const texts = JSON.stringify([shown, (await api.call('GET', '/v1/audit', operator)).body])
  expect(texts).not.toMatch(/eyJ[\w-]+\.eyJ/)
})
