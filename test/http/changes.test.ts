/** Policies that take two humans (threat 26): an admin alone changes none. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { namespaces, payer, REASON, registryOf } from '../registry/team.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

let installation: PeopledInstallation
let broker: RunningServer
let api: Api

beforeAll(async () => {
  installation = await createPeopledInstallation({
    settings: { namespaces },
    operators: { dual_control: { policies: true } },
  })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const policy = (name: string, seconds: number) => ({
  ...{ kind: 'policy', name },
  text: `@id("${name}") forbid (principal, action, resource) when { context.ttlSeconds > ${seconds} };`,
})

/** Plans and applies as this human, freshly signed in for the plan. */
async function apply(id: string, documents: Record<string, unknown>[]): Promise<Answer> {
  const registry = registryOf(broker.url, await sessionOf(broker, installation, id))
  const planned = await registry.plan({ documents })
  expect(planned.status, JSON.stringify(planned.body)).toBe(200)
  const id_token = await installation.signInAs(id, { boundTo: planned.body.digest })
  return registry.apply({ documents }, planned.body, { id_token })
}

async function propose(name: string): Promise<{ id: string; digest: string }> {
  const answer = await apply('ada', [policy(name, 7_200)])
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  const token = await sessionOf(broker, installation, 'ada')
  return (await api.call('GET', `/v1/changes/${answer.body.pending}`, token)).body
}

async function agree(id: string, change: { id: string; digest: string }, boundTo = change.digest) {
  const token = await sessionOf(broker, installation, id)
  const id_token = await installation.signInAs(id, { boundTo })
  return api.call('POST', `/v1/changes/${change.id}/approve`, token, { id_token })
}

const registered = async () => {
  const token = await sessionOf(broker, installation, 'ada')
  const { body } = await api.call('GET', '/v1/registry/policy', token)
  return body.items.filter((row: { state: string }) => row.state === 'registered').map(nameOf)
}
const nameOf = (row: { name: string }) => row.name

describe('a policy under dual control', () => {
  test('waits, is shown whole, and is in force when another admin agrees', async () => {
    const change = await propose('payments.one')
    expect(change).toMatchObject({ kind: 'policies', state: 'pending', reason: REASON })
    expect(JSON.stringify(change)).toContain('context.ttlSeconds > 7200')
    expect(await registered()).not.toContain('payments.one')
    const agreed = await agree('bo', change)
    expect(agreed.body).toMatchObject({ state: 'applied', decided_by: expect.stringContaining('Bo') })
    expect(await registered()).toContain('payments.one')
    expect((await agree('bo', change)).body).toMatchObject({ status: 409, code: 'approval_over' })
  })

  test('is not in force by who proposed it, by a token, by a session, or by who may not configure', async () => {
    const change = await propose('payments.two')
    expect((await agree('ada', change)).status).toBe(403)
    const path = `/v1/changes/${change.id}/approve`
    expect((await api.call('POST', path, await operatorTokenOf(broker), {})).status).toBe(403)
    const bo = await sessionOf(broker, installation, 'bo')
    expect((await api.call('POST', path, bo, {})).body.code).toBe('fresh_sign_in_needed')
    expect((await agree('cleo', change)).status).toBe(404)
    expect((await agree('vera', change)).status).toBe(403)
    expect((await agree('bo', change, 'f'.repeat(64))).body.code).toBe('fresh_sign_in_needed')
    expect(await registered()).not.toContain('payments.two')
  })

  test('is not proposed by a token, which either of the two may hold', async () => {
    const registry = registryOf(broker.url, await operatorTokenOf(broker))
    const documents = [policy('payments.three', 60)]
    const planned = await registry.plan({ documents })
    expect((await registry.apply({ documents }, planned.body)).status).toBe(403)
  })

  test('comes too late after its time', async () => {
    const change = await propose('payments.four')
    installation.clock.advance(3 * 24 * 60 * 60_000)
    expect((await agree('bo', change)).body.code).toBe('approval_over')
    const token = await sessionOf(broker, installation, 'bo')
    expect((await api.call('GET', `/v1/changes/${change.id}`, token)).body.state).toBe('expired')
  })

  test('is denied, or taken back by who proposed it and nobody else', async () => {
    const [one, two] = [await propose('payments.five'), await propose('payments.six')]
    const end = async (id: string, path: string) =>
      api.call('POST', path, await sessionOf(broker, installation, id), { reason: 'a test' })
    expect((await end('bo', `/v1/changes/${one.id}/deny`)).body.state).toBe('denied')
    expect((await end('bo', `/v1/changes/${two.id}/withdraw`)).status).toBe(403)
    expect((await end('ada', `/v1/changes/${two.id}/withdraw`)).body.state).toBe('withdrawn')
    expect((await agree('bo', one)).body.code).toBe('approval_over')
    expect((await agree('bo', two)).body.code).toBe('approval_over')
  })

  test('of two who agree at a time, one does', async () => {
    installation.people.addPerson({ id: 'eve', name: 'Eve', groups: ['mayfly-admin'] })
    const change = await propose('payments.seven')
    const both = await Promise.all([agree('bo', change), agree('eve', change)])
    expect(both.map(({ status }) => status).toSorted()).toEqual([200, 409])
  })

  test('is not applied where it would change something else by then', async () => {
    const change = await propose('payments.eight')
    const other = await apply('ada', [policy('payments.eight', 60)])
    expect((await agree('bo', { id: other.body.pending, digest: await digestOf(other) })).status).toBe(200)
    expect((await agree('bo', change)).body.code).toBe('registry_moved')
  })

  test('goes apart from what does not take two, which is applied at once', async () => {
    expect((await apply('ada', [policy('payments.nine', 60), payer()])).status).toBe(400)
    expect((await apply('ada', [payer()])).status).toBe(200)
  })
})

async function digestOf(answer: Answer): Promise<string> {
  const token = await sessionOf(broker, installation, 'bo')
  return (await api.call('GET', `/v1/changes/${answer.body.pending}`, token)).body.digest
}
