/** The action's two steps against a whole installation: what they hand out, and how it ends. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { finish } from '../../action/src/finish.ts'
import { formsOf } from '../../action/src/masks.ts'
import { start } from '../../action/src/start.ts'
import { approve, deny } from '../../src/broker/approvals/answer-approval.ts'
import type { Operator } from '../../src/broker/people/operator.ts'
import { noPolicy } from '../../src/policy/facts.ts'
import { type ActionsRunner, startActionsRunner } from '../cli/actions-runner.ts'
import { type FaultyWire, startFaultyWire } from '../client/faulty-wire.ts'
import { AUDIENCE, ORDERS } from '../fakes/installation.ts'
import { createStage, type Job as GithubJob, SECRET, type Stage } from '../observers/github-stage.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { people } from '../support/humans.ts'
import { until } from '../support/until.ts'
import { commandsOf, type FakeJob, fakeJob } from './fake-job.ts'

let stage: Stage
let wire: FaultyWire
let runner: ActionsRunner
let job: GithubJob
/** Laid over those of the job. */
let claims: Record<string, unknown>
/** What the runner gave last. */
let evidence: string

beforeAll(async () => {
  const common = {
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    ...{ systems: ['api'], expires_at: '2040-01-01T00:00:00Z', risk_tier: 'low', heartbeat_seconds: 60 },
    ...{
      purpose: 'Must be heard of',
      limits: { task_minutes: 60, active_tasks: 10, credentials_per_hour: 100 },
    },
  }
  const rule = { repository_id: '1', ref: 'refs/heads/heard', event_name: 'push' }
  const ceiling = { jwt: [{ audience: ORDERS, scopes: ['orders.read'] }] }
  const heard = { ...common, ceiling, attest: [{ attestor: 'actions', claims: rule }] }
  stage = await createStage({ agents: { heard } })
  stage.broker.broker.people = people()
  wire = await startFaultyWire(stage.broker.url)
  runner = await startActionsRunner(async aud => {
    evidence = (await stage.evidence(job, { aud, ...claims })).token
    return evidence
  })
})
afterAll(async () => {
  await runner?.close()
  await wire?.close()
  await stage?.close()
})
beforeEach(() => {
  wire.reset()
  job = stage.newJob()
  claims = {}
})
afterEach(() => {
  stage.broker.broker.policy = noPolicy
  stage.installation.github.faults = () => 'ok'
})

const ada: Operator = {
  ...{ id: 'https://people.test#ada', name: 'ada', groups: ['approvers'], kind: 'human', fresh: true },
}
const jwtInputs = { 'jwt-audience': ORDERS, 'jwt-scopes': 'orders.read' }
const githubInputs = { 'permission-contents': 'write' }
const allInputs = () => ({
  ...{ ...jwtInputs, ...githubInputs, 'aws-role': stage.installation.roleArn },
  ...{ 'aws-actions': 's3:GetObject', 'aws-resources': 'arn:aws:s3:::artifacts/*' },
})

function step(
  inputs: Record<string, string>,
  { env = {}, state = {} }: { env?: Record<string, string>; state?: Record<string, string> } = {},
): FakeJob {
  return fakeJob({
    inputs: { url: wire.url, audience: AUDIENCE, ...inputs },
    env: { ...runner.env, GITHUB_REPOSITORY: 'acme/api', ...env },
    ...{ clock: stage.installation.clock, state, folder: stage.installation.directory },
  })
}

async function main(inputs: Record<string, string>, env: Record<string, string> = {}): Promise<FakeJob> {
  const it = step(inputs, { env })
  await start(it.job)
  return it
}

async function post(left: FakeJob, status = 'success'): Promise<FakeJob> {
  const it = step({ 'job-status': status }, { state: left.state })
  await finish(it.job)
  return it
}

const row = async ({ state }: FakeJob) => (await stage.broker.broker.ledger.read.task(state.task!))!
const isAlive = async (token: string | undefined) =>
  (
    await fetch(`${stage.installation.github.url}/repos/acme/api/contents/README.md`, {
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
    })
  ).ok
const aliveTokens = () => stage.installation.github.credentials().filter(one => one.alive)

describe('what is handed out', () => {
  test('is masked before anything else is done with it, in every form, and never logged', async () => {
    const left = await main({ ...allInputs(), 'export-env': 'true' })
    const done = await post(left)
    const secrets = ['token', 'jwt', 'aws-access-key-id', 'aws-secret-access-key', 'aws-session-token']
    const values = [...secrets.map(name => left.outputs[name]!), left.state.token!, evidence]
    for (const secret of values) {
      const holding = left.events.filter(({ text }) => text.includes(secret))
      expect(holding[0]?.text).toBe(`::add-mask::${secret}`)
      const masks = left.events
        .filter(({ text }) => text.startsWith('::add-mask::'))
        .map(({ text }) => text.slice(12))
      expect(masks).toEqual(expect.arrayContaining(formsOf(secret).map(form => form.replaceAll('%', '%25'))))
      for (const form of formsOf(secret)) expect((left.log() + done.log()).includes(form)).toBe(false)
    }
    expect(left.exported).toMatchObject({
      ...{ GH_TOKEN: left.outputs.token, MAYFLY_TOKEN_JWT: left.outputs.jwt },
      AWS_SESSION_TOKEN: left.outputs['aws-session-token'],
    })
    expect(Object.keys(left.exported)).not.toContain('GITHUB_TOKEN')
    // Until when it is good is for everybody to read, in outputs that other jobs may have.
    const until = ['aws-expiration', 'expires-at'].map(name => left.outputs[name]!)
    for (const { text } of left.events.filter(one => one.text.startsWith('::add-mask::')))
      expect(until).not.toContain(text.slice(12))
    expect(left.log()).toContain(`aws: until ${until[0]}`)
    expect([left.hasFailed(), done.hasFailed()]).toEqual([false, false])
    expect(await isAlive(left.outputs.token)).toBe(false)
  })

  test('is of this repository alone, or of those named; exported only where that was asked for', async () => {
    const own = await main({ 'permission-contents': 'read', 'permission-issues': 'write' })
    const [, , ask] = [
      own.outputs.token,
      own.exported,
      (await stage.broker.broker.ledger.read.asks(own.state.task!))[0],
    ]
    expect(JSON.parse(ask!.ask)).toMatchObject({
      repositories: [{ id: 1, name: 'acme/api' }],
      permissions: { contents: 'read', issues: 'write', metadata: 'read' },
    })
    expect(own.exported).toEqual({})
    expect(own.outputs).toMatchObject({ 'installation-id': '77', 'app-slug': 'mayfly' })
    await post(own)
    const plain = await main({
      asks: 'type: github\nrepository_ids: [1]\npermissions: { contents: read }',
    })
    expect(plain.outputs.token).toMatch(/^ghs_/)
    await post(plain)
  })

  test('says what it is for, as people read it, whatever was written there', async () => {
    const told = await main({ ...jwtInputs, purpose: 'release\n::set-output name=x::y' })
    expect((await row(told)).purpose).toBe('release ::set-output name=x::y')
    const untold = await main(jwtInputs)
    expect((await row(untold)).purpose).toBe('release / publish, run 4711')
    for (const one of [told, untold]) await post(one)
  })
})

describe('lifetime', () => {
  test('job: until the post step, which tells how the job went', async () => {
    for (const [status, end] of [
      ['success', 'completed'],
      ['failure', 'failed'],
      ['cancelled', 'cancelled'],
      ['', 'completed'],
    ] as const) {
      const left = await main(githubInputs)
      expect(await isAlive(left.outputs.token)).toBe(true)
      const done = await post(left, status)
      expect(await row(left)).toMatchObject({ end })
      expect(done.log()).toContain(`has ended (${end})`)
      expect(done.log()).toContain('github: revoked')
      expect(await isAlive(left.outputs.token)).toBe(false)
      expect((await post(left)).log()).toBe(`task ${left.state.task} has ended before`)
    }
  })

  test('job: a post step that never comes is made up for by the word of GitHub', async () => {
    const left = await main(githubInputs)
    stage.installation.github.setJob(job.job, { conclusion: 'cancelled' })
    expect((await stage.send(stage.told(job))).status).toBe(202)
    await until(async () => (await row(left)).state === 'settled')
    expect(await row(left)).toMatchObject({ end: 'cancelled' })
    expect(await isAlive(left.outputs.token)).toBe(false)
    const late = await post(left)
    expect([late.log(), late.hasFailed()]).toEqual([`task ${left.state.task} has ended before`, false])
  })

  test('run: it outlives its job, and ends with its run', async () => {
    const left = await main({ ...githubInputs, lifetime: 'run' })
    expect((await post(left)).log()).toContain('goes on until its run is over')
    stage.installation.github.setJob(job.job, { conclusion: 'success' })
    await stage.send(stage.told(job))
    expect([(await row(left)).state, await isAlive(left.outputs.token)]).toEqual(['active', true])
    const { github } = stage.installation
    github.endRun(job.run, { conclusion: 'success' })
    await stage.send(github.delivery({ run: job.run }, SECRET, github.url))
    await until(async () => (await row(left)).state === 'settled')
    expect(await isAlive(left.outputs.token)).toBe(false)
  })

  test('step: the command alone has the credentials, for as long as it runs', async () => {
    const file = join(stage.installation.directory, 'seen')
    const hidden = { ACTIONS_RUNTIME_TOKEN: 'x', AWS_PROFILE: 'other', KEPT: 'yes', PATH: process.env.PATH! }
    const left = await main({ ...allInputs(), run: `env >'${file}'`, 'aws-region': 'eu-central-1' }, hidden)
    expect(left.outputs).toEqual({ 'task-id': left.state.task })
    expect(left.exported).toEqual({})
    const seen = await readFile(file, 'utf8')
    const token = /^GH_TOKEN=(.*)$/m.exec(seen)![1]!
    for (const name of [
      'GITHUB_TOKEN',
      'AWS_SESSION_TOKEN',
      'AWS_REGION',
      'MAYFLY_TOKEN_JWT',
      'KEPT',
      'GITHUB_OUTPUT',
    ])
      expect(seen).toMatch(new RegExp(`^${name}=.`, 'm'))
    expect(seen).not.toMatch(/^(ACTIONS_|INPUT_|STATE_|GITHUB_STATE|AWS_PROFILE)/m)
    expect(seen).not.toContain(left.state.token)
    expect(await row(left)).toMatchObject({ end: 'completed', end_detail: 'ended with exit code 0' })
    expect(await isAlive(token)).toBe(false)
    wire.reset()
    expect((await post(left)).log()).toBe(`task ${left.state.task} has ended before`)
    expect(wire.seen).toEqual([])
  })

  test('step: a command that fails fails the step, and the task', async () => {
    const left = await main({ ...jwtInputs, run: 'exit 3' }, { PATH: process.env.PATH! })
    expect([left.hasFailed(), (await row(left)).end]).toEqual([true, 'failed'])
    expect(left.log()).toContain('the command ended with exit code 3')
  })

  test('step: a job that is cancelled stops the command and ends the task', async () => {
    const file = join(stage.installation.directory, 'started')
    const script = `trap 'exit 9' TERM; : >'${file}'; while :; do sleep 0.05; done`
    const it = step({ ...jwtInputs, run: script }, { env: { PATH: process.env.PATH! } })
    const running = start(it.job)
    await until(() =>
      readFile(file).then(
        () => true,
        () => false,
      ),
    )
    it.kill('SIGTERM')
    await running
    expect([it.hasFailed(), (await row(it)).end]).toEqual([true, 'cancelled'])
    expect(it.log()).toContain('the job was cancelled; the command ended with exit code 9')
  })

  test('a task that must be heard of is for a command alone', async () => {
    claims = { ref: 'refs/heads/heard' }
    const left = await main(jwtInputs)
    expect([left.hasFailed(), (await row(left)).end]).toEqual([true, 'failed'])
    expect(left.log()).toContain('tasks of agent heard lapse after 60 s of silence')
    expect((await main({ ...jwtInputs, minutes: '1' })).hasFailed()).toBe(false)
    const command = await main({ ...jwtInputs, run: 'true' }, { PATH: process.env.PATH! })
    expect([command.hasFailed(), (await row(command)).end]).toEqual([false, 'completed'])
  })
})

describe('what goes wrong', () => {
  test('a provider that refuses ends the task, and the other credentials with it', async () => {
    const problem = {
      title: 'The provider refused',
      detail: 'github: not_permitted',
      code: 'provider_refused',
    }
    wire.fault = ({ operation, when, nth }) =>
      operation.endsWith('/credentials') && when === 'before' && nth === 1
        ? { status: 422, headers: {}, body: JSON.stringify(problem) }
        : 'ok'
    const left = await main({ ...githubInputs, ...jwtInputs })
    expect([left.hasFailed(), (await row(left)).end, left.outputs]).toEqual([
      ...[true, 'failed', { 'task-id': left.state.task }],
    ])
    expect(left.log()).toContain('github: not_permitted (provider_refused)')
    await until(async () => (await row(left)).state === 'settled')
    expect(aliveTokens()).toEqual([])
  })

  test('a broker that tells a secret back is not quoted', async () => {
    const it = step(jwtInputs)
    wire.fault = ({ operation, when }) => {
      const detail = `the token ${it.state.token}, ${encodeURIComponent(Buffer.from(it.state.token ?? '').toString('base64'))}`
      const body = JSON.stringify({ title: 'Refused', detail, code: 'provider_refused' })
      return operation.endsWith('/credentials') && when === 'before'
        ? { status: 422, headers: {}, body }
        : 'ok'
    }
    await start(it.job)
    expect(it.log()).toContain('Refused: the token ***, ***')
    expect(it.log()).not.toContain(it.state.token)
  })

  test('a mint that fails once the task is open leaves nothing alive', async () => {
    wire.fault = ({ operation, when }) =>
      operation.endsWith('/credentials') && when === 'after' ? 'drop' : 'ok'
    const left = await main(githubInputs)
    expect([left.hasFailed(), (await row(left)).end, left.state.over]).toEqual([true, 'failed', 'yes'])
    expect(left.log()).toContain('This is an outage, not a refusal')
    await until(async () => (await row(left)).state === 'settled')
    expect(aliveTokens()).toEqual([])
  })

  test('an end that cannot be told in the step is told by the post step', async () => {
    wire.fault = ({ operation, when }) =>
      (operation.endsWith('/credentials') && when === 'after') || operation.endsWith('/complete')
        ? 'drop'
        : 'ok'
    const left = await main(githubInputs)
    expect([left.state.over, (await row(left)).state]).toEqual([undefined, 'active'])
    const lost = await post(left, 'failure')
    expect([lost.hasFailed(), lost.log()]).toEqual([
      false,
      expect.stringContaining('is not known (answer_lost)'),
    ])
    wire.reset()
    await post(left, 'failure')
    expect(await row(left)).toMatchObject({ end: 'failed' })
  })

  test('a post step without a task has nothing to do', async () => {
    const it = step({ 'job-status': 'success' })
    await finish(it.job)
    expect([it.log(), it.hasFailed(), wire.seen]).toEqual([
      'no task was opened: there is none to end',
      false,
      [],
    ])
  })

  test('a denial names the ask, the decision, and what to ask for, as the page shows it', async () => {
    const env = {
      ...{ GITHUB_SERVER_URL: 'https://github.com', GITHUB_ACTION_REPOSITORY: 'acme/mayfly' },
      GITHUB_ACTION_REF: 'v1',
    }
    const it = await main({ 'permission-administration': 'write' }, env)
    const told = it.log().replaceAll('%0A', '\n')
    const decision = /decision: (dec_\w+)/.exec(told)![1]!
    expect(await stage.broker.broker.ledger.read.decision(decision)).toMatchObject({ outcome: 'deny' })
    expect([it.hasFailed(), it.state, it.outputs]).toEqual([true, {}, {}])
    const page = await readFile(join(import.meta.dirname, '../../docs/action.md'), 'utf8')
    const [, block = ''] = /```text\n(Mayfly said no[\s\S]*?)```/.exec(page) ?? []
    const link = 'See https://github.com/acme/mayfly/blob/v1/docs/action.md#refused'
    expect(told).toBe(`::error::${block.replaceAll('dec_...', decision)}${link}`)
    const named = await main({ 'permission-administration': 'write', agent: 'release' })
    expect(named.log()).toContain('agent: release')
  })

  test('a job that is nobody is told what a rule would name', async () => {
    claims = { ref: 'refs/heads/other' }
    const it = await main(jwtInputs, { GITHUB_REF: 'refs/heads/other', GITHUB_REPOSITORY_ID: '1' })
    expect(it.log()).toContain('(agent_unmatched)')
    expect(it.log()).toContain('repository_id: 1, repository: acme/api, ref: refs/heads/other')
  })

  test('a job without id-token: write is told so', async () => {
    const it = await main(jwtInputs, { ACTIONS_ID_TOKEN_REQUEST_URL: '' })
    expect(it.log()).toContain('permissions: { id-token: write }')
    const mute = await main(jwtInputs, { GITHUB_STATE: '' })
    expect([mute.log(), wire.seen]).toEqual([expect.stringContaining('GITHUB_STATE is not set'), []])
  })

  test('a broker that is not there is an outage, tried again for a while; the proxy is thought of', async () => {
    const gone = await startActionsRunner(async () => '')
    await gone.close()
    const { origin: url } = new URL(gone.env.ACTIONS_ID_TOKEN_REQUEST_URL!)
    const it = await main({ ...jwtInputs, url }, { HTTPS_PROXY: 'http://proxy.test' })
    expect(it.log()).toContain('the broker does not answer (unreachable); trying again in 5 s')
    expect(it.log()).toContain('This is an outage, not a refusal: the broker does not answer (unreachable)')
    expect(it.log()).toContain('NODE_USE_ENV_PROXY: 1')
    expect(it.waits.filter(ms => ms >= 5_000)).toEqual([5_000, 10_000, 20_000])
  })

  test('one that comes back in time has been an outage for nobody', async () => {
    const busy = { status: 503, headers: { 'retry-after': '20' } }
    const body = JSON.stringify({ title: 'Down', detail: 'come back', code: 'ledger_unavailable' })
    wire.fault = ({ operation, when, nth }) =>
      operation === 'POST /v1/tasks' && when === 'before' && nth === 0 ? { ...busy, body } : 'ok'
    const it = await main(jwtInputs)
    expect([it.hasFailed(), it.waits.filter(ms => ms >= 5_000)]).toEqual([false, [20_000]])
    await post(it)
  })

  test('what a broker says is never a command to the runner', async () => {
    const evil = 'no\n::set-output name=token::evil\r\n ##[set-env name=PATH]evil \u2028::stop-commands::x'
    const body = JSON.stringify({ title: evil, detail: evil, code: evil, decision: evil })
    for (const status of [400, 403, 429, 503]) {
      wire.fault = ({ when }) => (when === 'before' ? { status, headers: {}, body } : 'ok')
      const it = await main(jwtInputs)
      expect(it.hasFailed()).toBe(true)
      expect(new Set(commandsOf(it.events))).toEqual(new Set(['add-mask', 'error']))
    }
    const task = { id: evil, agent: evil, purpose: evil, state: 'active', end: null, heartbeat_seconds: null }
    const times = { opened_at: '2026-01-01T00:00:00Z', deadline: '2026-01-01T01:00:00Z' }
    const asks = [{ id: evil, state: 'granted', authorization_details: { type: 'jwt' } }]
    const opened = { task: { ...task, ...times, asks }, task_token: 'mft_secret-of-the-task', decision: evil }
    wire.fault = ({ operation, when }) => {
      if (when === 'after') return 'ok'
      const isOpening = operation === 'POST /v1/tasks'
      return { status: isOpening ? 201 : 409, headers: {}, body: isOpening ? JSON.stringify(opened) : body }
    }
    const it = await main(jwtInputs)
    expect(new Set(commandsOf(it.events))).toEqual(new Set(['add-mask', 'error', 'warning']))
    expect(it.outputs['task-id']).not.toMatch(/[\n\r]/)
    expect(commandsOf((await post(it)).events)).not.toContain('set-output')
  })
})

describe('humans', () => {
  const waiting = async (it: FakeJob) => {
    await until(() => /apr_\w+/.test(it.log()))
    return /apr_\w+/.exec(it.log())![0]
  }

  test('are waited for, by the name of their approval', async () => {
    stage.broker.broker.policy = askingPolicy()
    const it = step(githubInputs)
    const running = start(it.job)
    const approval = await waiting(it)
    expect(commandsOf(it.events)).toContain('notice')
    await approve(stage.broker.broker, ada, approval, null)
    await running
    expect([it.hasFailed(), await isAlive(it.outputs.token)]).toEqual([false, true])
    await post(it)
  })

  test('who say no are quoted; who say nothing are not waited for longer than was said', async () => {
    stage.broker.broker.policy = askingPolicy()
    const it = step(githubInputs)
    const running = start(it.job)
    await deny(stage.broker.broker, ada, await waiting(it), 'not during the freeze')
    await running
    expect([it.hasFailed(), (await row(it)).end]).toEqual([true, 'failed'])
    expect(it.log()).toContain('not during the freeze')

    const none = await main({ ...githubInputs, 'wait-for-approval': '0' })
    expect([none.hasFailed(), (await row(none)).end]).toEqual([true, 'failed'])
    expect(none.log()).toContain('Humans were asked and have not answered')
  })

  test('are no longer asked when the job is cancelled', async () => {
    stage.broker.broker.policy = askingPolicy()
    const it = step(githubInputs)
    const running = start(it.job)
    await waiting(it)
    it.kill('SIGINT')
    await running
    expect([it.log(), (await row(it)).end]).toEqual([
      expect.stringContaining('the job was cancelled'),
      'cancelled',
    ])
  })
})
