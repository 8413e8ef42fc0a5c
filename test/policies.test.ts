import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../src/server.ts'
import { createShell, type Shell } from './cli/mayfly.ts'
import { asks, createInstallation, type Installation, startBroker } from './fakes/installation.ts'
import { type Api, createApi } from './support/api.ts'
import { operatorTokenOf } from './support/operator.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let operator: string
let candidate: string
let shell: Shell
let asOperator: { env: Record<string, string> }

beforeAll(async () => {
  installation = await createInstallation()
  candidate = join(installation.directory, 'candidate')
  await mkdir(candidate)
  await write(CANDIDATE)
  await installation.configure({ settings: { policies_shadow_dir: 'candidate' } })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
  shell = await createShell()
  const file = join(shell.home, 'operator.token')
  await writeFile(file, `${operator}\n`, { mode: 0o600 })
  asOperator = { env: { MAYFLY_OPERATOR_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: file } }
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const CANDIDATE = `
@id("reads") permit (principal, action in Mayfly::Action::"*:read", resource);
@id("pushes-wait") @onDeny("needs_approval") @approvers("group:leads")
forbid (principal, action in Mayfly::Action::"github:*", resource) when { context.phase != "read" }
unless { context has approval && context.approval.digest == context.digest };
@id("pushes") permit (principal, action in Mayfly::Action::"github:*", resource);
`
const write = (text: string) => writeFile(join(candidate, 'main.cedar'), text)
const simulate = (body: object, token = operator) => api.call('POST', '/v1/policies/simulate', token, body)
const evidence = async (claims = {}) => ({ type: 'jwt', token: await installation.jobToken(claims) })
const tooMuch = { ...asks.api, permissions: { administration: 'write' } }

/** Everything that an opening or a mint would leave behind. */
async function traces() {
  const { read } = broker.broker.ledger
  const page = { limit: 1_000 }
  return {
    tasks: (await read.tasks({}, page)).items.length,
    leases: (await read.leases({}, page)).items.length,
    audit: (await read.audit({}, { limit: 1_000 })).items.map(row => row.event),
    provider: installation.github.credentials().length,
  }
}

describe('simulate', () => {
  test('says what evidence and asks would come to, and leaves no trace', async () => {
    const shown = await evidence()
    const before = await traces()
    const allowed = await simulate({ evidence: shown, authorization_details: [asks.api] })
    expect(allowed.status, JSON.stringify(allowed.body)).toBe(200)
    expect(allowed.body).toMatchObject({
      ...{ outcome: 'allow', stage: 'decide', agent: 'release', evidence_used: false, unresolved: [0] },
      asks: [{ outcome: 'allow' }],
    })
    const denied = await simulate({ evidence: shown, authorization_details: [asks.apiRead, tooMuch] })
    expect(denied.body).toMatchObject({
      ...{ outcome: 'deny', reasons: ['more than the ceiling of release allows from github'] },
      asks: [{ outcome: 'allow' }, { outcome: 'deny' }],
    })
    expect(await traces()).toEqual(before)

    // The evidence is as good as before.
    const task = await api.open([asks.apiRead], { evidence: shown })
    expect(task.id).toMatch(/^tsk_/)
    expect(
      (await simulate({ evidence: shown, authorization_details: [asks.apiRead] })).body.evidence_used,
    ).toBe(true)
  })

  test('tells operators why evidence is not accepted, and of whom it is not', async () => {
    const wrong = { type: 'jwt', token: `${(await evidence()).token.slice(0, -8)}AAAAAAAA` }
    const rejected = await simulate({ evidence: wrong, authorization_details: [asks.apiRead] })
    expect(rejected.body).toMatchObject({
      ...{ outcome: 'deny', stage: 'attest', agent: null, facts: null },
      reasons: [expect.stringMatching(/^actions: \w+: /)],
    })
    const stranger = await simulate({
      evidence: await evidence({ repository_id: '99' }),
      authorization_details: [asks.apiRead],
    })
    expect(stranger.body).toMatchObject({
      ...{ outcome: 'deny', stage: 'match' },
      reasons: [expect.stringContaining('repository_id does not match')],
    })
  })

  test('of a task that is under way', async () => {
    const task = await api.open([asks.apiRead])
    const before = await traces()
    const shown = await simulate({ task: task.id, authorization_details: [asks.orders] })
    expect(shown.body).toMatchObject({ outcome: 'allow', agent: 'release', evidence_used: null })
    expect(await traces()).toEqual(before)
    await api.complete(task)
    const ended = await simulate({ task: task.id, authorization_details: [asks.orders] })
    expect(ended.body).toMatchObject({ outcome: 'deny', reasons: ['the task has ended'] })
    const unknown = await simulate({ task: 'tsk_none', authorization_details: [asks.orders] })
    expect(unknown.body.code).toBe('not_found')
  })

  test('of a child by its ticket, which stays good', async () => {
    const svid = (name: string) => ({ type: 'jwt', token: installation.svid(`/agent/${name}`) })
    const parent = await api.open([asks.apiRead], { evidence: svid('coder'), minutes: 20 })
    const ticketFor = async (agent: string) =>
      (
        await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
          ...{ agent, minutes: 10, authorization_details: [asks.apiRead] },
        })
      ).body.ticket as string
    const ticket = await ticketFor('reviewer')
    const as = (wanted: object[], more: object = {}) =>
      simulate({ evidence: svid('reviewer'), ticket, authorization_details: wanted, ...more })
    const before = await traces()
    expect((await as([asks.apiRead])).body).toMatchObject({ outcome: 'allow', agent: 'reviewer' })
    // Its own ceiling would allow it, as the last line shows.
    expect((await as([asks.api])).body).toMatchObject({
      ...{ outcome: 'deny', stage: 'decide' },
      reasons: ['more than the ticket allows from github'],
    })
    expect((await as([asks.api], { ticket: undefined })).body).toMatchObject({ outcome: 'allow' })
    const refused = async (more: object) => {
      const { body } = await as([asks.apiRead], more)
      expect(body).toMatchObject({ outcome: 'deny', stage: 'match' })
      return body.reasons
    }
    expect(await refused({ ticket: 'mfk_none' })).toEqual(['ticket: it is not known'])
    expect(await refused({ evidence: svid('coder') })).toEqual(['ticket: it is for another agent than coder'])
    expect(await traces()).toEqual(before)
    expect((await simulate({ task: parent.id, ticket, authorization_details: [asks.apiRead] })).status).toBe(
      400,
    )

    const [late, orphan] = [await ticketFor('reviewer'), await ticketFor('reviewer')]
    await api.open([asks.apiRead], { evidence: svid('reviewer'), ticket })
    expect(await refused({})).toEqual(['ticket: it was used before'])
    installation.clock.advance(11 * 60_000)
    expect(await refused({ ticket: late })).toEqual(['ticket: it is past its time'])
    await api.complete(parent)
    expect(await refused({ ticket: orphan })).toEqual(['ticket: the task that gave it has ended'])
  })

  test('is not for workloads', async () => {
    const task = await api.open([asks.apiRead])
    const body = { task: task.id, authorization_details: [asks.orders] }
    for (const token of [task.token, 'mfo_none'])
      expect((await simulate(body, token)).body.code).toBe('unauthenticated')
    for (const path of ['/v1/policies/shadow', '/v1/policies/schema'])
      expect((await api.call('GET', path, task.token)).status).toBe(401)
  })

  test.each([
    ['neither evidence nor a task', { authorization_details: [asks.orders] }, 'request_invalid'],
    ['no ask', { task: 't', authorization_details: [] }, 'request_invalid'],
    ['an ask of nobody', { task: 't', authorization_details: [{ type: 'gitlab' }] }, 'ask_invalid'],
  ])('refuses %s', async (_, body, code) => {
    expect((await simulate(body)).body.code).toBe(code)
  })

  test('from the command line', async () => {
    const file = join(shell.home, 'evidence')
    await writeFile(file, await installation.jobToken())
    const opening = ['policy', 'simulate', '--evidence-file', file]
    const { out } = await shell.ok([...opening, '--ask', 'github=acme/api:contents:write'], asOperator)
    expect(out).toMatch(/^would be allowed, as release\n/)
    expect(out).toContain('not looked at: budgets')
    const denied = await shell.fails(
      3,
      [...opening, '--ask-json', JSON.stringify(tooMuch), '--json'],
      asOperator,
    )
    expect(JSON.parse(denied.out)).toMatchObject({ outcome: 'deny' })
    const ticket = join(shell.home, 'ticket')
    await writeFile(ticket, 'mfk_none\n', { mode: 0o600 })
    const child = [...opening, '--ticket-file', ticket, '--ask', 'github=acme/api:contents:read']
    expect((await shell.fails(3, child, asOperator)).out).toContain('ticket: it is not known')
  })
})

describe('a candidate set', () => {
  const shadow = async () => (await api.call('GET', '/v1/policies/shadow', operator)).body

  test('is judged on real traffic after the answer, and where it differs is listed', async () => {
    const { hash } = (await shadow()).candidate
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    await broker.look()
    const before = (await shadow()).candidate
    const written = await api.open([asks.api])
    await api.open([asks.api])
    await api.open([asks.apiRead])
    await broker.look()
    const { candidate: status, items } = await shadow()
    expect(status).toMatchObject({ judged: before.judged + 3, differing: before.differing + 2, failed: 0 })
    const [kind] = items.filter((one: { phase: string }) => one.phase !== 'read')
    expect(kind).toMatchObject({
      ...{ live: 'allow', shadow: 'needs_approval', agent: 'release', issuer: 'github' },
      ...{ live_by: [], shadow_by: ['pushes-wait'] },
    })
    expect(kind.times).toBeGreaterThanOrEqual(2)
    expect((await api.call('GET', `/v1/decisions/${kind.example}`, operator)).status).toBe(200)
    expect(written.answer.status).toBe(201)

    const { out } = await shell.ok(['policy', 'shadow'], asOperator)
    expect(out).toMatch(/allow -> needs_approval +release +github:\w+ +- -> pushes-wait/)
    expect(out).toContain(`candidate ${hash}`)
  })

  test('that is broken is a warning, and the broker goes on', async () => {
    await write('@id("a") permit (principal, action, resource) when { context.nothing };')
    await broker.reload()
    expect((await shadow()).candidate).toMatchObject({
      hash: null,
      problem: expect.stringContaining('main.cedar'),
    })
    expect((await api.open([asks.api])).answer.status).toBe(201)
    expect((await shell.fails(1, ['policy', 'shadow'], asOperator)).err).toContain('main.cedar')
    await write(CANDIDATE)
    await broker.reload()
    expect((await shadow()).candidate).toMatchObject({ problem: null, judged: 0 })
  })
})

test('the schema is published to operators', async () => {
  const { status, body } = await api.call('GET', '/v1/policies/schema', operator)
  expect(status).toBe(200)
  expect(body).toContain('action "github:deploy"')
})
