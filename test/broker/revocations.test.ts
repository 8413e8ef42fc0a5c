/** The operator's switch, through HTTP: what it reaches, what it refuses meanwhile, and how it goes on. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { continueRevocation, startRevocation } from '../../src/broker/revocations/revocations.ts'
import type { RunningServer } from '../../src/server.ts'
import type { LedgerWrite } from '../../src/store/ledger.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let operator: string

beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(() => installation?.close())
beforeEach(async () => {
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
})
afterEach(async () => {
  await revoke({ everything: true })
  await broker.stop()
})

const revoke = (body: object): Promise<Answer> =>
  api.call('POST', '/v1/revocations', operator, { reason: 'leaked', ...body })
const status = (id: string) => api.call('GET', `/v1/revocations/${id}`, operator)
const unblock = (id: string) => api.call('POST', `/v1/revocations/${id}/unblock`, operator, {})

const svid = (path: string) => ({ evidence: { type: 'jwt', token: installation.svid(path) } })
const release = () => api.open([asks.api, asks.orders])
const coder = () => api.open([asks.api, asks.orders], svid('/agent/coder'))

async function holding(open: () => Promise<OpenedTask>): Promise<OpenedTask> {
  const task = await open()
  for (const ask of task.asks) expect((await api.credential(task, ask)).status).toBe(201)
  return task
}

async function leasesOf(task: OpenedTask): Promise<Record<string, string>> {
  const { items } = await broker.broker.ledger.read.leases({ task: task.id }, { limit: 9 })
  return Object.fromEntries(items.map(row => [row.issuer, row.state]))
}

const stateOf = async (task: OpenedTask) => (await broker.broker.ledger.read.task(task.id))?.state
const allDead = (id: string) =>
  until(async () => {
    const { credentials, state } = (await status(id)).body
    return state === 'done' && credentials.reached === credentials.confirmed_dead
  })

describe('what it reaches', () => {
  test('an agent: its tasks and all they hold, and nobody else’s', async () => {
    const mine = await holding(coder)
    const other = await holding(release)
    const { status: code, body, headers } = await revoke({ agent: 'coder' })
    expect(code).toBe(202)
    expect(headers.get('location')).toBe(`/v1/revocations/${body.id}`)
    expect(body).toMatchObject({ state: 'done', tasks_ended: 1, blocking: false, filter: { agent: 'coder' } })
    expect(body).toMatchObject({ by: 'operator:test', credentials: { reached: 2 } })
    await allDead(body.id)
    expect(await stateOf(mine)).not.toBe('active')
    expect(await stateOf(other)).toBe('active')
    const audit = await broker.broker.ledger.read.audit({ task: mine.id }, { limit: 100 })
    expect(audit.items.find(row => row.event === 'task.ended')?.actor).toBe('operator:test')
    await holding(coder)
  })

  test('an issuer: its credentials alone; their tasks go on', async () => {
    const [mine, other] = [await holding(coder), await holding(release)]
    const { body } = await revoke({ issuer: 'github' })
    expect(body).toMatchObject({ tasks_ended: 0, credentials: { reached: 2 } })
    await allDead(body.id)
    for (const task of [mine, other]) {
      expect(await stateOf(task)).toBe('active')
      expect(await leasesOf(task)).toEqual({ github: 'closed', jwt: 'active' })
    }
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test.each([
    ['a repository by name', { repository: 'ACME/Api' }, { github: 'closed', jwt: 'active' }],
    ['a repository by number', { repository: '1' }, { github: 'closed', jwt: 'active' }],
    ['another repository', { repository: 'acme/web' }, { github: 'active', jwt: 'active' }],
    ['an agent’s issuer', { agent: 'coder', issuer: 'jwt' }, { github: 'active', jwt: 'closed' }],
    ['another agent’s issuer', { agent: 'release', issuer: 'jwt' }, { github: 'active', jwt: 'active' }],
  ])('%s', async (_, filter, left) => {
    const task = await holding(coder)
    const { body } = await revoke(filter)
    await allDead(body.id)
    expect(await leasesOf(task)).toEqual(left)
    expect(await stateOf(task)).toBe('active')
  })

  test('a role, which only stops by itself: it is counted as that', async () => {
    const task = await holding(() => api.open([asks.artifacts(installation.roleArn), asks.orders]))
    const { body } = await revoke({ role: installation.roleArn })
    expect(body.credentials).toMatchObject({ reached: 1, expiry_only: 1, waiting: 0 })
    expect(await leasesOf(task)).toEqual({ aws: 'revoking', jwt: 'active' })
  })

  test('a lease within a task, and not within another', async () => {
    const [mine, other] = [await holding(coder), await holding(coder)]
    const { items } = await broker.broker.ledger.read.leases({ task: mine.id, issuer: 'jwt' }, { limit: 1 })
    const lease = items[0]!.id
    expect((await revoke({ lease, task: other.id })).body.credentials.reached).toBe(0)
    expect((await revoke({ lease, issuer: 'github' })).body.credentials.reached).toBe(0)
    expect((await revoke({ lease, task: mine.id, agent: 'coder' })).body.credentials.reached).toBe(1)
    expect(await leasesOf(mine)).toMatchObject({ github: 'active' })
  })

  test('everything, in as many batches as it takes', async () => {
    const tasks = await Promise.all(Array.from({ length: 5 }, () => holding(coder)))
    const few = { ...broker.broker, limits: { ...broker.broker.limits, endBatch: 2, revocationBatch: 3 } }
    const { id } = await startRevocation(
      few,
      { filter: { agent: 'coder' }, reason: 'x', hold: false },
      'operator:test',
    )
    await allDead(id)
    const { body } = await status(id)
    expect(body).toMatchObject({ tasks_ended: 5, credentials: { reached: 10, confirmed_dead: 10 } })
    expect(await Promise.all(tasks.map(stateOf))).not.toContain('active')
  })
})

test('a dry run lists the tasks and the credentials, with whose and what for, and changes nothing', async () => {
  const parent = await holding(coder)
  const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
    ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.apiRead] },
  })
  const evidence = svid('/agent/reviewer')
  const child = await holding(() => api.open([asks.apiRead], { ...evidence, ticket: ticket.body.ticket }))
  await holding(release)
  const before = await broker.broker.ledger.read.audit({}, { limit: 1_000 })
  const { status: code, body } = await revoke({ agent: 'coder', dry_run: true })
  expect([code, body.dry_run, body.complete]).toEqual([200, true, true])
  expect(body.tasks.map((task: { id: string }) => task.id).sort()).toEqual([parent.id, child.id].sort())
  expect(body.leases).toHaveLength(3)
  expect(body.leases[0]).toMatchObject({ issuer: expect.any(String), authorization_details: {} })
  const one = await revoke({ repository: 'acme/api', dry_run: true })
  expect([one.body.tasks, one.body.leases.length]).toEqual([[], 3])
  const after = await broker.broker.ledger.read.audit({}, { limit: 1_000 })
  expect(after.items).toHaveLength(before.items.length)
  expect(await stateOf(child)).toBe('active')
})

describe('what it refuses', () => {
  test('held: openings and mints of the same, until it is unblocked', async () => {
    const task = await coder()
    const { body } = await revoke({ agent: 'coder', issuer: 'github', hold: true })
    expect(body).toMatchObject({ state: 'done', hold: true, blocking: true })
    const [github, jwt] = task.asks as [string, string]
    const refused = await api.credential(task, github)
    expect([refused.status, refused.body.code]).toEqual([403, 'blocked'])
    expect(refused.body.detail).toContain(body.id)
    expect(JSON.stringify(refused.body)).not.toContain('leaked')
    expect((await api.credential(task, jwt)).status).toBe(201)
    await expect(coder()).rejects.toThrow('blocked')
    await holding(release)
    const listed = await api.call('GET', '/v1/revocations?blocking=true', operator)
    expect(listed.body.items.map((row: { id: string }) => row.id)).toEqual([body.id])

    const unblocked = await unblock(body.id)
    expect(unblocked.body).toMatchObject({ blocking: false, unblocked_by: 'operator:test' })
    expect((await unblock(body.id)).status).toBe(200)
    expect((await api.credential(task, github)).status).toBe(201)
    expect((await unblock('rev_x')).status).toBe(404)
  })

  test('held for everything: the broker’s own look-ups too', async () => {
    const { body } = await revoke({ everything: true, hold: true })
    await expect(api.open([asks.orders])).rejects.toThrow('blocked')
    await expect(api.open([asks.api])).rejects.toThrow('blocked')
    await unblock(body.id)
  })

  test('only so many are held', async () => {
    const one = { ...broker.broker, limits: { ...broker.broker.limits, blocks: 1 } }
    const order = { filter: { agent: 'nobody' }, reason: 'x', hold: true }
    const first = await startRevocation(one, order, 'operator:test')
    await expect(startRevocation(one, order, 'operator:test')).rejects.toThrow('unblock one')
    await unblock(first.id)
  })
})

describe('its run', () => {
  test('a broker that falls over in it: the next goes on from the ledger', async () => {
    const tasks = await Promise.all(Array.from({ length: 4 }, () => holding(coder)))
    let ends = 0
    const { ledger } = broker.broker
    const failing = {
      ...broker.broker,
      wake: () => {},
      ledger: {
        ...ledger,
        write: <T>(body: (tx: LedgerWrite) => Promise<T>) =>
          ledger.write(async tx => {
            const endTasks: LedgerWrite['endTasks'] = (...told) => {
              ends += 1
              if (ends > 2) throw new Error('fell over')
              return tx.endTasks(...told)
            }
            return body(Object.assign(Object.create(tx), { endTasks }))
          }),
      },
    }
    const order = { filter: { agent: 'coder' }, reason: 'x', hold: false }
    const { id, state, blocking } = await startRevocation(failing, order, 'operator:test')
    expect([state, blocking]).toEqual(['running', 1])
    // While it runs, nothing new of the same.
    await expect(coder()).rejects.toThrow('blocked')
    expect(await continueRevocation(broker.broker, `revocation/${id}`)).toBe(false)

    await broker.stop()
    broker = await startBroker(installation)
    api = createApi(broker, installation)
    await allDead(id)
    expect((await status(id)).body).toMatchObject({ tasks_ended: 4, blocking: false })
    expect(await Promise.all(tasks.map(stateOf))).not.toContain('active')
    await holding(coder)
  })

  test('a mint under way, whose provider has not answered, is caught', async () => {
    const task = await coder()
    const gate = Promise.withResolvers<void>()
    let asked = false
    installation.github.faults = async ({ operation, when }): Promise<FaultDecision> => {
      if (when === 'after' && operation === 'apps/create-installation-access-token') {
        asked = true
        await gate.promise
      }
      return 'ok'
    }
    const minting = api.credential(task, task.asks[0])
    await until(() => asked)
    const { body } = await revoke({ issuer: 'github', agent: 'coder' })
    expect(body.credentials).toMatchObject({ reached: 1, waiting: 1 })
    gate.resolve()
    installation.github.faults = () => 'ok'
    expect((await minting).body.code).toBe('task_not_active')
    await allDead(body.id)
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })
})
