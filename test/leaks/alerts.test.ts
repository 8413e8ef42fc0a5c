/** A token in a repository: GitHub's secret scanning says so, and everything that belongs to it ends. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { newToken } from '../../src/keys/tokens.ts'
import { LIMITS } from '../../src/limits.ts'
import { readReceipt } from '../../src/receipts/verify-receipt.ts'
import type { RunningServer } from '../../src/server.ts'
import type { Delivery } from '../fakes/github/webhooks.ts'
import { asks, createInstallation, type Installation, silent, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'

const SECRET = 'the webhook secret of the App'
const PERMISSIONS = { contents: 'write', issues: 'write', secret_scanning_alerts: 'read' } as const
let installation: Installation
let broker: RunningServer
let api: Api
const lines: Record<string, unknown>[] = []

beforeAll(async () => {
  installation = await createInstallation({
    settings: {
      observers: { github_webhooks: { secret_file: 'hook-secret' } },
      leaks: { github_alerts: { issuer: 'github' } },
    },
  })
  await writeFile(join(installation.directory, 'hook-secret'), `${SECRET}\n`, { mode: 0o600 })
  installation.github.changeInstallation(77, { permissions: PERMISSIONS })
  const keep = (fields: Record<string, unknown>) => void lines.push(fields)
  broker = await startBroker(installation, { ...silent, warn: keep, error: keep })
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})
beforeEach(async () => {
  lines.length = 0
  const operator = await operatorTokenOf(broker)
  await api.call('POST', '/v1/agents/release/activate', operator, { reason: 'looked at' })
})

const github = () => installation.github
const ledger = () => broker.broker.ledger
const told = (alert: number, action = 'created') =>
  github().delivery({ alert, repository: 1, action }, SECRET, github().url)
const send = ({ headers, body }: Delivery) =>
  fetch(`${broker.url}/webhooks/github`, { method: 'POST', headers, body })
const standing = async () => (await ledger().read.agent('release'))?.standing
const waiting = async () => (await ledger().read.nextAlertDue()) !== null
const looks = async () =>
  (await ledger().read.tasks({ agent: 'mayfly' }, { limit: 100 })).items.filter(task =>
    task.purpose.includes('alerts'),
  )
const settled = () => until(async () => !(await waiting()))

async function holding(): Promise<{ task: OpenedTask; secret: string; lease: string }> {
  const task = await api.open([asks.api])
  const { credential, lease } = (await api.credential(task)).body
  return { task, secret: credential, lease }
}

test('a token in a repository: its task ends, it is dead at GitHub, its agent may only read, its receipt says so', async () => {
  const { task, secret, lease } = await holding()
  const answer = await send(told(github().addSecretAlert({ repository: 1, secret })))
  expect([answer.status, await answer.json()]).toEqual([202, { alert: 'taken' }])
  const { body } = await api.until(task, 'settled')
  expect(body).toMatchObject({
    end: 'revoked',
    end_detail: `credential ${lease} was reported as leaked (github)`,
    credentials: [{ lease, closed_as: 'revoked' }],
  })
  const sha256 = createHash('sha256').update(secret).digest('hex')
  expect(
    github()
      .credentials()
      .find(one => one.sha256 === sha256)?.alive,
  ).toBe(false)
  await until(async () => (await standing()) === 'quarantined')
  expect(lines).toContainEqual(expect.objectContaining({ alarm: 'secret_leaked', subject: lease }))
  await broker.look()
  const receipt = await api.call('GET', `/v1/tasks/${task.id}/receipt`, task.token)
  expect(readReceipt(receipt.body.receipt)?.task.end_detail).toContain('reported as leaked (github)')
  expect((await ledger().read.leak(lease))?.reason).toMatch(/^secret scanning alert \d+ of acme\/api$/)
  // What the broker looked with is as narrow as it can be, and dead.
  const own = github()
    .credentials()
    .filter(one => one.permissions.secret_scanning_alerts === 'read')
  expect(own.map(one => [one.alive, one.repositoryIds, one.permissions])).toEqual([
    [false, [1], { metadata: 'read', secret_scanning_alerts: 'read' }],
  ])
})

test.each(['publicly_leaked', 'reopened'])(
  '%s ends it as well, and a task token as any credential',
  async action => {
    const { task } = await holding()
    await send(told(github().addSecretAlert({ repository: 1, secret: task.token }), action))
    expect((await api.until(task, 'settled')).body.end).toBe('revoked')
  },
)

test('what is resolved, revoked or of another kind ends nothing', async () => {
  const { task, secret } = await holding()
  const number = github().addSecretAlert({ repository: 1, secret })
  for (const action of ['resolved', 'revoked', 'validated', 'assigned'])
    expect(await (await send(told(number, action))).json()).toEqual({ ended: 0 })
  expect((await api.show(task)).body.state).toBe('active')
})

test('a payload that carries the secret is taken at its word', async () => {
  const { task, secret } = await holding()
  const plain = JSON.parse(told(github().addSecretAlert({ repository: 1, secret: 'x'.repeat(40) })).body)
  const { signed } = await import('../fakes/github/webhooks.ts')
  const body = JSON.stringify({ ...plain, alert: { ...plain.alert, secret } })
  await send(signed('secret_scanning_alert', body, SECRET, randomBytes))
  expect((await api.show(task)).body.end).toBe('revoked')
})

test('forged, it does nothing', async () => {
  const { task, secret } = await holding()
  const delivery = github().delivery(
    { alert: github().addSecretAlert({ repository: 1, secret }), repository: 1 },
    'another secret of the same length',
    github().url,
  )
  expect((await send(delivery)).status).toBe(401)
  expect(await waiting()).toBe(false)
  expect((await api.show(task)).body.state).toBe('active')
})

test('told again: nothing more ends, and the agent that a human let go stays free', async () => {
  const { task, secret, lease } = await holding()
  const number = github().addSecretAlert({ repository: 1, secret })
  const delivery = told(number)
  await send(delivery)
  await api.until(task, 'settled')
  await settled()
  const operator = await operatorTokenOf(broker)
  await api.call('POST', '/v1/agents/release/activate', operator, { reason: 'looked at' })
  expect(await (await send(delivery)).json()).toMatchObject({ repeated: true })
  await send(told(number, 'reopened'))
  await settled()
  expect(await standing()).toBe('active')
  expect((await ledger().read.leak(lease))?.times).toBe(2)
})

test('a secret that nobody here knows is counted, and kept nowhere', async () => {
  const secret = newToken('task', Date.now(), randomBytes).reveal()
  await send(told(github().addSecretAlert({ repository: 1, secret })))
  await settled()
  const { items } = await ledger().read.audit({}, { limit: 1_000 })
  expect(JSON.stringify([items, lines])).not.toContain(secret)
  expect(lines.filter(one => one.alarm !== undefined)).toEqual([])
})

test.each(['before', 'after'] as const)(
  'GitHub drops the call %s its answer: asked again, later',
  async when => {
    const { task, secret } = await holding()
    let failures = 2
    github().faults = call =>
      call.operation === 'secret-scanning/get-alert' && call.when === when && failures-- > 0 ? 'drop' : 'ok'
    await send(told(github().addSecretAlert({ repository: 1, secret })))
    while (await waiting()) {
      await broker.look()
      installation.clock.advance(5_000)
    }
    github().faults = () => 'ok'
    expect(failures).toBeLessThan(1)
    expect((await api.until(task, 'settled')).body.end).toBe('revoked')
  },
)

test('an App that may not read alerts: tried so often, then left to people with an alarm', async () => {
  const { task, secret } = await holding()
  github().changeInstallation(77, { permissions: { contents: 'write', issues: 'write' } })
  await send(told(github().addSecretAlert({ repository: 1, secret })))
  while (await waiting()) {
    await broker.look()
    installation.clock.advance(LIMITS.backoffCapMs)
  }
  github().changeInstallation(77, { permissions: PERMISSIONS })
  expect(lines).toContainEqual(expect.objectContaining({ alarm: 'alert_not_looked_at' }))
  expect((await ledger().read.leaks({ limit: 1 })).items[0]?.task).not.toBe(task.id)
})

test('a storm is bounded: what waits, what is asked at once, and the rest is told to come again', async () => {
  const most = 120
  const before = (await looks()).length
  Object.assign(broker.broker.limits, { secretAlerts: most })
  github().faults = call => (call.operation.startsWith('apps/create') ? { status: 503 } : 'ok')
  const numbers = Array.from({ length: most + 30 }, () =>
    github().addSecretAlert({ repository: 1, secret: randomBytes(24).toString('hex') }),
  )
  const statuses: number[] = []
  const queue = numbers.values()
  const lane = async () => {
    for (const number of queue) statuses.push((await send(told(number))).status)
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  expect(statuses.filter(status => status === 202)).toHaveLength(most)
  expect(statuses.filter(status => status === 429)).toHaveLength(30)
  github().faults = () => 'ok'
  while (await waiting()) {
    await broker.look()
    installation.clock.advance(LIMITS.backoffCapMs)
  }
  // One credential for each hundred, beside those that could not be minted.
  expect((await looks()).length - before).toBeLessThan(20)
  Object.assign(broker.broker.limits, { secretAlerts: LIMITS.secretAlerts })
})
