/** Secrets that take two humans: the second sees whose they are and their fingerprints, and never what they say. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { appOf, namespaces, PAYMENTS, payer, registryOf, type Wanted } from '../registry/team.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let broker: RunningServer
let api: Api
let team: ReturnType<typeof appOf>

async function start(dual_control: Record<string, boolean>): Promise<void> {
  installation = await createPeopledInstallation({
    settings: { namespaces },
    operators: { dual_control },
  })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  team = appOf(installation)
}
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
})

const wanted = (): Wanted => ({ documents: [team.issuer(), team.agent()], secrets: [team.secret] })

async function apply(id: string, set: Wanted): Promise<Answer> {
  const registry = registryOf(broker.url, await sessionOf(broker, installation, id))
  const planned = await registry.plan(set)
  expect(planned.status, JSON.stringify(planned.body)).toBe(200)
  const id_token = await installation.signInAs(id, { boundTo: planned.body.digest })
  return registry.apply(set, planned.body, { id_token })
}

async function propose(set = wanted()) {
  const answer = await apply('ada', set)
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  return show(answer.body.pending)
}

async function show(id: string) {
  return (await api.call('GET', `/v1/changes/${id}`, await sessionOf(broker, installation, 'bo'))).body
}

async function agree(id: string, change: { id: string; digest: string }) {
  const token = await sessionOf(broker, installation, id)
  const id_token = await installation.signInAs(id, { boundTo: change.digest })
  return api.call('POST', `/v1/changes/${change.id}/approve`, token, { id_token })
}

const held = async (id: string) => (await broker.broker.ledger.read.change(id))?.sealed
const issuers = async () => {
  const token = await sessionOf(broker, installation, 'ada')
  const { body } = await api.call('GET', '/v1/registry/issuer', token)
  return body.items.map((row: { name: string }) => row.name)
}

describe('a key under dual control', () => {
  beforeEach(() => start({ keys: true }))

  test('waits sealed, is shown by its fingerprint, and mints when another admin agrees', async () => {
    const change = await propose()
    expect(change).toMatchObject({ kind: 'keys', state: 'pending' })
    const { kind, resource, name } = team.secret
    const fingerprint = expect.stringMatching(/^[0-9a-f]{64}$/)
    expect(change.change.secrets).toEqual([{ kind, resource, name, fingerprint }])
    expect(await issuers()).not.toContain('payments.github')

    const agreed = await agree('bo', change)
    expect(agreed.body, JSON.stringify(agreed.body)).toMatchObject({ state: 'applied' })
    expect(await held(change.id)).toBeNull()
    const token = await sessionOf(broker, installation, 'ada')
    const { body } = await api.call('GET', '/v1/registry/issuer/payments.github', token)
    expect(body.document.secrets).toEqual({ [name]: change.change.secrets[0].fingerprint })
    const evidence = { type: 'jwt', token: installation.svid('/payments/payer') }
    expect((await api.credential(await api.open([team.ask], { evidence }))).status).toBe(201)
  })

  test('is in no answer, and not in the ledger as it is', async () => {
    const planned = await registryOf(broker.url, await operatorTokenOf(broker)).plan(wanted())
    const change = await propose()
    const list = await api.call('GET', '/v1/changes', await sessionOf(broker, installation, 'bo'))
    const { detail } = (await agree('ada', change)).body
    expect(detail).toContain('another human')
    const agreed = await agree('bo', change)
    const telling = team.pem.slice(40, 80)
    for (const one of [planned.body, change, list.body, agreed.body])
      expect(JSON.stringify(one)).not.toContain(telling)
    await broker.stop()
    const file = await readFile(join(installation.directory, 'data/mayfly.db'))
    expect(file.includes(telling)).toBe(false)
    expect(file.includes('payments.github')).toBe(true)
  })

  test('is not in force by who proposed it, and not proposed by a token', async () => {
    const change = await propose()
    expect((await agree('ada', change)).status).toBe(403)
    expect((await agree('cleo', change)).status).toBe(404)
    expect((await agree('vera', change)).status).toBe(403)
    const registry = registryOf(broker.url, await operatorTokenOf(broker))
    const planned = await registry.plan(wanted())
    expect((await registry.apply(wanted(), planned.body)).status).toBe(403)
    expect(await issuers()).not.toContain('payments.github')
  })

  test.each([
    ['deny', 'bo'],
    ['withdraw', 'ada'],
  ])('to which somebody says %s is deleted, and agreed to no more', async (how, who) => {
    const change = await propose()
    expect(await held(change.id)).not.toBeNull()
    const token = await sessionOf(broker, installation, who)
    const ended = await api.call('POST', `/v1/changes/${change.id}/${how}`, token, { reason: 'a test' })
    expect(ended.status).toBe(200)
    expect(await held(change.id)).toBeNull()
    expect((await agree('bo', change)).body.code).toBe('approval_over')
  })

  test('that nobody decides in time is deleted with what else is past', async () => {
    const change = await propose()
    installation.clock.advance(3 * 24 * 60 * 60_000)
    await broker.broker.ledger.write(tx => tx.prune(100))
    expect(await held(change.id)).toBeNull()
    expect((await agree('bo', change)).body.code).toBe('approval_over')
  })

  test('of another change, or of none, is not put in its place by who writes to the database', async () => {
    const [one, two] = [await propose(), await propose({ ...wanted(), documents: [team.issuer()] })]
    await broker.stop()
    const file = new DatabaseSync(join(installation.directory, 'data/mayfly.db'))
    const take = 'update changes set sealed = (select sealed from changes where id = ?) where id = ?'
    file.prepare(take).run(two.id, one.id)
    file.prepare('update changes set sealed = null where id = ?').run(two.id)
    file.close()
    broker = await startBroker(installation)
    api = createApi(broker, installation)
    expect((await agree('bo', one)).status).toBe(500)
    const gone = await agree('bo', two)
    expect(gone.body).toMatchObject({ code: 'approval_over', detail: expect.stringContaining('propose it') })
    expect(await issuers()).not.toContain('payments.github')
  })

  test('is not applied where it would change something else by then', async () => {
    const change = await propose()
    const other = await propose({ documents: [team.issuer({ description: 'ours' })], secrets: [team.secret] })
    expect((await agree('bo', other)).status).toBe(200)
    expect((await agree('bo', change)).body.code).toBe('registry_moved')
  })

  test('is replaced by two, while what has no key in it is applied at once', async () => {
    expect((await agree('bo', await propose())).status).toBe(200)
    expect((await apply('ada', { documents: [payer({ purpose: 'Pays more' })] })).status).toBe(200)
    const another = { ...team.secret, value: `${team.pem}\n` }
    const change = await propose({ documents: [team.issuer()], secrets: [another] })
    const [{ fields }] = change.change.changes
    expect(fields.map((field: { path: string }) => field.path)).toEqual(['secrets.app-key'])
    expect((await agree('bo', change)).status).toBe(200)
    // The same again changes nothing, and takes nobody.
    const same = await apply('ada', { documents: [team.issuer()], secrets: [another] })
    expect([same.status, same.body.changes]).toEqual([200, []])
  })
})

describe('an instance whose key two have agreed to', () => {
  beforeEach(async () => {
    await start({ keys: true })
    expect((await agree('bo', await propose())).status).toBe(200)
  })

  const registered = async () => {
    const token = await sessionOf(broker, installation, 'ada')
    return (await api.call('GET', '/v1/registry/issuer/payments.github', token)).body.document
  }

  // Regression: two were asked for where a key was uploaded, and one alone could have it sent elsewhere.
  test('is sent nowhere else by one alone, and by two is', async () => {
    const before = await registered()
    const api_url = 'https://elsewhere.example.com'
    const change = await propose({ documents: [team.issuer({ api_url })] })
    expect(change).toMatchObject({ kind: 'keys', state: 'pending' })
    expect(change.change.secrets).toBeUndefined()
    expect(change.change.changes[0].fields).toMatchObject([{ path: 'settings.api_url', after: api_url }])
    expect(await registered()).toEqual(before)
    expect((await agree('bo', change)).status).toBe(200)
    expect(await registered()).toMatchObject({ settings: { api_url }, secrets: before.secrets })
  })

  test('becomes no other type by one alone, though that has no key', async () => {
    const { kind, name } = team.issuer()
    const other = { kind, name, type: 'signed-jwt', audiences: [{ audience: PAYMENTS }] }
    const change = await propose({ documents: [other], remove: [{ kind: 'agent', name: 'payments.payer' }] })
    expect(change.kind).toBe('keys')
    expect((await registered()).type).toBe('github-app')
  })

  test('is described anew, and taken away, by one', async () => {
    const described = await apply('ada', { documents: [team.issuer({ description: 'ours' })] })
    expect(described.status, JSON.stringify(described.body)).toBe(200)
    const gone = await apply('ada', { prune: ['payments'] })
    expect(gone.status, JSON.stringify(gone.body)).toBe(200)
    expect(await issuers()).not.toContain('payments.github')
  })
})

test('a key and a policy, which both take two, are proposed apart', async () => {
  await start({ keys: true, policies: true })
  const text = '@id("payments.one") forbid (principal, action, resource) when { context.ttlSeconds > 7200 };'
  const policy = { kind: 'policy', name: 'payments.one', text }
  const both = await apply('ada', { documents: [team.issuer(), policy], secrets: [team.secret] })
  expect([both.status, both.body.detail]).toEqual([400, expect.stringContaining('apart from the rest')])
  expect((await propose({ documents: [policy] })).kind).toBe('policies')
  expect((await propose()).kind).toBe('keys')
})
