/** A platform team's own issuer, from evidence to the end of the task, over mutual TLS as the broker makes it. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { RunningServer } from '../src/server.ts'
import { type HttpIssuer, startHttpIssuer } from './fakes/http-issuer/http-issuer.ts'
import { createInstallation, type Installation, startBroker } from './fakes/installation.ts'
import { askSettings, authority, certificates, broker as client, READ_ORDERS } from './issuers/http-world.ts'
import { type Api, createApi } from './support/api.ts'

let installation: Installation
let team: HttpIssuer
let running: RunningServer
let api: Api

async function start(server = certificates.server): Promise<void> {
  installation = await createInstallation()
  team = await startHttpIssuer({
    now: installation.clock.now,
    random: bytes => randomBytes(bytes),
    tls: { ...server, clientAuthority: authority.certificate },
    clients: ['mayfly'],
  })
  const files = {
    'mayfly.pem': client.certificate,
    'mayfly.key': client.key,
    'team-ca.pem': authority.certificate,
  }
  for (const [name, text] of Object.entries(files))
    await writeFile(join(installation.directory, name), text, { mode: 0o600 })
  const databases = {
    type: 'http',
    owner: 'data-platform@acme.test',
    url: team.url,
    tls: { certificate_file: 'mayfly.pem', key_file: 'mayfly.key', ca_file: 'team-ca.pem' },
    revocability: 'immediate',
    longest_life_minutes: 60,
    resolves: true,
    ask: askSettings,
  }
  const ceiling = { databases: [{ database: 'orders', tables: ['open', 'closed'], level: 'write' }] }
  const agent = (name: string) =>
    [name, { ...installation.agents[name], ceiling, may_delegate_to: [] }] as const
  await installation.configure({
    settings: { issuers: { databases } },
    agents: Object.fromEntries(Object.keys(installation.agents).map(agent)),
  })
  running = await startBroker(installation)
  api = createApi(running, installation)
}

beforeEach(() => start())
afterEach(stop)

async function stop(): Promise<void> {
  await running?.stop()
  await team?.close()
  await installation?.close()
}

const reading = { type: 'databases', ...READ_ORDERS }

test('a login lives as long as its task', async () => {
  const task = await api.open([reading])
  const { status, body } = await api.credential(task)
  expect([status, body]).toMatchObject([
    201,
    { credential: expect.stringMatching(/^db-/), authorization_details: { ...reading, database_id: 'db_1' } },
  ])
  expect(team.query(body.credential, 'orders', 'open', 'read')).toBe(true)
  expect(team.given()).toMatchObject([{ lease: body.lease, alive: true }])
  await api.complete(task)
  const settled = await api.until(task, 'settled')
  expect(settled.body.credentials).toMatchObject([{ closed_as: 'revoked' }])
  expect(team.query(body.credential, 'orders', 'open', 'read')).toBe(false)
})

test('above the ceiling the team’s server is not even asked', async () => {
  for (const more of [{ level: 'admin' }, { tables: ['refunds'] }, { database: 'payments' }])
    await expect(api.open([{ ...reading, ...more }])).rejects.toThrow('ask_denied')
  expect(team.requests()).toBe(0)
})

test('an answer wider than the ask is taken back at once', async () => {
  const task = await api.open([reading])
  team.misbehave = answer => ({ ...answer, granted: { ...READ_ORDERS, level: 'write', database_id: 'db_1' } })
  expect((await api.credential(task)).body.code).toBe('provider_answered_wider')
  await running.look()
  expect(team.given()).toMatchObject([{ alive: false }])
})

test('a lost answer is an outage, and the ledger keeps what may have been minted', async () => {
  const task = await api.open([reading])
  team.faults = ({ operation, when }) => (operation === 'issue' && when === 'after' ? 'drop' : 'ok')
  expect((await api.credential(task)).body.code).toBe('provider_unavailable')
  expect(team.given()).toMatchObject([{ alive: true }])
  const [lease] = (await api.show(task)).body.credentials
  expect(lease).toMatchObject({ state: 'revoking', closed_as: null })
})

test('a server that cannot show a certificate of the team’s CA gets no request, and nothing was minted', async () => {
  await stop()
  await start(certificates.strangersServer)
  const answer = await api.call('POST', '/v1/tasks', undefined, {
    evidence: { type: 'jwt', token: await installation.jobToken() },
    purpose: 'a test',
    authorization_details: [reading],
  })
  expect(answer.body.code).toBe('provider_unavailable')
  expect(team.requests()).toBe(0)
})
