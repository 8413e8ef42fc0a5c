/** The local server beside a whole broker: handles in, credentials out, fresh for as long as the task. */
import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { approve } from '../../src/broker/approvals/answer-approval.ts'
import type { Operator } from '../../src/broker/people/operator.ts'
import { noPolicy } from '../../src/policy/facts.ts'
import type { RunningServer } from '../../src/server.ts'
import type { SidecarError } from '../../src/sidecar/call.ts'
import { SIDECAR_LIMITS } from '../../src/sidecar/limits.ts'
import type { FaultyWire } from '../client/faulty-wire.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks, type Installation } from '../fakes/installation.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { until } from '../support/until.ts'
import { startWiredBroker, type WiredBroker } from '../support/wired-broker.ts'
import { type LocalServer, startLocalServer } from './local-server.ts'

const MINUTE = 60_000
const MINT = 'POST /v1/tasks/*/credentials'

let wired: WiredBroker
let installation: Installation
let broker: RunningServer
let wire: FaultyWire
let local: LocalServer

beforeAll(async () => {
  const limits = { task_minutes: 300, active_tasks: 10_000, credentials_per_hour: 100_000 }
  wired = await startWiredBroker(({ agents: { release } }) => ({
    agents: { release: { ...release, limits } },
  }))
  ;({ installation, broker, wire } = wired)
})
afterAll(() => wired?.close())
beforeEach(async () => {
  wire.reset()
  local = await startLocalServer(installation, wire.url)
})
afterEach(async () => {
  broker.broker.policy = noPolicy
  wire.reset()
  expect(local.reports).toEqual([])
  await local.close()
})

const refusal = (work: Promise<unknown>): Promise<SidecarError> =>
  work.then(
    () => Promise.reject(new Error('it was not refused')),
    error => error,
  )
const count = (operation: string) => wire.seen.filter(one => one === operation).length
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const readme = async (token: unknown) => {
  const headers = { authorization: `Bearer ${token}`, 'user-agent': 'test' }
  return (await fetch(`${installation.github.url}/repos/acme/api/contents/README.md`, { headers })).status
}
const settled = (id: string) =>
  until(async () => (await broker.broker.ledger.read.task(id))?.state === 'settled')

/** As an AWS SDK asks. */
async function aws(handle: string, token = local.sidecar.loopback!.tokens.aws.reveal()) {
  const response = await fetch(`${local.sidecar.loopback!.url}/aws/${handle}`, {
    headers: { authorization: token, accept: 'application/json' },
  })
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

describe('a credential', () => {
  test('is had by its handle, by its ask, and by the repository that git wants: the same one', async () => {
    const task = await local.hold([asks.api, asks.orders])
    const [held] = await local.client.tasks()
    expect(held).toMatchObject({ id: task.id, agent: 'release', purpose: 'a test', state: 'active' })
    const [api, orders] = held!.asks
    expect([api, orders]).toMatchObject([
      { kind: 'github', state: 'granted', provider: '127.0.0.1' },
      { kind: 'other', state: 'granted' },
    ])
    const first = await local.client.credential({ handle: api!.handle })
    expect(first).toMatchObject({ task: task.id, type: 'github', kind: 'github', handle: api!.handle })
    expect(await readme(first.secret)).toBe(200)
    const git = { protocol: 'http', host: '127.0.0.1:1234', path: 'acme/api.git' }
    expect(await local.client.credential({ git })).toEqual(first)
    expect(await local.client.credential({ authorization_details: asks.api })).toEqual(first)
    expect(count(MINT)).toBe(1)
    const { secret } = await local.client.credential({ task: task.id, handle: orders!.handle })
    expect(secret).toMatch(/^eyJ/)
  })

  test('what cannot be had is told, with the decision of the broker', async () => {
    const task = await local.hold([asks.api])
    const code = async (work: Promise<unknown>) => (await refusal(work)).code
    const git = (host: string, path: string) =>
      code(local.client.credential({ git: { protocol: 'https', host, path } }))
    expect(await git('example.com', 'acme/api')).toBe('host_unmatched')
    expect(await git('127.0.0.1', 'acme/web')).toBe('ask_unmatched')
    expect(await code(local.client.credential({ authorization_details: asks.orders }))).toBe('ask_unmatched')
    expect(await code(local.client.credential({ handle: 'ask_none' }))).toBe('not_found')
    const tooMuch = { ...asks.api, repositories: ['acme/web'] }
    const denied = await refusal(local.client.ask(task.id, { authorization_details: tooMuch }))
    expect(denied.problem).toMatchObject({
      code: 'ask_denied',
      status: 403,
      decision: expect.stringMatching(/^dec_/),
    })
    await local.hold([asks.api])
    expect(await code(local.client.credential({ authorization_details: asks.api }))).toBe('task_ambiguous')
  })

  test('one that its provider refuses is dropped, ended, and replaced; not again and again', async () => {
    const task = await local.hold([asks.api])
    const handle = task.asks[0]!.id
    for (let round = 0; round < SIDECAR_LIMITS.rejections; round += 1) {
      const { secret } = await local.client.credential({ handle })
      expect(await local.client.rejected({ handle, sha256: sha256('another') })).toBe(false)
      expect(await local.client.rejected({ handle, sha256: sha256(String(secret)) })).toBe(true)
      await until(async () => (await readme(secret)) === 401)
    }
    const { secret } = await local.client.credential({ handle })
    const again = await refusal(local.client.rejected({ handle, sha256: sha256(String(secret)) }))
    expect(again.problem).toMatchObject({ code: 'rejected_too_often', status: 429 })
    expect(await local.client.credential({ handle })).toMatchObject({ secret })
  })
})

test('what is not as expected is refused, and not repeated', async () => {
  const { url, tokens } = local.sidecar.loopback!
  const send = async (method: string, path: string, body?: string) => {
    const headers = { authorization: `Bearer ${tokens.local.reveal()}`, 'content-type': 'application/json' }
    const response = await fetch(url + path, { method, headers, ...(body !== undefined && { body }) })
    return { status: response.status, text: await response.text() }
  }
  const bodies = [
    '{"handle":"ask_1","secret":"s3cr3t"}',
    '{"handle":"ask_1","authorization_details":{"type":"s3cr3t"}}',
    '{"git":{"protocol":"https","host":"github.com","password":"s3cr3t"}}',
    '["s3cr3t"]',
    's3cr3t',
    '',
  ]
  for (const body of bodies) {
    const { status, text } = await send('POST', '/v1/credentials', body)
    expect([status, JSON.parse(text).code, text.includes('s3cr3t')]).toEqual([400, 'request_invalid', false])
  }
  const codes: [string, string, number][] = [
    ['GET', '/v1/credentials', 405],
    ['DELETE', '/v1/tasks', 405],
    ['GET', '/v1/tasks?all=1', 400],
    ['GET', '/v1/tasks/tsk_1?wait=31', 400],
    ['GET', '/v1/tasks/tsk_1', 404],
    ['GET', '/v1/tasks/../tasks/%2e%2e', 404],
    ['GET', '/', 404],
  ]
  for (const [method, path, status] of codes) expect((await send(method, path)).status, path).toBe(status)
})

describe('a task', () => {
  test('is opened, asked for more, and ended by whoever has the socket', async () => {
    const { client } = local
    const opened = await client.open({ purpose: 'fix it', asks: [asks.apiRead], minutes: 30 })
    expect(opened).toMatchObject({ purpose: 'fix it', state: 'active', asks: [{ state: 'granted' }] })
    const more = await client.ask(opened.id, { authorization_details: asks.orders })
    const { secret } = await client.credential({ handle: more.handle })
    expect(secret).toMatch(/^eyJ/)
    const ended = await client.complete(opened.id, { outcome: 'completed', detail: 'done' })
    expect(ended.state).not.toBe('active')
    expect(await broker.broker.ledger.read.task(opened.id)).toMatchObject({
      end: 'completed',
      end_detail: 'done',
    })
    expect((await refusal(client.credential({ handle: more.handle }))).code).toBe('task_not_active')
  })

  test('that waits for humans is waited for, and told as pending to everybody else', async () => {
    broker.broker.policy = askingPolicy()
    const [statement] = asks.artifacts(installation.roleArn).statements
    const statements = [{ ...statement!, actions: ['s3:PutObject'] }]
    const artifacts = { ...asks.artifacts(installation.roleArn), statements }
    const opened = await local.client.open({ purpose: 'deploy', asks: [artifacts] })
    const [ask] = opened.asks
    const approval = ask!.approval!.id
    expect([ask!.state, approval]).toEqual(['pending', expect.stringMatching(/^apr_/)])
    const pending = await refusal(local.client.credential({ handle: ask!.handle }))
    expect(pending.problem).toMatchObject({ code: 'approval_pending', status: 409, approvals: [approval] })
    expect(await aws(ask!.handle)).toMatchObject({
      status: 409,
      body: { Code: 'approval_pending', Message: expect.stringContaining('waits for humans') },
    })
    const waiting = local.client.read(opened.id, { waitSeconds: 30 })
    const ada: Operator = {
      ...{ id: 'https://people.test#ada', name: 'ada', groups: ['approvers'], kind: 'human', fresh: true },
    }
    await approve(broker.broker, ada, approval, null)
    expect((await waiting).asks[0]).toMatchObject({ state: 'granted' })
    expect((await aws(ask!.handle)).status).toBe(200)
    // One approval, one mint: what is held is handed out as long as it lives.
    expect((await aws(ask!.handle)).body).toEqual((await aws(ask!.handle)).body)
    await local.client.complete(opened.id, { outcome: 'completed' })
  })
})

describe('a long job', () => {
  test('gets fresh tokens past an hour, and at the end every generation is dead', async () => {
    const artifacts = asks.artifacts(installation.roleArn)
    const task = await local.hold([asks.api, artifacts], { minutes: 180 })
    const [api, role] = task.asks.map(ask => ask.id)
    const take = async () => String((await local.client.credential({ handle: api! })).secret)
    const first = await take()
    const session = (await aws(role!)).body
    installation.clock.advance(45 * MINUTE)
    expect([await take(), (await aws(role!)).body]).toEqual([first, session])
    // Nobody asks: nothing is minted.
    expect(count(MINT)).toBe(2)
    installation.clock.advance(6 * MINUTE)
    const [second, same] = await Promise.all([take(), take()])
    expect([second === first, second === same]).toEqual([false, true])
    expect([await readme(first), await readme(second)]).toEqual([200, 200])
    local.pass(SIDECAR_LIMITS.graceMs)
    await until(async () => (await readme(first)) === 401)
    expect(await take()).toBe(second)
    installation.clock.advance(20 * MINUTE)
    expect(await readme(await take())).toBe(200)
    const renewed = (await aws(role!)).body
    expect(renewed.AccessKeyId).not.toBe(session.AccessKeyId)
    expect(Date.parse(renewed.Expiration!)).toBeGreaterThan(installation.clock.now() + 45 * MINUTE)
    installation.clock.advance(40 * MINUTE)
    expect(await readme(await take())).toBe(200)
    await local.client.complete(task.id, { outcome: 'completed' })
    await settledButAws(task.id)
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('that may have no more is told so, whatever is left of what it had', async () => {
    const task = await local.hold([asks.api], { minutes: 180 })
    const handle = task.asks[0]!.id
    await local.client.credential({ handle })
    installation.clock.advance(52 * MINUTE)
    broker.broker.policy = Object.assign(askingPolicy(), { deny: true })
    const denied = await refusal(local.client.credential({ handle }))
    expect(denied.problem).toMatchObject({ status: 403, decision: expect.stringMatching(/^dec_/) })
  })

  test('while the broker is gone, what is held is handed out as long as it is good', async () => {
    const task = await local.hold([asks.api, asks.orders], { minutes: 180 })
    const [handle, other] = task.asks.map(ask => ask.id)
    const { secret } = await local.client.credential({ handle: handle! })
    wire.fault = ({ operation, when }) => (operation === MINT && when === 'before' ? 'drop' : 'ok')
    installation.clock.advance(52 * MINUTE)
    expect(await local.client.credential({ handle: handle! })).toMatchObject({ secret })
    const tries = count(MINT)
    expect(await local.client.credential({ handle: handle! })).toMatchObject({ secret })
    expect(count(MINT)).toBe(tries)
    const gone = await refusal(local.client.credential({ handle: other! }))
    expect(gone.problem).toMatchObject({ code: 'broker_unreachable', status: 503 })
    installation.clock.advance(9 * MINUTE)
    expect((await refusal(local.client.credential({ handle: handle! }))).code).toBe('broker_unreachable')
    wire.reset()
    expect(await readme((await local.client.credential({ handle: handle! })).secret)).toBe(200)
    await local.client.complete(task.id, { outcome: 'failed' })
    await settled(task.id)
  })
})

/** Its session cannot be revoked here, and is dead by what it carries at the deadline. */
async function settledButAws(id: string): Promise<void> {
  await until(async () => {
    const { items } = await broker.broker.ledger.read.leases(
      { task: id, state: 'outstanding' },
      { limit: 100 },
    )
    return items.every(lease => lease.revocability === 'expiry_only')
  })
}

describe('the container endpoint', () => {
  test('says whose session it is, and keeps it until it is stale', async () => {
    const task = await local.hold([asks.artifacts(installation.roleArn), asks.orders], { minutes: 15 })
    const [role, orders] = task.asks.map(ask => ask.id)
    const { body } = await aws(role!)
    expect(body).toMatchObject({
      AccessKeyId: installation.aws.credentials().at(-1)!.accessKeyId,
      Expiration: new Date(Math.floor(task.deadline.getTime() / 1_000) * 1_000).toISOString(),
      AccountId: installation.roleArn.split(':')[4],
    })
    installation.clock.advance(14 * MINUTE)
    expect((await aws(role!)).body).toEqual(body)
    expect(await aws(orders!)).toMatchObject({ status: 400, body: { Code: 'request_invalid' } })
    expect(await aws('ask_none')).toMatchObject({ status: 404, body: { Code: 'not_found' } })
  })

  test('answers within the second of an SDK while a mint takes longer', async () => {
    const task = await local.hold([asks.artifacts(installation.roleArn)], { minutes: 60 })
    const role = task.asks[0]!.id
    const gate = Promise.withResolvers<void>()
    wire.fault = async ({ operation, when }): Promise<FaultDecision> => {
      if (operation === MINT && when === 'before') await gate.promise
      return 'ok'
    }
    local.hurried = SIDECAR_LIMITS.awsAnswerMs
    expect(await aws(role)).toMatchObject({ status: 503, body: { Code: 'broker_unreachable' } })
    local.hurried = undefined
    gate.resolve()
    await until(async () => (await aws(role)).status === 200)
    expect(count(MINT)).toBe(1)
  })
})
