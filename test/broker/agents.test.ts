/** The life cycle of agents, through HTTP: what ends with each change, what goes on, and who is refused. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { superviseAgents } from '../../src/broker/agents/supervise-agents.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'

const first = `sha256:${'1'.repeat(64)}`
const second = `sha256:${'2'.repeat(64)}`

let installation: Installation
let broker: RunningServer
let api: Api
let operator: string

beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(() => installation?.close())
beforeEach(() => start())
afterEach(async () => {
  for (const name of ['coder', 'release', 'reviewer']) await change(name, 'activate')
  await api.call('POST', '/v1/revocations', operator, { reason: 'the end of a test', everything: true })
  await broker.stop()
})

async function start(): Promise<void> {
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
}

const change = (agent: string, verb: string, body: object = {}): Promise<Answer> =>
  api.call('POST', `/v1/agents/${agent}/${verb}`, operator, { reason: 'a test', ...body })
const shown = (agent: string) => api.call('GET', `/v1/agents/${agent}`, operator)
const svid = (path: string) => ({ evidence: { type: 'jwt', token: installation.svid(path) } })
const coder = (wanted: unknown[]) => api.open(wanted, svid('/agent/coder'))
const secretOf = (answer: Answer): string => answer.body.credential
const stateOf = async (task: OpenedTask) => (await broker.broker.ledger.read.task(task.id))?.state
const github = async (secret: string) =>
  (
    await fetch(`${installation.github.url}/installation/repositories?per_page=1`, {
      headers: { authorization: `Bearer ${secret}` },
    })
  ).status
const refusal = async (opening: Promise<unknown>) =>
  opening.then(
    () => 'opened',
    error => (/"code":"([a-z_]+)"/.exec((error as Error).message) ?? [])[1],
  )

async function child(parent: OpenedTask, wanted: unknown[]): Promise<OpenedTask> {
  const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
    ...{ agent: 'reviewer', minutes: 5, authorization_details: wanted },
  })
  return api.open(wanted, { ...svid('/agent/reviewer'), ticket: ticket.body.ticket })
}

describe('quarantine', () => {
  test('mid-task: the write token is dead, and the read goes on; so it is below', async () => {
    const task = await coder([asks.api, asks.apiRead])
    const below = await child(task, [asks.api, asks.apiRead])
    const [write, read] = [await api.credential(task), await api.credential(task, task.asks[1])]
    const [writeBelow, readBelow] = [await api.credential(below), await api.credential(below, below.asks[1])]
    for (const one of [write, read, writeBelow, readBelow]) expect(await github(secretOf(one))).toBe(200)

    const { status, body } = await change('coder', 'quarantine', { reason: 'odd pull requests' })
    expect([status, body.status, body.standing.reason, body.standing.by]).toEqual([
      ...[200, 'quarantined', 'odd pull requests', 'operator:test'],
    ])
    await until(async () => (await github(secretOf(write))) === 401)
    await until(async () => (await github(secretOf(writeBelow))) === 401)
    expect([await github(secretOf(read)), await github(secretOf(readBelow))]).toEqual([200, 200])
    expect([await stateOf(task), await stateOf(below)]).toEqual(['active', 'active'])

    for (const one of [task, below]) {
      expect((await api.credential(one)).body.code).toBe('ask_denied')
      expect((await api.credential(one, one.asks[1])).status).toBe(201)
    }
    expect(await refusal(coder([asks.api]))).toBe('ask_denied')
    const reading = await coder([asks.apiRead])
    expect((await api.credential(reading)).status).toBe(201)

    expect((await change('coder', 'activate')).body.status).toBe('active')
    expect((await api.credential(task)).status).toBe(201)
  })

  test('what waits for humans, and could not be minted now, is asked no longer', async () => {
    broker.broker.policy = askingPolicy()
    const evidence = svid('/agent/coder')
    const body = { purpose: 'a test', authorization_details: [asks.api], ...evidence }
    const opened = await api.call('POST', '/v1/tasks', undefined, body)
    expect(opened.status).toBe(202)
    const { read } = broker.broker.ledger
    const [waiting] = (await read.approvals({ state: 'pending', agent: 'coder' }, { limit: 9 })).items
    await change('coder', 'quarantine')
    expect((await read.approval(waiting!.id))?.state).toBe('cancelled')
    expect((await read.ask(waiting!.ask))?.state).toBe('cancelled')
    expect((await read.task(waiting!.task))?.state).toBe('active')
  })

  test('the denial is kept, with its reason for the owner', async () => {
    const task = await coder([asks.api])
    await change('coder', 'quarantine')
    const { decision } = (await api.credential(task)).body
    const kept = await api.call('GET', `/v1/decisions/${decision}`, operator)
    expect(kept.body.reasons).toEqual(['coder is in quarantine: it may only read'])
  })

  test('so is the denial of an opening that would write, and of one below it', async () => {
    const parent = await coder([asks.api])
    const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
      ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.api] },
    })
    await change('coder', 'quarantine')
    const opening = { purpose: 'a test', authorization_details: [asks.api] }
    const below = { ...svid('/agent/reviewer'), ticket: ticket.body.ticket }
    for (const from of [svid('/agent/coder'), below]) {
      const { status, body } = await api.call('POST', '/v1/tasks', undefined, { ...opening, ...from })
      expect([status, body.code]).toEqual([403, 'ask_denied'])
      const kept = await api.call('GET', `/v1/decisions/${body.decision}`, operator)
      expect(kept.body.reasons).toEqual(['coder is in quarantine: it may only read'])
    }
    expect(await shown('coder')).toMatchObject({ body: { active_tasks: 1 } })
  })
})

describe('suspension', () => {
  test('ends every task of the agent and below it, and refuses new ones until it is taken back', async () => {
    const task = await coder([asks.api])
    const below = await child(task, [asks.apiRead])
    const other = await api.open([asks.api])
    const [token, tokenBelow] = [secretOf(await api.credential(task)), secretOf(await api.credential(below))]
    const tokenElse = secretOf(await api.credential(other))
    expect((await change('coder', 'suspend')).body).toMatchObject({ status: 'suspended', active_tasks: 0 })
    for (const one of [task, below]) expect(await stateOf(one)).not.toBe('active')
    await until(async () => (await github(token)) === 401 && (await github(tokenBelow)) === 401)
    expect([await stateOf(other), await github(tokenElse)]).toEqual(['active', 200])
    expect(await refusal(coder([asks.apiRead]))).toBe('agent_not_active')
    const form = await api.form('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      subject_token: installation.svid('/agent/coder'),
      authorization_details: JSON.stringify([asks.apiRead]),
    })
    expect([form.status, form.body.error]).toEqual([400, 'unauthorized_client'])
    await change('coder', 'activate')
    await coder([asks.apiRead])
  })

  test('a reload of the files, and a restart, never lift it', async () => {
    await change('coder', 'suspend')
    await installation.configure({
      agents: { coder: { ...installation.agents.coder, purpose: 'other words' } },
    })
    await broker.reload()
    expect(await refusal(coder([asks.apiRead]))).toBe('agent_not_active')
    await broker.stop()
    await start()
    expect((await shown('coder')).body).toMatchObject({ status: 'suspended', purpose: 'other words' })
    expect(await refusal(coder([asks.apiRead]))).toBe('agent_not_active')
    await installation.configure({})
    await broker.reload()
  })

  test('begun by a broker that dies, it is carried out by the next', async () => {
    const task = await coder([asks.api])
    const token = secretOf(await api.credential(task))
    const { ledger } = broker.broker
    const { changeWithin } = await import('../../src/broker/agents/agent-standing.ts')
    const order = {
      agent: 'coder',
      verb: 'suspend',
      reason: 'x',
      cause: 'operator',
      mayWiden: false,
    } as const
    await ledger.write(tx => changeWithin(broker.broker, tx, order, 'operator:test'))
    expect(await refusal(coder([asks.apiRead]))).toBe('agent_not_active')
    await broker.stop()
    await start()
    await until(async () => (await stateOf(task)) !== 'active' && (await github(token)) === 401)
  })

  test('of more tasks than one batch', async () => {
    const tasks = await Promise.all(Array.from({ length: 5 }, () => coder([asks.orders])))
    const { changeStanding } = await import('../../src/broker/agents/agent-standing.ts')
    const few = { ...broker.broker, limits: { ...broker.broker.limits, endBatch: 2, revocationBatch: 2 } }
    const order = {
      agent: 'coder',
      verb: 'suspend',
      reason: 'x',
      cause: 'operator',
      mayWiden: false,
    } as const
    await changeStanding(few, order, 'operator:test')
    await until(async () => !(await Promise.all(tasks.map(stateOf))).includes('active'))
  })
})

describe('transitions', () => {
  test('what is so already is no error; what is impossible says what is possible', async () => {
    expect((await change('coder', 'suspend')).status).toBe(200)
    const again = await change('coder', 'suspend', { reason: 'again' })
    expect([again.status, again.body.standing.reason]).toEqual([200, 'a test'])
    expect((await change('nobody', 'suspend')).status).toBe(404)
    await change('coder', 'activate')
    expect((await change('coder', 'quarantine')).status).toBe(200)
    expect((await change('coder', 'suspend')).body.status).toBe('suspended')
  })

  test.each([
    ['without a reason', { reason: undefined }],
    ['with control characters', { reason: 'x\u0007' }],
    ['with an unknown member', { why: 'x' }],
  ])('%s is refused', async (_, body) => {
    expect((await change('coder', 'suspend', body)).status).toBe(400)
    expect((await shown('coder')).body.status).toBe('active')
  })

  test('they are for operators', async () => {
    const task = await coder([asks.orders])
    for (const token of [undefined, task.token, 'mfo_no'])
      expect((await api.call('POST', '/v1/agents/coder/suspend', token, { reason: 'x' })).status).toBe(401)
  })
})

describe('the build', () => {
  const withBuild = (build: string | undefined, more: object = {}) =>
    installation.configure({
      agents: { coder: { ...installation.agents.coder, ...(build === undefined ? {} : { build }), ...more } },
    })
  const until_ = () => new Date(installation.clock.now() + 86_400_000).toISOString()
  afterEach(async () => {
    await withBuild(undefined)
    await broker.reload()
    await change('coder', 'certify', { valid_until: until_() })
  })

  test('another build waits in quarantine until it is certified', async () => {
    await withBuild(first)
    await broker.reload()
    expect((await shown('coder')).body).toMatchObject({ status: 'active', build: first })
    const task = await coder([asks.api])
    const token = secretOf(await api.credential(task))
    await withBuild(second)
    let woken = 0
    const { wake } = broker.broker
    broker.broker.wake = () => {
      woken += 1
      wake()
    }
    await broker.reload()
    expect(woken, 'the reaper heard of it at its backstop only').toBeGreaterThan(0)
    expect((await shown('coder')).body).toMatchObject({ status: 'quarantined', standing: { cause: 'build' } })
    await until(async () => (await github(token)) === 401)
    const activated = await change('coder', 'activate')
    expect([activated.status, activated.body.code]).toEqual([409, 'transition_refused'])
    expect((await change('coder', 'certify', { valid_until: until_() })).status).toBe(400)
    await change('coder', 'certify', { valid_until: until_(), digest: first })
    expect((await shown('coder')).body.status).toBe('quarantined')
    const certified = await change('coder', 'certify', { valid_until: until_(), digest: second })
    expect(certified.body).toMatchObject({
      status: 'active',
      certified: { build: second, by: 'operator:test' },
    })
    expect((await api.credential(task)).status).toBe(201)
  })

  test('one that was certified beforehand is in force when it comes', async () => {
    await withBuild(first)
    await broker.reload()
    await change('coder', 'certify', { valid_until: until_(), digest: second })
    expect((await shown('coder')).body).toMatchObject({ status: 'active', flags: ['uncertified'] })
    await withBuild(second)
    await broker.reload()
    expect((await shown('coder')).body).toMatchObject({ status: 'active', flags: [] })
  })

  test('a certification that ran out suspends, by rule', async () => {
    await change('coder', 'certify', { valid_until: until_() })
    await superviseAgents(broker.broker)
    expect((await shown('coder')).body.status).toBe('active')
    installation.clock.advance(2 * 86_400_000)
    operator = await operatorTokenOf(broker)
    await superviseAgents(broker.broker)
    expect((await shown('coder')).body).toMatchObject({
      ...{ status: 'suspended', flags: ['uncertified'] },
      standing: { cause: 'certification', by: 'broker' },
    })
    expect((await change('coder', 'activate')).status).toBe(409)
    expect((await change('coder', 'certify', { valid_until: until_() })).body.status).toBe('active')
  })

  test('a certification that somebody else than the broker put off has run out', async () => {
    await change('coder', 'certify', { valid_until: until_() })
    const { ledger } = broker.broker
    const { certified_build, certified_until, certified_by, certified_mac } = (await ledger.read.agent(
      'coder',
    ))!
    const later = { certified_until: certified_until! + 365 * 86_400_000 }
    const fields = { certified_build, certified_by, certified_mac: certified_mac!, ...later }
    await ledger.write(tx => tx.certifyAgent('coder', fields))
    await superviseAgents(broker.broker)
    expect((await shown('coder')).body).toMatchObject({ status: 'suspended' })
    await ledger.write(tx => tx.certifyAgent('coder', { ...fields, certified_until }))
    expect((await change('coder', 'certify', { valid_until: until_() })).body.status).toBe('active')
  })
})

describe('offboarding', () => {
  test('ends what lives, stays under way until all of it is over, and never comes back', async () => {
    const task = await api.open([asks.api], svid('/agent/reviewer'))
    const token = secretOf(await api.credential(task))
    // Its report is of every task that ends, be it without a credential; not of what had ended before.
    const over = await api.open([asks.apiRead], svid('/agent/reviewer'))
    await api.complete(over)
    const idle = await api.open([asks.apiRead], svid('/agent/reviewer'))
    expect((await api.call('GET', '/v1/agents/reviewer/offboarding', operator)).status).toBe(404)
    expect((await change('reviewer', 'offboard')).body.status).toMatch(/^offboard(ing|ed)$/)
    expect(await refusal(api.open([asks.apiRead], svid('/agent/reviewer')))).toBe('agent_not_active')
    await until(async () => (await shown('reviewer')).body.status === 'offboarded')
    expect(await github(token)).toBe(401)
    const report = () => api.call('GET', '/v1/agents/reviewer/offboarding', operator)
    const unsigned = async () =>
      (await report()).body.tasks.receipts.some(({ sha256 }: { sha256: string | null }) => sha256 === null)
    const { body } = await report()
    expect(body).toMatchObject({
      ...{ status: 'offboarded', by: 'operator:test', open: { tasks: 0, credentials: 0, run: 0 } },
      bindings: { delegated_from: ['coder'], attest_rules_void: 1 },
      credentials: { reached: 1, confirmed_dead: 1 },
      tasks: { ended: 2 },
    })
    const hash = expect.stringMatching(/^[0-9a-f]{64}$/)
    await until(async () => !(await unsigned()))
    const { tasks } = (await report()).body
    expect([tasks.complete, tasks.receipts]).toEqual([
      true,
      [idle.id, task.id].map(id => ({ task: id, sha256: hash })),
    ])
    for (const verb of ['activate', 'suspend', 'quarantine', 'certify']) {
      const more = verb === 'certify' ? { valid_until: '2040-01-01T00:00:00Z' } : {}
      expect((await change('reviewer', verb, more)).body.code).toBe('transition_refused')
    }
    const events = (await broker.broker.ledger.read.audit({ agent: 'reviewer' }, { limit: 100 })).items
    expect(events.map(row => row.event)).toEqual(
      expect.arrayContaining(['agent.offboarding', 'agent.offboarded']),
    )
  })
})
