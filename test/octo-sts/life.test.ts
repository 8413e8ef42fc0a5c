/** What becomes of an identity's agent, tasks and tokens when its file, its client or its job changes something. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { SYSTEM_AGENT } from '../../src/policy/agent.ts'
import type { RunningServer } from '../../src/server.ts'
import { signed } from '../fakes/github/webhooks.ts'
import { startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { freshToken, people } from '../support/humans.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'
import {
  createOctoInstallation,
  exchangeAt,
  type OctoInstallation,
  policyFor,
  pushTo,
  type StsAnswer,
  WEBHOOK_SECRET,
} from './octo-installation.ts'

let installation: OctoInstallation
let broker: RunningServer
let api: Api

beforeAll(async () => {
  installation = await createOctoInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})
beforeEach(async () => {
  // What a push set off is over: a mint in the midst of which six minutes pass is refused.
  const { read } = broker.broker.ledger
  const own = { state: 'active', agent: SYSTEM_AGENT } as const
  await until(async () => (await read.tasks(own, { limit: 1 })).items.length === 0)
  installation.clock.advance(6 * 60_000)
})

const query = { scope: 'acme/api', identity: 'deploy' }
const exchange = async (of: Record<string, string> = query, claims: Record<string, unknown> = {}) =>
  exchangeAt(broker.url, of, await installation.octoToken(claims))
async function given(
  answer: StsAnswer | Promise<StsAnswer>,
): Promise<{ token: string; task: string; agent: string }> {
  const { status, body } = await answer
  expect(status, JSON.stringify(body)).toBe(200)
  const task = await broker.broker.ledger.read.task(body.task_id)
  return { token: body.token, task: body.task_id, agent: task!.agent }
}
const works = async (token: string, path = 'acme/api') =>
  (
    await fetch(`${installation.github.url}/repos/${path}/contents/README.md`, {
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
    })
  ).status
const stateOf = async (task: string) => (await broker.broker.ledger.read.task(task))?.state
const leaseOf = async (task: string) =>
  (await broker.broker.ledger.read.leases({ task }, { limit: 10 })).items[0]!
const settled = (task: string) => until(async () => (await stateOf(task)) === 'settled')

const push = (changes: object = {}) => pushTo(broker.url, changes)

test('a token for what the policy says, of a task of an agent of its own', async () => {
  installation.put(1, 'deploy', policyFor(installation))
  const answer = await exchange({ ...query, scopes: 'acme/api' }, { check_run_id: '100' })
  const { token, agent } = await given(answer)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('content-type')).toContain('application/json')
  expect(answer.body).toMatchObject({ refreshToken: '', expiry: expect.stringMatching(/Z$/) })
  expect(await works(token)).toBe(200)
  expect(agent).toMatch(/^octo\.acme-api-deploy-[0-9a-f]{12}$/)
  expect(broker.broker.agents().get(agent)).toMatchObject({
    attest: [],
    ceiling: { github: [{ repositories: [{ id: 1, name: 'acme/api' }] }] },
  })
})

test('its namespace takes no documents of anybody', async () => {
  const text = 'kind: agent\nname: octo.acme-api-deploy-000000000000\n'
  const planned = await api.call('POST', '/v1/registry/plan', await operatorTokenOf(broker), {
    documents: [{ source: 'x.yaml', text }],
  })
  expect(JSON.stringify(planned.body)).toContain('follows from trust policies')
})

/** GitHub's word that a job of acme/api is over. */
async function finish(job: number): Promise<void> {
  const { github, identityProvider } = installation
  github.addWorkflowRun({ id: 1900100200, repositoryId: 1 })
  github.addJob({ id: job, runId: 1900100200 })
  github.setJob(job, { conclusion: 'success' })
  const { body } = github.delivery({ job }, WEBHOOK_SECRET, 'https://github.com')
  // The issuer of the tests is on this machine, and its jobs are of the provider of that name.
  const host = new URL(identityProvider.issuer).hostname
  const local = body.replaceAll('https://github.com', `http://${host}`)
  const told = signed('workflow_job', local, WEBHOOK_SECRET, randomBytes)
  const answer = await fetch(`${broker.url}/webhooks/github`, { method: 'POST', ...told })
  expect(await answer.json()).toEqual({ ended: 1 })
}

test("a client's own DELETE at GitHub is seen, and told as already gone", async () => {
  installation.put(1, 'deploy', policyFor(installation))
  const { token, task } = await given(exchange(query, { check_run_id: '101' }))
  const deleted = await fetch(`${installation.github.url}/installation/token`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
  })
  expect(deleted.status).toBe(204)
  await finish(101)
  await settled(task)
  expect(await leaseOf(task)).toMatchObject({ state: 'closed', closed_as: 'already_gone' })
})

test('the end of the job ends it, without a word of the client', async () => {
  const { token, task } = await given(exchange(query, { check_run_id: '102' }))
  expect(await works(token)).toBe(200)
  await finish(102)
  await settled(task)
  expect(await works(token)).toBe(401)
  expect(await leaseOf(task)).toMatchObject({ closed_as: 'revoked' })
})

test('where nobody tells of the end, the deadline is after an hour', async () => {
  const { task } = await given(exchange(query, { check_run_id: '103' }))
  const { deadline, opened_at } = (await broker.broker.ledger.read.task(task))!
  expect(deadline - opened_at).toBe(60 * 60_000)
})

test('what is read of a file is kept for minutes; a push is heard of at once', async () => {
  installation.clock.advance(24 * 3_600_000)
  await given(exchange(query, { check_run_id: '1' }))
  installation.put(1, 'deploy', policyFor(installation, { permissions: { contents: 'write' } }))
  const before = await given(exchange(query, { check_run_id: '2' }))
  expect((await leaseOf(before.task)).granted).toContain('"contents":"read"')
  expect(await (await push()).json()).toEqual({ push: 'noted' })
  const after = await given(exchange(query, { check_run_id: '3' }))
  expect((await leaseOf(after.task)).granted).toContain('"contents":"write"')
  expect(after.agent).toBe(before.agent)
})

test('pushes elsewhere, and on other branches, are of no concern', async () => {
  const noted = async (changes: object) => ((await (await push(changes)).json()) as { push?: string }).push
  expect(await noted({ ref: 'refs/heads/topic' })).toBeUndefined()
  expect(await noted({ commits: [{ added: ['src/x.ts'] }] })).toBeUndefined()
  expect(await noted({ commits: [{ removed: ['.github/chainguard/x.sts.yaml'] }] })).toBe('noted')
  expect(await noted({ commits: [{ added: ['src/x.ts'] }], forced: true })).toBe('noted')
  expect((await push({ commits: 'x' })).status).toBe(400)
})

test('a policy that is narrowed takes back what it no longer gives, and one that goes takes everything', async () => {
  installation.put(1, 'deploy', policyFor(installation, { permissions: { contents: 'write' } }))
  await push()
  const { token, task, agent } = await given(exchange(query, { check_run_id: '4' }))
  installation.put(1, 'deploy', policyFor(installation))
  await push()
  await until(async () => (await works(token)) === 401)
  expect(await stateOf(task)).toBe('active')
  const narrower = await given(exchange(query, { check_run_id: '5' }))
  installation.put(1, 'deploy', undefined)
  await push()
  await until(async () => (await works(narrower.token)) === 401)
  await settled(narrower.task)
  expect(broker.broker.agents().has(agent)).toBe(false)
  expect((await exchange()).status).toBe(404)
  // It comes back as the same agent.
  installation.put(1, 'deploy', policyFor(installation))
  await push()
  expect((await given(exchange(query, { check_run_id: '6' }))).agent).toBe(agent)
})

test('a policy for somebody else from now on ends what was opened for whom it was for', async () => {
  const { task, token } = await given(exchange(query, { check_run_id: '7' }))
  installation.put(1, 'deploy', policyFor(installation, { subject: 'repo:acme/web:ref:refs/heads/main' }))
  await push()
  await settled(task)
  expect(await works(token)).toBe(401)
  installation.put(1, 'deploy', policyFor(installation))
  await push()
})

test('a file that goes without a push is missed by the next exchange', async () => {
  const { task } = await given(exchange(query, { check_run_id: '8' }))
  installation.put(1, 'deploy', undefined)
  installation.clock.advance(6 * 60_000)
  expect((await exchange(query, { check_run_id: '9' })).status).toBe(404)
  await settled(task)
  installation.put(1, 'deploy', policyFor(installation))
  installation.clock.advance(6 * 60_000)
})

test('a policy above the ceiling is cut to it, and the answer says so', async () => {
  const permissions = { contents: 'read', administration: 'write' }
  installation.put(1, 'wide', policyFor(installation, { permissions }))
  const answer = await exchange({ scope: 'acme/api', identity: 'wide' }, { check_run_id: '10' })
  const { task } = await given(answer)
  expect(answer.body.narrowed).toEqual(['administration: write is above it'])
  expect(JSON.parse((await leaseOf(task)).granted).permissions).toEqual({
    contents: 'read',
    metadata: 'read',
  })
})

test("an organization's policy names repositories, and is another identity than its repository's own", async () => {
  installation.put(3, 'org', policyFor(installation, { repositories: ['api', 'web'] }))
  const answer = await exchange({ scope: 'acme', identity: 'org' }, { check_run_id: '11' })
  const { token, agent } = await given(answer)
  expect(agent).toMatch(/^octo\.acme-org-/)
  expect([await works(token, 'acme/api'), await works(token, 'acme/web')]).toEqual([200, 200])
  expect(await works(token, 'acme/.github')).toBe(404)
  installation.put(3, 'all', policyFor(installation))
  const all = await exchange({ scope: 'acme', identity: 'all' }, { check_run_id: '12' })
  expect([all.status, all.body.message]).toEqual([403, expect.stringContaining('repositories are not named')])
  const own = await exchange({ scope: 'acme/.github', identity: 'org' }, { check_run_id: '13' })
  expect([own.status, own.body.message]).toEqual([404, 'unable to parse trust policy found for "org"'])
})

test('a form does as well as a query, and letters of owner and repository may be any', async () => {
  const form = {
    aud: 'x',
    cap: 'y',
    identity_provider: 'z',
    scope: 'nobody/x',
    scopes: 'ACME/Api',
    identity: 'deploy',
  }
  const token = await installation.octoToken({ check_run_id: '14' })
  const answer = await exchangeAt(broker.url, '', token, { method: 'POST', body: new URLSearchParams(form) })
  const { agent } = await given(answer)
  expect(agent).toBe((await given(exchange(query, { check_run_id: '15' }))).agent)
})

test('an answer that was lost is asked for again, and the first token is dead', async () => {
  const token = await installation.octoToken({ check_run_id: '16' })
  const first = await given(exchangeAt(broker.url, query, token))
  installation.clock.advance(3_000)
  const second = await given(exchangeAt(broker.url, query, token))
  await settled(first.task)
  expect([await works(first.token), await works(second.token)]).toEqual([401, 200])
})

test('where policy wants humans the client is told, and nothing waits for them', async () => {
  const before = broker.broker.policy
  broker.broker.policy = askingPolicy()
  try {
    const wide = { scope: 'acme', identity: 'writes' }
    installation.put(
      3,
      'writes',
      policyFor(installation, { repositories: ['api'], permissions: { contents: 'write' } }),
    )
    const answer = await exchange(wide, { check_run_id: '31' })
    expect([answer.status, answer.body.code]).toEqual([403, 7])
    expect(answer.body.message).toMatch(/humans must agree.*decision dec_/)
    const waiting = await broker.broker.ledger.read.approvals({ state: 'pending' }, { limit: 10 })
    expect(waiting.items).toEqual([])
  } finally {
    broker.broker.policy = before
  }
})

test('what somebody agreed to beforehand is given, as often as was said; where it cannot be minted, nothing stays open', async () => {
  installation.put(1, 'deploy', policyFor(installation, { permissions: { contents: 'write' } }))
  const { agent } = await given(exchange())
  const { policy, people: strangers } = broker.broker
  Object.assign(broker.broker, { policy: askingPolicy(), people: people() })
  try {
    const github = { type: 'github', repositories: ['acme/api'], permissions: { contents: 'write' } }
    const window = { agent, authorization_details: [github], minutes: 30, uses: 2, reason: 'tonight' }
    const operator = await operatorTokenOf(broker)
    const preview = await api.call('POST', '/v1/preapprovals/preview', operator, window)
    const id_token = freshToken(broker.broker, { subject: 'ada' }, preview.body.sign_in_for)
    const opened = await api.call('POST', '/v1/preapprovals', undefined, { ...window, id_token })
    expect(opened.status, JSON.stringify(opened.body)).toBe(201)

    const { token } = await given(exchange())
    expect(await works(token)).toBe(200)
    const active = async () =>
      (await broker.broker.ledger.read.tasks({ state: 'active', agent }, { limit: 10 })).items.length
    const before = await active()
    installation.github.faults = ({ operation, when }) =>
      when === 'before' && operation === 'apps/create-installation-access-token'
        ? { status: 422, headers: {}, body: '{"message":"no"}' }
        : 'ok'
    expect(await exchange()).toMatchObject({
      status: 403,
      body: { message: expect.stringMatching(/token exchange/) },
    })
    installation.github.faults = () => 'ok'
    expect(await active()).toBe(before)
    expect(await exchange()).toMatchObject({
      status: 403,
      body: { message: expect.stringMatching(/humans must agree/) },
    })
  } finally {
    installation.github.faults = () => 'ok'
    Object.assign(broker.broker, { policy, people: strangers })
  }
})

test('who names the agent elsewhere gets nothing by it', async () => {
  const { agent } = await given(exchange(query, { check_run_id: '17' }))
  const opened = await api.call('POST', '/v1/tasks', undefined, {
    ...{ agent, purpose: 'a test' },
    evidence: { type: 'jwt', token: await installation.octoToken() },
    authorization_details: [
      { type: 'github', repositories: ['acme/api'], permissions: { contents: 'read' } },
    ],
  })
  expect([opened.status, opened.body.code]).toEqual([403, 'agent_unmatched'])
})

test('the on-call person suspends one identity, and the others work on', async () => {
  const { agent, token, task } = await given(exchange(query, { check_run_id: '18' }))
  const operator = await operatorTokenOf(broker)
  const order = { reason: 'it misbehaves' }
  expect((await api.call('POST', `/v1/agents/${agent}/suspend`, operator, order)).status).toBe(200)
  await settled(task)
  expect(await works(token)).toBe(401)
  const next = await exchange(query, { check_run_id: '19' })
  expect([next.status, next.body.code]).toEqual([403, 7])
  await given(exchange({ scope: 'acme', identity: 'org' }, { check_run_id: '20' }))
  const shown = await api.call('GET', `/v1/agents/${agent}`, operator)
  expect(shown.status, JSON.stringify(shown.body)).toBe(200)
})

test('a start with a narrower ceiling takes back what is above it, before anybody is answered', async () => {
  const org = { scope: 'acme', identity: 'org' }
  const { agent, token, task } = await given(exchange(org, { check_run_id: '30' }))
  const before = [...broker.broker.agents().keys()].sort()
  await broker.stop()
  broker = await startBroker(installation)
  expect([...broker.broker.agents().keys()].sort()).toEqual(before)
  expect(await stateOf(task)).toBe('active')
  await broker.stop()
  const ceiling = { permissions: { contents: 'read' }, repositories: ['web'] }
  await installation.configureOcto({ ceiling })
  broker = await startBroker(installation)
  expect(broker.broker.agents().get(agent)?.ceiling.github).toMatchObject([
    { repositories: [{ name: 'acme/web' }], permissions: { contents: 'read' } },
  ])
  await until(async () => (await works(token)) === 401)
  expect((await exchange()).body.message).toContain('the repository api is not in it')
})
