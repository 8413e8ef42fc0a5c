/** What comes of a secret that turned up somewhere: reported by an operator, or by whoever holds it. */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Log } from '../../src/broker/broker.ts'
import { newToken } from '../../src/keys/tokens.ts'
import { LIMITS } from '../../src/limits.ts'
import { readReceipt } from '../../src/receipts/verify-receipt.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, silent, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let operator: string
const alarms: Record<string, unknown>[] = []
const written: string[] = []

beforeAll(async () => {
  installation = await createInstallation({ settings: { leaks: { quarantine: 'high_tiers' } } })
  const keep = (fields: object, message: string) => void written.push(JSON.stringify([fields, message]))
  const log: Log = {
    ...{ debug: keep, info: keep, warn: keep },
    error(fields, message) {
      keep(fields, message)
      alarms.push(fields)
    },
  }
  broker = await startBroker(installation, { ...silent, ...log })
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})
beforeEach(async () => {
  operator = await operatorTokenOf(broker)
  alarms.length = 0
  await Promise.all(['release', 'coder', 'reviewer'].map(activate))
})

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const activate = (agent: string) =>
  api.call('POST', `/v1/agents/${agent}/activate`, operator, { reason: 'looked at' })
const standing = async (agent: string) =>
  (await api.call('GET', `/v1/agents/${agent}`, operator)).body.status as string
const report = (sighting: object, extra: object = {}) =>
  api.call('POST', '/v1/leaks', operator, { sightings: [sighting], reason: 'seen in a paste', ...extra })
const found = (token: string) => api.call('POST', '/v1/leaks/found', undefined, { token })
const spiffe = (path: string) => ({ evidence: { type: 'jwt', token: installation.svid(path) } })

async function holding(
  ask: object = asks.api,
  extra: Record<string, unknown> = {},
): Promise<{ task: OpenedTask; secret: string; lease: string }> {
  const task = await api.open([ask], extra)
  const { credential, lease } = (await api.credential(task)).body
  return { task, secret: credential, lease }
}
const atGithub = (secret: string) =>
  installation.github.credentials().find(one => one.sha256 === sha256(secret))!

describe('an operator reports', () => {
  test('a credential by its hash: its task ends, it dies, its agent may only read, and the receipt says so', async () => {
    const { task, secret, lease } = await holding()
    const seen = await report({ sha256: sha256(secret) }, { dry_run: true })
    const whose = { known: true, kind: 'credential', subject: lease, task: task.id, agent: 'release' }
    expect(seen.body).toMatchObject({
      dry_run: true,
      items: [{ ...whose, task_state: 'active', tasks_ended: 0 }],
    })
    expect(atGithub(secret).alive).toBe(true)

    const done = await report({ sha256: sha256(secret) })
    expect(done.body.items).toMatchObject([
      { ...whose, reported_before: false, tasks_ended: 1, quarantined: 'release' },
    ])
    const settled = (await api.until(task, 'settled')).body
    const detail = `credential ${lease} was reported as leaked (operator)`
    expect(settled).toMatchObject({ end: 'revoked', end_detail: detail })
    expect(atGithub(secret).alive).toBe(false)
    expect(await standing('release')).toBe('quarantined')
    expect(alarms).toContainEqual(
      expect.objectContaining({ alarm: 'secret_leaked', subject: lease, by: 'operator:test' }),
    )
    await broker.look()
    const receipt = await api.call('GET', `/v1/tasks/${task.id}/receipt`, task.token)
    expect(readReceipt(receipt.body.receipt)?.task).toMatchObject({ end: 'revoked', end_detail: detail })
    const { items } = (await api.call('GET', `/v1/audit?lease=${lease}`, operator)).body
    expect(items).toContainEqual(
      expect.objectContaining({
        ...{ event: 'leak.reported', actor: 'operator:test' },
        data: { kind: 'credential', subject: lease, source: 'operator', reason: 'seen in a paste' },
      }),
    )
    const [leak] = (await api.call('GET', '/v1/leaks?limit=1', operator)).body.items
    expect(leak).toMatchObject({ subject: lease, times: 1, quarantine: true, reported_by: 'operator:test' })
  })

  test('the same again, and the agent that a human let go stays free', async () => {
    const { secret, lease } = await holding()
    const first = await Promise.all([report({ sha256: sha256(secret) }), found(secret), found(secret)])
    expect(first.map(one => one.status)).toEqual([200, 202, 202])
    expect(await standing('release')).toBe('quarantined')
    await activate('release')
    const again = await report({ token: secret })
    expect(again.body.items).toMatchObject([
      { subject: lease, reported_before: true, tasks_ended: 0, quarantined: null },
    ])
    expect(await standing('release')).toBe('active')
    expect((await api.call('GET', '/v1/leaks?limit=1', operator)).body.items[0]).toMatchObject({ times: 4 })
    expect(alarms.filter(one => one.alarm === 'secret_leaked')).toHaveLength(1)
  })

  test.each(['SecretAccessKey', 'SessionToken', 'AccessKeyId'])(
    'one part of an AWS credential: %s',
    async part => {
      const { task, secret, lease } = await holding(asks.artifacts(installation.roleArn))
      const parts = secret as unknown as Record<string, string> // of several parts, it is an object
      const done = await report({ sha256: sha256(parts[part] ?? '') })
      expect(done.body.items).toMatchObject([{ subject: lease, tasks_ended: 1, issuer: 'aws' }])
      expect((await api.show(task)).body.end).toBe('revoked')
      expect((await report({ sha256: sha256(parts.Expiration ?? '') })).body.items[0].known).toBe(false)
    },
  )

  test('a JWT by its id, when its signature is another or its end is missing', async () => {
    const { task, secret, lease } = await holding(asks.orders)
    const [header, payload = '', signature = ''] = secret.split('.')
    const altered = `${header}.${payload}.${signature.split('').reverse().join('')}`
    for (const text of [altered, `${header}.${payload}`, `${header}.${payload.slice(0, -4)}`]) {
      const seen = await report({ token: text }, { dry_run: true })
      expect(seen.body.items, text.slice(-9)).toMatchObject([{ subject: lease, task: task.id }])
    }
    // Providers log such ids: they are no proof that somebody holds anything.
    expect((await found(altered)).status).toBe(202)
    expect((await api.show(task)).body.state).toBe('active')
    await found(secret)
    expect((await api.show(task)).body.end).toBe('revoked')
  })

  test('a task token, and a ticket by the task that gave it', async () => {
    const task = await api.open([], spiffe('/agent/coder'))
    const body = { agent: 'reviewer', minutes: 5, authorization_details: [] }
    const { ticket } = (await api.call('POST', `/v1/tasks/${task.id}/tickets`, task.token, body)).body
    const seen = await report({ token: ticket }, { dry_run: true })
    expect(seen.body.items).toMatchObject([{ kind: 'ticket', task: task.id, agent: 'coder' }])
    const done = await report({ token: task.token })
    expect(done.body.items).toMatchObject([{ kind: 'task_token', subject: task.id, quarantined: 'coder' }])
    expect((await api.show(task)).body.end).toBe('revoked')
  })

  test('an agent of a low tier goes on, where the rule says so', async () => {
    const { task, secret } = await holding(asks.apiRead, spiffe('/agent/reviewer'))
    expect((await report({ token: secret })).body.items).toMatchObject([
      { tasks_ended: 1, quarantined: null },
    ])
    expect((await api.show(task)).body.end).toBe('revoked')
    expect(await standing('reviewer')).toBe('active')
  })

  test('what has been dead for long: nothing ends, and the agent goes on', async () => {
    const { task, secret } = await holding()
    await api.complete(task)
    await api.until(task, 'settled')
    installation.clock.advance(LIMITS.leakFreshMs + 60_000)
    operator = await operatorTokenOf(broker)
    const done = await report({ token: secret })
    expect(done.body.items).toMatchObject([{ known: true, tasks_ended: 0, quarantined: null }])
    expect(done.body.items[0].over_since).not.toBeNull()
    expect(await standing('release')).toBe('active')
  })

  test('a suspended agent stays suspended', async () => {
    const { secret } = await holding()
    await api.call('POST', '/v1/agents/release/suspend', operator, { reason: 'odd' })
    expect((await report({ token: secret })).body.items).toMatchObject([{ quarantined: null }])
    expect(await standing('release')).toBe('suspended')
  })

  test('an unknown secret is answered in the same form, and so is the id of no lease', async () => {
    const { secret } = await holding()
    const known = (await report({ token: secret }, { dry_run: true })).body.items[0]
    for (const sighting of [
      { token: newToken('task', Date.now(), randomBytes).reveal() },
      { token: 'ghs_nobodys' },
      { sha256: sha256('nobodys') },
      { lease: `lse_${'0'.repeat(26)}` },
    ]) {
      const [unknown] = (await report(sighting)).body.items
      expect(Object.keys(unknown)).toEqual(Object.keys(known))
      expect(unknown).toMatchObject({ known: false, task: null, agent: null, tasks_ended: 0 })
    }
  })

  test('nobody without a token, and nothing that is not of the form', async () => {
    const body = { sightings: [{ sha256: sha256('x') }], reason: 'r' }
    expect((await api.call('POST', '/v1/leaks', undefined, body)).status).toBe(401)
    const task = await api.open([])
    expect((await api.call('POST', '/v1/leaks', task.token, body)).status).toBe(401)
    for (const wrong of [{}, { sha256: 'X' }, { token: '' }, { sha256: sha256('x'), token: 'y' }])
      expect((await report(wrong)).status).toBe(400)
    expect((await api.call('POST', '/v1/leaks', operator, { ...body, sightings: [] })).status).toBe(400)
  })
})

describe('whoever holds a secret', () => {
  test('ends it, and learns nothing: the answer is the same for one that nobody knows', async () => {
    const { task, secret } = await holding()
    const known = await found(secret)
    const unknown = await found('ghs_nobodys')
    expect([known.status, known.body]).toEqual([202, { reported: true }])
    expect([unknown.status, unknown.body]).toEqual([known.status, known.body])
    expect((await api.until(task, 'settled')).body.end).toBe('revoked')
    expect(atGithub(secret).alive).toBe(false)
  })

  test("ends an operator's token", async () => {
    await found(operator)
    expect((await api.call('GET', '/v1/leaks', operator)).status).toBe(401)
    operator = await operatorTokenOf(broker)
  })

  test('is limited by where they are', async () => {
    const answers = []
    for (let n = 0; n <= LIMITS.foundPerMinutePerSource; n += 1) answers.push((await found('ghs_x')).status)
    expect(answers.at(-1)).toBe(429)
    installation.clock.advance(60_000)
  })
})

describe('the hashes of a task', () => {
  test('are of its own credentials alone, for its own token, and give none of them away', async () => {
    const aws = asks.artifacts(installation.roleArn)
    const task = await api.open([asks.api, aws, asks.orders])
    const secrets: string[] = []
    for (const ask of task.asks) {
      const { credential } = (await api.credential(task, ask)).body
      secrets.push(...(typeof credential === 'string' ? [credential] : Object.values<string>(credential)))
    }
    const other = await holding()
    const path = `/v1/tasks/${task.id}/credentials/hashes`
    const { body } = await api.call('GET', path, task.token)
    expect(body.hashes.map((one: { part: string }) => one.part).toSorted()).toEqual([
      ...['', 'AccessKeyId', 'SecretAccessKey', 'SessionToken'],
    ])
    expect(body.named).toHaveLength(1)
    for (const secret of secrets) expect(JSON.stringify(body)).not.toContain(secret)
    expect((await api.call('GET', path, task.token)).body.key).not.toBe(body.key)
    expect((await api.call('GET', path, other.task.token)).status).toBe(404)
    expect((await api.call('GET', path, operator)).status).toBe(401)
  })
})

test('no secret was written to the log', async () => {
  const { secret } = await holding()
  await found(secret)
  await until(() => written.length > 0)
  expect(written.join('\n')).not.toContain(secret)
})
