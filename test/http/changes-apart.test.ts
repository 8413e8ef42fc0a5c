/** A change shows what a namespace registers, and is seen and ended by whoever may see and end that. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SHIPPED_ROLES } from '../../src/policy/roles/shipped.ts'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { appOf, namespaces, payer, registryOf, type Wanted } from '../registry/team.ts'
import { type Answer, type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { sessionOf } from '../support/session.ts'

/** They agree for one team alone, and are of none. */
const SIGNERS = `
@id("signers-read") permit (principal in Mayfly::Group::"signers", action == Mayfly::Action::"read", resource)
unless { resource has namespace };
@id("signers-sign") permit (principal in Mayfly::Group::"signers", action == Mayfly::Action::"configure", resource)
when { resource has namespace && resource.namespace == Mayfly::Namespace::"payments" };`

let installation: PeopledInstallation
let broker: RunningServer
let api: Api
let team: ReturnType<typeof appOf>
let tokens: Record<string, string>

beforeAll(async () => {
  installation = await createPeopledInstallation({
    settings: { namespaces },
    operators: { dual_control: { keys: true }, roles_dir: 'roles' },
    people: [
      { id: 'paul', name: 'Paul', groups: ['mayfly-platform', 'payments'] },
      { id: 'petra', name: 'Petra', groups: ['mayfly-platform', 'payments'] },
      { id: 'bill', name: 'Bill', groups: ['mayfly-platform', 'billing'] },
      { id: 'cleo', name: 'Cleo', groups: ['mayfly-approver'] },
      { id: 'vera', name: 'Vera', groups: ['mayfly-viewer'] },
      { id: 'ada', name: 'Ada', groups: ['mayfly-admin'] },
      { id: 'sam', name: 'Sam', groups: ['signers'] },
      { id: 'zoe', name: 'Zoe', groups: [] },
    ],
  })
  await mkdir(join(installation.directory, 'roles'))
  await writeFile(join(installation.directory, 'roles/roles.cedar'), SHIPPED_ROLES + SIGNERS)
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  team = appOf(installation)
  tokens = { token: await operatorTokenOf(broker) }
  for (const id of ['paul', 'petra', 'bill', 'cleo', 'vera', 'ada', 'sam', 'zoe'])
    tokens[id] = await sessionOf(broker, installation, id)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const call = (who: string, method: string, path: string, body?: object) =>
  api.call(method, `/v1/changes${path}`, tokens[who]!, body)
const statuses = async (path: string, ...who: string[]) =>
  Promise.all(who.map(async one => (await call(one, 'GET', path)).status))

async function apply(who: string, set: Wanted): Promise<Answer> {
  const registry = registryOf(broker.url, tokens[who]!)
  const planned = await registry.plan(set)
  expect(planned.status, JSON.stringify(planned.body)).toBe(200)
  const id_token = await installation.signInAs(who, { boundTo: planned.body.digest })
  return registry.apply(set, planned.body, { id_token })
}

async function propose(who: string, set: Wanted = payments()): Promise<string> {
  const answer = await apply(who, set)
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  return answer.body.pending
}

const payments = (): Wanted => ({ documents: [team.issuer(), team.agent()], secrets: [team.secret] })
const billing = (): Wanted => ({
  documents: [team.issuer({ name: 'billing.github' })],
  secrets: [{ ...team.secret, resource: 'billing.github' }],
})

/** The ids on every page of one. */
async function listed(who: string): Promise<string[]> {
  const ids: string[] = []
  for (let after = ''; ; ) {
    const { status, body } = await call(who, 'GET', `?limit=1${after}`)
    expect(status, JSON.stringify(body)).toBe(200)
    ids.push(...body.items.map((row: { id: string }) => row.id))
    if (body.next === null) return ids
    after = `&after=${body.next}`
  }
}

test('a change is shown to the team whose it is, to viewers and to admins, and to nobody else', async () => {
  const change = await propose('paul')
  expect(await statuses(`/${change}`, 'paul', 'petra', 'vera', 'ada', 'token')).toEqual(Array(5).fill(200))
  expect(await statuses(`/${change}`, 'bill', 'cleo', 'zoe')).toEqual([404, 404, 403])
  expect((await call('bill', 'POST', `/${change}/approve`, {})).status).toBe(404)
})

/** @returns the status, and what became of it. */
async function end(who: string, how: 'deny' | 'withdraw', change: string) {
  const { status, body } = await call(who, 'POST', `/${change}/${how}`, { reason: 'a test' })
  return [status, body.state]
}

// Regression: both were asked for `narrow` on no namespace, which a team's own humans do not have.
test('a change is withdrawn by who proposed it, and by nobody else', async () => {
  const change = await propose('paul')
  const refused = [403, undefined]
  for (const who of ['petra', 'vera', 'ada', 'token', 'zoe'])
    expect([who, await end(who, 'withdraw', change)]).toEqual([who, refused])
  for (const who of ['bill', 'cleo'])
    expect([who, await end(who, 'withdraw', change)]).toEqual([who, [404, undefined]])
  expect(await end('paul', 'withdraw', 'chg_none')).toEqual([404, undefined])
  expect(await end('paul', 'withdraw', change)).toEqual([200, 'withdrawn'])
  expect(await end('paul', 'withdraw', change)).toEqual([409, undefined])
})

test('a change is denied by the team whose it is, and by admins', async () => {
  const [one, two] = [await propose('paul'), await propose('paul')]
  for (const who of ['vera', 'zoe'])
    expect([who, await end(who, 'deny', one)]).toEqual([who, [403, undefined]])
  for (const who of ['bill', 'cleo'])
    expect([who, await end(who, 'deny', one)]).toEqual([who, [404, undefined]])
  expect(await end('petra', 'deny', one)).toEqual([200, 'denied'])
  expect(await end('ada', 'deny', two)).toEqual([200, 'denied'])
})

test('a list goes on past the changes of others', async () => {
  const older = await propose('bill', billing())
  const others = await propose('paul')
  const newer = await propose('bill', billing())
  expect(await listed('bill')).toEqual([newer, older])
  expect(await listed('cleo')).toEqual([])
  expect((await listed('vera')).slice(0, 3)).toEqual([newer, others, older])
})

test('a change that speaks of two namespaces is for whoever sees both, though it changes one', async () => {
  expect((await apply('ada', { documents: [payer()] })).status).toBe(200)
  const { documents = [], ...rest } = billing()
  const change = await propose('ada', { ...rest, documents: [payer(), ...documents] })
  expect(await statuses(`/${change}`, 'bill', 'paul', 'vera')).toEqual([404, 404, 200])
})

test('a change is shown to who may decide on it, and is in force by who may configure in its namespaces', async () => {
  const agree = async (change: string) => {
    const { digest } = (await call('ada', 'GET', `/${change}`)).body
    const id_token = await installation.signInAs('sam', { boundTo: digest })
    return (await call('sam', 'POST', `/${change}/approve`, { id_token })).status
  }
  const [change, others] = [await propose('paul'), await propose('bill', billing())]
  expect(await statuses(`/${change}`, 'sam', 'bill')).toEqual([200, 404])
  expect(await statuses(`/${others}`, 'sam', 'bill')).toEqual([404, 200])
  expect(await listed('sam')).toContain(change)
  expect([await agree(change), await agree(others)]).toEqual([200, 404])
})
