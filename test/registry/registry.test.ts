/** What a team registers through the API, from the plan to a credential. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { appOf, payer, REASON, registryOf, withTeams } from './team.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let registry: ReturnType<typeof registryOf>

beforeEach(async () => {
  installation = await createInstallation(withTeams())
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  registry = registryOf(broker.url, await operatorTokenOf(broker))
})
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
})

const svid = (path: string) => ({ type: 'jwt', token: installation.svid(path) })
const asPayer = (wanted: unknown[], extra = {}) =>
  api.open(wanted, { evidence: svid('/payments/payer'), ...extra })

describe('a plan', () => {
  test('says what would change and what that widens, and changes nothing', async () => {
    const { status, body } = await registry.plan({ documents: [payer()] })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(body).toMatchObject({ generation: 1, namespaces: ['payments'] })
    const [change] = body.changes
    expect(change).toMatchObject({ action: 'add', kind: 'agent', name: 'payments.payer', narrows: [] })
    expect(change.widens).toEqual(['the agent payments.payer is new'])
    await expect(asPayer([asks.orders])).rejects.toThrow(/agent_unmatched/)
  })

  test('tells field by field what a change widens and narrows, by the issuers’ own judgement', async () => {
    await registry.register({ documents: [payer()] })
    const { body } = await registry.plan({
      documents: [
        payer({
          purpose: 'Pays, and reads less',
          limits: { task_minutes: 30, active_tasks: 100, credentials_per_hour: 2_000 },
          ceiling: {
            jwt: [{ audience: 'https://orders.example.com', scopes: ['orders.read', 'orders.write'] }],
          },
        }),
      ],
    })
    const [change] = body.changes
    expect(change.action).toBe('change')
    expect(change.fields.map((field: { path: string }) => field.path)).toEqual([
      'ceiling.jwt',
      'limits.credentials_per_hour',
      'limits.task_minutes',
      'purpose',
    ])
    expect(change.widens).toEqual([
      'jwt: more than before: {"audience":"https://orders.example.com","scopes":["orders.read","orders.write"]}',
      'credentials_per_hour: 1000 to 2000',
    ])
    expect(change.narrows).toEqual(['task_minutes: 60 to 30'])
  })

  test('tells what becomes of check-ins, of the build, of humans and of what rules read', async () => {
    const build = (digit: string) => `sha256:${digit.repeat(64)}`
    const bounded = { check_in_minutes: 30, build: build('a') }
    const change = async (from: object, to: object) => {
      await registry.register({ documents: [payer({ ...from })] })
      return (await registry.plan({ documents: [payer({ ...to })] })).body.changes[0]
    }
    expect(await change(bounded, { check_in_minutes: 60, build: build('b') })).toMatchObject({
      widens: ['check in minutes: 30 to 60', 'build: another is declared'],
      narrows: [],
    })
    const freed = await change(bounded, { may_act_for: { groups: ['tellers'] } })
    expect(freed.fields.map((field: { path: string }) => field.path)).toEqual([
      'build',
      'check_in_minutes',
      'may_act_for',
    ])
    expect(freed.widens).toEqual([
      'check in minutes: 30 to no bound',
      'may act for tellers',
      'build: none is declared any more',
    ])
    expect((await change({}, bounded)).narrows).toEqual([
      'check in minutes: no bound to 30',
      'build: one is declared, and another waits for its owner',
    ])
    const owner = { business: 'payments@acme.test', technical: 'others@acme.test' }
    expect((await change({}, { owner, systems: ['payments', 'ledger'] })).widens).toEqual([
      'somebody else runs it: others@acme.test',
      'rules read other systems: payments, ledger',
    ])
  })

  test('of what is registered already is empty, and applying it raises no generation', async () => {
    const first = await registry.register({ documents: [payer()] })
    const again = await registry.register({ documents: [payer()] })
    expect(again.body).toEqual({ generation: first.body.generation, changes: [] })
  })
})

describe('what is applied', () => {
  test('is in force at once, with who and why in the audit log', async () => {
    const { body } = await registry.register({ documents: [payer()] })
    expect(body.generation).toBe(2)
    const task = await asPayer([asks.orders])
    expect((await api.credential(task)).status).toBe(201)
    const shown = await registry.get('/agent/payments.payer')
    expect(shown.body).toMatchObject({
      ...{ version: 1, namespace: 'payments', managed_by: 'api', state: 'registered', reason: REASON },
      ...{ actor: 'operator:test', document: { expires_at: '2040-01-01T00:00:00.000Z' } },
    })
    const audit = await broker.broker.ledger.read.audit({ agent: 'payments.payer' }, { limit: 10 })
    expect(audit.items.map(row => [row.event, row.actor])).toContainEqual([
      'resource.registered',
      'operator:test',
    ])
    expect(audit.items.find(row => row.event === 'resource.registered')?.data).toContain(REASON)
  })

  test('keeps its history, and goes whole: its tasks end and what they hold is revoked', async () => {
    const { issuer, secret, agent, ask } = appOf(installation)
    await registry.register({ documents: [issuer(), agent()], secrets: [secret] })
    const task = await asPayer([ask])
    expect((await api.credential(task)).status).toBe(201)
    await registry.register({ remove: [{ kind: 'agent', name: 'payments.payer' }] })
    expect((await api.until(task, 'ended')).body.end).toBe('revoked')
    await expect.poll(() => installation.github.credentials().filter(one => one.alive)).toEqual([])
    const { body } = await registry.get('/agent/payments.payer/versions')
    expect(body.items.map((row: { version: number; state: string }) => [row.version, row.state])).toEqual([
      [2, 'removed'],
      [1, 'registered'],
    ])
    // It comes back as a third version, never as one that was.
    await registry.register({ documents: [agent()] })
    expect((await registry.get('/agent/payments.payer')).body.version).toBe(3)
  })

  test('narrows what is live', async () => {
    const { issuer, secret, agent, ask } = appOf(installation)
    await registry.register({ documents: [issuer(), agent()], secrets: [secret] })
    const task = await asPayer([ask])
    expect((await api.credential(task)).status).toBe(201)
    const less = { ceiling: { jwt: [{ audience: 'https://orders.example.com', scopes: ['orders.read'] }] } }
    await registry.register({ documents: [payer(less)] })
    await expect.poll(() => installation.github.credentials().filter(one => one.alive)).toEqual([])
    expect((await api.show(task)).body.state).toBe('active')
  })

  test('with prune is all that the namespace has, and touches no other', async () => {
    await registry.register({
      documents: [payer(), payer({ name: 'payments.other', attest: rule('other') })],
    })
    const { body } = await registry.register({ documents: [payer()], prune: ['payments'] })
    expect(
      body.changes.map((change: { action: string; name: string }) => [change.action, change.name]),
    ).toEqual([['remove', 'payments.other']])
    expect((await registry.get('/agent/release')).body.state).toBe('registered')
  })

  test('and was not installed before a crash is in force after a restart', async () => {
    await registry.register({ documents: [payer()] })
    await broker.stop()
    broker = await startBroker(installation)
    api = createApi(broker, installation)
    expect((await api.credential(await asPayer([asks.orders]))).status).toBe(201)
  })
})

describe('an issuer of a team', () => {
  test('mints with the key that was uploaded, and its credentials die with the task', async () => {
    const { issuer, secret, agent, ask } = appOf(installation)
    await registry.register({ documents: [issuer(), agent()], secrets: [secret] })
    const task = await asPayer([ask])
    const minted = await api.credential(task)
    expect(minted.status, JSON.stringify(minted.body)).toBe(201)
    await api.complete(task)
    expect((await api.until(task, 'settled')).body.credentials[0]).toMatchObject({ closed_as: 'revoked' })
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('is not taken away, nor given other settings, while a credential of it is open', async () => {
    const { issuer, secret, agent, ask } = appOf(installation)
    await registry.register({ documents: [issuer(), agent()], secrets: [secret] })
    const task = await asPayer([ask])
    await api.credential(task)
    const other = { documents: [issuer({ installation_id: 99 })] }
    const planned = await registry.plan(other)
    expect((await registry.apply(other, planned.body)).body).toMatchObject({
      code: 'resource_in_use',
      detail: expect.stringContaining('mayfly revoke --issuer payments.github'),
    })
    const gone = { prune: ['payments'] }
    const removal = await registry.plan(gone)
    expect((await registry.apply(gone, removal.body)).body.code).toBe('resource_in_use')
    // A new key is let through: the old one may have leaked.
    const rotated = { documents: [issuer()], secrets: [{ ...secret, value: `${secret.value}\n` }] }
    await registry.register(rotated)
    await api.complete(task)
    expect((await api.until(task, 'settled')).body.credentials[0]).toMatchObject({ closed_as: 'revoked' })
    await registry.register(gone)
    expect(await broker.broker.ledger.read.resourceSecrets()).toEqual([])
  })

  test('of which the key is in the ledger sealed, and in no answer', async () => {
    const { issuer, secret, pem } = appOf(installation)
    const applied = await registry.register({ documents: [issuer()], secrets: [secret] })
    const [row] = await broker.broker.ledger.read.resourceSecrets()
    expect(Buffer.from(row!.sealed).includes(pem.slice(40, 80))).toBe(false)
    const answers = [
      applied,
      await registry.get('/issuer'),
      await registry.get('/issuer/payments.github'),
      await registry.get('/issuer/payments.github/versions'),
    ]
    for (const { body } of answers) expect(JSON.stringify(body)).not.toContain(pem.slice(40, 80))
    expect((await registry.get('/issuer/payments.github')).body.document).toMatchObject({
      settings: { private_key_file: 'secret:app-key' },
      secrets: { 'app-key': expect.stringMatching(/^[0-9a-f]{64}$/) },
    })
  })
})

describe('files', () => {
  test('of a broker alone are in force whatever they were before, at a reload and at a start', async () => {
    const purpose = () => broker.broker.agents().get('release')?.purpose
    const first = purpose()
    const release = { ...installation.agents.release, purpose: 'Releases something else' }
    await installation.configure({ ...withTeams(), agents: { release } })
    await broker.reload()
    expect(purpose()).toBe('Releases something else')
    await installation.configure(withTeams())
    await broker.reload()
    expect(purpose()).toBe(first)
    await installation.configure({ ...withTeams(), agents: { release } })
    await broker.stop()
    broker = await startBroker(installation)
    expect(purpose()).toBe('Releases something else')
    expect(broker.broker.stale()).toBeUndefined()
  })

  test('that no longer grant a namespace leave its resources, and none of them counts', async () => {
    await registry.register({ documents: [payer()] })
    const task = await asPayer([asks.orders])
    await broker.stop()
    await installation.configure({})
    broker = await startBroker(installation)
    api = createApi(broker, installation)
    expect(broker.broker.agents().has('payments.payer')).toBe(false)
    expect((await api.until(task, 'ended')).body.end).toBe('revoked')
    await broker.stop()
    await installation.configure(withTeams())
    broker = await startBroker(installation)
    expect(broker.broker.agents().has('payments.payer')).toBe(true)
  })

  test('that read the same raise no generation, however often they are read', async () => {
    const before = await broker.broker.ledger.read.registry()
    await broker.reload()
    await broker.stop()
    broker = await startBroker(installation)
    expect(await broker.broker.ledger.read.registry()).toEqual(before)
  })
})

const rule = (name: string) => [{ attestor: 'spire', subject: `spiffe://acme.test/payments/${name}` }]
