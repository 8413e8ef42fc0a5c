import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer
let shell: Shell
let api: Api
let asOperator: { env: Record<string, string> }

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  shell = await createShell()
  const file = join(shell.home, 'operator.token')
  await writeFile(file, `${await operatorTokenOf(broker)}\n`, { mode: 0o600 })
  asOperator = { env: { MAYFLY_OPERATOR_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: file } }
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const tooMuch = { ...asks.api, permissions: { contents: 'write', administration: 'write' } }
const OWNER = /product@acme\.test|platform@acme\.test/

const refused = async (details: unknown[]) =>
  api.call('POST', '/v1/tasks', undefined, {
    evidence: { type: 'jwt', token: await installation.jobToken() },
    purpose: 'release 1.2.3',
    confidence: 90,
    authorization_details: details,
  })

test('the caller of a denial learns its code and its id, and no more', async () => {
  const { status, body } = await refused([tooMuch])
  expect(status).toBe(403)
  expect(Object.keys(body).sort()).toEqual(
    ['code', 'decision', 'detail', 'instance', 'status', 'title', 'type'].sort(),
  )
  expect(body).toMatchObject({ code: 'ask_denied', detail: 'the agent may not have what was asked' })
  expect(JSON.stringify(body)).not.toMatch(OWNER)

  const exchange = await api.form('/oauth/token', {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: await installation.jobToken(),
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    authorization_details: JSON.stringify([tooMuch]),
  })
  expect(Object.keys(exchange.body).sort()).toEqual(['decision', 'error', 'error_description'])

  const task = await api.open([asks.apiRead])
  const later = await api.call('POST', `/v1/tasks/${task.id}/credentials`, task.token, {
    authorization_details: [tooMuch],
  })
  expect(later.body).toMatchObject({ code: 'ask_denied', decision: expect.stringMatching(/^dec_/) })
  expect(JSON.stringify(later.body)).not.toMatch(OWNER)
  expect(JSON.stringify(later.body)).not.toContain('beyond')

  const ticket = await api.call('POST', `/v1/tasks/${task.id}/tickets`, task.token, {
    ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.apiRead] },
  })
  expect(ticket.body).toMatchObject({
    ...{ code: 'ask_denied', detail: 'the task may not give this ticket' },
    decision: expect.stringMatching(/^dec_/),
  })
})

test('on its command line it is told what to quote, and what its owner runs', async () => {
  const evidence = join(shell.home, 'evidence')
  await writeFile(evidence, await installation.jobToken())
  const opening = ['--broker', broker.url, '--evidence-file', evidence, '--ask-json', JSON.stringify(tooMuch)]
  for (const command of [['task', 'open', '--purpose', 'x'], ['token'], ['exec']]) {
    await writeFile(evidence, await installation.jobToken())
    const tail = command[0] === 'exec' ? ['--', 'true'] : []
    const { err } = await shell.fails(3, [...command, ...opening, ...tail])
    expect(err).toMatch(/Quote decision (dec_\w+) to whoever answers .*\n +mayfly explain \1\n/)
    expect(err).not.toMatch(OWNER)
  }
})

test('the owner reads all of it, for people and for programs', async () => {
  const { decision } = (await refused([tooMuch])).body
  const { out } = await shell.ok(['explain', decision], asOperator)
  for (const line of [
    new RegExp(`^${decision} denied, `),
    / agent +release \(risk tier medium\)/,
    / purpose +release 1\.2\.3/,
    / proven +repo:acme\/api:ref:refs\/heads\/main by actions/,
    / repository_id = 1\n/,
    / declared +\{"confidence":90\}/,
    / because +more than the ceiling of release allows from github/,
    / ask +github: \w+, .*administration:write/,
    / nearest +of the ceiling of release, nearest is \{.*"acme\/api".*\}/,
    / nearest +of the ceiling of release, beyond it: permissions: administration: "write"/,
    / on +Repository acme\/api/,
    / policies +none, which is in force/,
    / ask +product@acme\.test, who answers for it; platform@acme\.test runs it/,
  ])
    expect(out).toMatch(line)
  const json = JSON.parse((await shell.ok(['explain', decision, '--json'], asOperator)).out)
  expect(json).toMatchObject({
    ...{ id: decision, outcome: 'deny', in_force: true, task: null },
    ask_whom: { business: 'product@acme.test', technical: 'platform@acme.test' },
  })
})

test('of a grant it says where the asks stand', async () => {
  const task = await api.open([asks.apiRead])
  const { out } = await shell.ok(['explain', task.answer.body.decision], asOperator)
  expect(out).toMatch(/ allowed, /)
  expect(out).toMatch(new RegExp(` task +${task.id} \\(active\\)`))
  expect(out).toMatch(new RegExp(` stands +${task.asks[0]} \\(github\\) is granted`))
  expect(out).not.toMatch(OWNER)
})

test('a workload that nobody registered has nobody to ask', async () => {
  const evidence = { type: 'jwt', token: await installation.jobToken({ repository_id: '99' }) }
  const answer = await api.call('POST', '/v1/tasks', undefined, { evidence, purpose: 'x' })
  const { out } = await shell.ok(['explain', answer.body.decision], asOperator)
  expect(out).toMatch(/ agent +none matched/)
  expect(out).toMatch(/ ask +nobody owns it: register an agent/)
  expect((await shell.fails(1, ['explain', 'dec_none'], asOperator)).err).toContain('no such decision')
})

describe('by policy', () => {
  const policies = `
@id("reads") permit (principal, action in Mayfly::Action::"*:read", resource);
@id("pushes") permit (principal, action in Mayfly::Action::"github:*", resource)
when { context.claims has environment && context.claims.environment == "production" };
@id("frozen") @description("Nobody signs anything during the freeze.")
forbid (principal, action in Mayfly::Action::"jwt:*", resource);`
  const write = (text: string) => writeFile(join(installation.directory, 'policies', 'main.cedar'), text)

  beforeAll(async () => {
    await mkdir(join(installation.directory, 'policies'))
    await write(policies)
    await installation.configure({ settings: { policies_dir: 'policies' } })
    await broker.stop()
    broker = await startBroker(installation)
    api = createApi(broker, installation)
    const file = join(shell.home, 'operator.token')
    await writeFile(file, `${await operatorTokenOf(broker)}\n`, { mode: 0o600 })
    asOperator = { env: { MAYFLY_OPERATOR_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: file } }
  })

  test('the rule that forbids is named and shown, also to whom it is said', async () => {
    const { body } = await refused([asks.orders])
    expect(body).toMatchObject({ code: 'ask_denied' })
    expect(JSON.stringify(body)).not.toContain('frozen')
    const { out } = await shell.ok(['explain', body.decision], asOperator)
    expect(out).toMatch(/ because +forbidden by frozen\n/)
    expect(out).toMatch(/ by +frozen\n/)
    expect(out).toMatch(/ rule +frozen \(\S*main\.cedar:\d+\): Nobody signs anything during the freeze\.\n/)
    expect(out).toContain('forbid (principal, action in Mayfly::Action::"jwt:*", resource)')
    expect(out).toMatch(/ttlSeconds = \d+/)
    expect(out).toMatch(/ now = \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n/)
    expect(out).toMatch(/ policies +[0-9a-f]{64}, which is in force/)
  })

  test('what nothing permits has a nearest miss', async () => {
    const { body } = await refused([asks.api])
    const { out } = await shell.ok(['explain', body.decision], asOperator)
    expect(out).toMatch(/ because +no policy permits it\n/)
    expect(out).toMatch(/ nearest +pushes/)
  })

  test('a set that took its place is told, and its rules are not shown for the former', async () => {
    const { body } = await refused([asks.orders])
    await write(policies.replace('forbid (principal', 'forbid (principal is Mayfly::Agent'))
    await broker.reload()
    const { out } = await shell.ok(['explain', body.decision], asOperator)
    expect(out).toMatch(/ policies +[0-9a-f]{64}; in force is [0-9a-f]{64}: the same ask may fare otherwise/)
    expect(out).not.toContain('Nobody signs anything')
  })
})
