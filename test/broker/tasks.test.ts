import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'

const MINUTE = 60_000
let installation: Installation
let broker: RunningServer
let api: Api

beforeEach(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
})

const evidence = (path: string) => ({ type: 'jwt', token: installation.svid(path) })
const coder = (wanted: unknown[], extra: object = {}) =>
  api.open(wanted, { evidence: evidence('/agent/coder'), ...extra })

async function ticketFor(parent: OpenedTask, wanted: unknown[], minutes = 10): Promise<string> {
  const body = { agent: 'reviewer', minutes, authorization_details: wanted }
  const answer = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, body)
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return answer.body.ticket
}

const redeem = (ticket: string, wanted: unknown[]) =>
  api.call('POST', '/v1/tasks', undefined, {
    evidence: evidence('/agent/reviewer'),
    purpose: 'review',
    authorization_details: wanted,
    ticket,
  })

describe('time', () => {
  test('a task past its deadline ends as expired, and what it held is dead', async () => {
    const task = await api.open([asks.api], { minutes: 5 })
    await api.credential(task)
    installation.clock.advance(5 * MINUTE + 1)
    await broker.look()
    const { body } = await api.until(task, 'settled')
    expect(body).toMatchObject({ end: 'expired', credentials: [{ closed_as: 'revoked' }] })
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('a silent task lapses; one that is heard from goes on', async () => {
    const silent = await api.open([], { heartbeat_seconds: 30 })
    const heard = await api.open([], { heartbeat_seconds: 30 })
    for (let second = 0; second < 40; second += 10) {
      installation.clock.advance(10_000)
      expect((await api.call('POST', `/v1/tasks/${heard.id}/heartbeat`, heard.token)).status).toBe(200)
      await broker.look()
    }
    expect((await api.until(silent, 'ended')).body.end).toBe('lapsed')
    expect((await api.show(heard)).body.state).toBe('active')
  })

  test('an outage of the broker is not held against a heartbeat', async () => {
    const task = await api.open([], { heartbeat_seconds: 30 })
    await broker.stop()
    installation.clock.advance(10 * MINUTE)
    broker = await startBroker(installation)
    api = createApi(broker, installation)
    expect((await api.show(task)).body.state).toBe('active')
    expect((await api.call('POST', `/v1/tasks/${task.id}/heartbeat`, task.token)).status).toBe(200)
  })

  test('extending needs a reason, stays within the limit of the agent, and moves the deadline', async () => {
    const task = await api.open([], { minutes: 10 })
    const extend = (body: object) => api.call('POST', `/v1/tasks/${task.id}/extend`, task.token, body)
    expect((await extend({ minutes: 20 })).status).toBe(400)
    expect((await extend({ minutes: 61, reason: 'more' })).body.code).toBe('ask_denied')
    const extended = await extend({ minutes: 30, reason: 'the tests are slow today' })
    expect(extended.status).toBe(200)
    expect(Date.parse(extended.body.deadline)).toBeGreaterThan(Date.parse(task.answer.body.task.deadline))
    installation.clock.advance(15 * MINUTE)
    await broker.look()
    expect((await api.show(task)).body.state).toBe('active')
  })

  test('a credential keeps the promise it was given, whatever the task is extended to', async () => {
    const task = await api.open([asks.api], { minutes: 10 })
    await api.credential(task)
    await api.call('POST', `/v1/tasks/${task.id}/extend`, task.token, { minutes: 40, reason: 'slow' })
    installation.clock.advance(11 * MINUTE)
    await broker.look()
    await expect.poll(() => installation.github.credentials().filter(one => one.alive)).toEqual([])
    expect((await api.show(task)).body.state).toBe('active')
    expect((await api.credential(task)).status).toBe(201)
  })
})

describe('children', () => {
  test('a child gets at most what the ticket allows, and ends with its parent', async () => {
    const parent = await coder([asks.api])
    const ticket = await ticketFor(parent, [asks.apiRead])
    expect((await redeem(ticket, [asks.api])).body.code).toBe('ask_denied')
    const answer = await redeem(ticket, [asks.apiRead])
    expect(answer.status, JSON.stringify(answer.body)).toBe(201)
    const child = {
      id: answer.body.task.id,
      token: answer.body.task_token,
      asks: [answer.body.task.asks[0].id],
      answer,
    }
    expect(answer.body.task.parent).toBe(parent.id)
    expect((await api.credential(child)).status).toBe(201)
    const more = await api.call('POST', `/v1/tasks/${child.id}/credentials`, child.token, {
      authorization_details: [asks.api],
    })
    expect(more.body.code).toBe('ask_denied')
    await api.complete(parent)
    const ended = await api.until(child, 'settled')
    expect(ended.body).toMatchObject({ end: 'cancelled', credentials: [{ closed_as: 'revoked' }] })
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('a ticket is good once, also for two that come at the same moment', async () => {
    const parent = await coder([])
    const ticket = await ticketFor(parent, [asks.orders])
    const answers = await Promise.all([redeem(ticket, []), redeem(ticket, []), redeem(ticket, [])])
    expect(answers.map(answer => answer.status).toSorted()).toEqual([201, 403, 403])
  })

  test('no child outlives an ancestor, and none is opened below an ended one', async () => {
    const parent = await coder([], { minutes: 5 })
    const [first, second] = [await ticketFor(parent, [], 50), await ticketFor(parent, [], 50)]
    const child = await redeem(first, [])
    expect(Date.parse(child.body.task.deadline)).toBeLessThanOrEqual(
      Date.parse(parent.answer.body.task.deadline),
    )
    await api.complete(parent)
    expect((await redeem(second, [])).status).toBe(403)
  })

  test('a ticket carries no more than its task, and only to agents it may delegate to', async () => {
    const parent = await coder([asks.api])
    const tickets = (body: object) => api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, body)
    const wide = [{ type: 'github', repositories: ['acme/api'], permissions: { administration: 'write' } }]
    expect((await tickets({ agent: 'reviewer', minutes: 5, authorization_details: wide })).body.code).toBe(
      'ask_denied',
    )
    expect((await tickets({ agent: 'release', minutes: 5, authorization_details: [] })).body.code).toBe(
      'ask_denied',
    )
    const release = await api.open([])
    const answer = await api.call('POST', `/v1/tasks/${release.id}/tickets`, release.token, {
      agent: 'reviewer',
      minutes: 5,
      authorization_details: [],
    })
    expect(answer.body.code).toBe('ask_denied')
  })

  test('a JWT minted for a child names its parent as an actor', async () => {
    const parent = await coder([])
    const answer = await redeem(await ticketFor(parent, [asks.orders]), [asks.orders])
    const child = {
      id: answer.body.task.id,
      token: answer.body.task_token,
      asks: [answer.body.task.asks[0].id],
      answer,
    }
    const minted = await api.credential(child)
    const claims = JSON.parse(Buffer.from(minted.body.credential.split('.')[1], 'base64url').toString())
    expect(claims).toMatchObject({
      sub: 'reviewer',
      act: { sub: 'coder' },
      task: child.id,
      jti: minted.body.lease,
    })
  })
})

describe('a lost answer', () => {
  const again = (token: string, purpose = 'release') =>
    api.call('POST', '/v1/tasks', undefined, {
      evidence: { type: 'jwt', token },
      purpose,
      authorization_details: [asks.orders],
    })

  test('the same request opens anew and ends the earlier task', async () => {
    const token = await installation.jobToken()
    const lost = await again(token)
    expect((await again(token)).body.code).toBe('evidence_rejected')
    installation.clock.advance(2_000)
    const second = await again(token)
    expect(second.status, JSON.stringify(second.body)).toBe(201)
    const earlier = await broker.broker.ledger.read.task(lost.body.task.id)
    expect(earlier).toMatchObject({ end: 'cancelled' })
    const events = await broker.broker.ledger.read.audit({ task: second.body.task.id }, { limit: 10 })
    expect(events.items.map(row => row.event)).toContain('task.reissued')
  })

  test('not once its token was used, not with another body, not after two minutes', async () => {
    const used = await installation.jobToken()
    const first = await again(used)
    installation.clock.advance(2_000)
    expect((await again(used, 'another purpose')).body.code).toBe('evidence_rejected')
    await api.call('GET', `/v1/tasks/${first.body.task.id}`, first.body.task_token)
    expect((await again(used)).body.code).toBe('evidence_rejected')
    const late = await installation.jobToken()
    await again(late)
    installation.clock.advance(2 * MINUTE + 1_000)
    expect((await again(late)).body.code).toBe('evidence_rejected')
  })
})

describe('limits and reload', () => {
  test('active tasks and credentials an hour are counted, and freed', async () => {
    const limits = { task_minutes: 60, active_tasks: 2, credentials_per_hour: 3 }
    await installation.configure({ agents: { release: { ...installation.agents.release, limits } } })
    await broker.reload()
    const tasks = [await api.open([asks.orders]), await api.open([])]
    await expect(api.open([])).rejects.toThrow('budget_exhausted')
    await api.complete(tasks[1]!)
    await api.open([])
    for (let count = 0; count < 3; count++) expect((await api.credential(tasks[0]!)).status).toBe(201)
    const fourth = await api.credential(tasks[0]!)
    expect(fourth).toMatchObject({ status: 429, body: { code: 'budget_exhausted' } })
    expect(Number(fourth.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  test('narrowing reaches what is out; removing an agent ends its tasks; a broken reload changes nothing', async () => {
    const task = await api.open([asks.api])
    await api.credential(task)
    const narrower = {
      ...installation.agents.release,
      ceiling: { github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }] },
    }
    await installation.configure({ agents: { release: narrower } })
    await broker.reload()
    await expect.poll(() => installation.github.credentials().filter(one => one.alive)).toEqual([])
    expect((await api.show(task)).body.state).toBe('active')
    expect((await api.credential(task)).body.code).toBe('ask_denied')

    await installation.configure({ agents: { release: { ...narrower, risk_tier: 'enormous' } } })
    await expect(broker.reload()).rejects.toThrow(/release\.yaml:\d+/)
    expect((await api.credential(task)).body.code).toBe('ask_denied')
    expect((await api.open([])).answer.status).toBe(201)
  })
})
