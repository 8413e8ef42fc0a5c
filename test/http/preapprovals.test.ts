/** Windows, check-ins and messages about approvals, through the HTTP port. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { bindingOf } from '../../src/broker/approvals/answer-approval.ts'
import { checkInBinding } from '../../src/broker/tasks/check-in.ts'
import { canonicalDigest } from '../../src/canonical.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Answer, type Api, createApi, type OpenedTask } from '../support/api.ts'
import { type AskingPolicy, askingPolicy } from '../support/asking-policy.ts'
import { freshToken, type Person, people } from '../support/humans.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { until } from '../support/until.ts'
import { startWebhookReceiver, WEBHOOK_SECRET, type WebhookReceiver } from '../support/webhook-receiver.ts'

let installation: Installation
let server: RunningServer
let api: Api
let policy: AskingPolicy
let operator: string
let machines: WebhookReceiver
let chat: WebhookReceiver

beforeAll(async () => {
  machines = await startWebhookReceiver()
  chat = await startWebhookReceiver()
  const secret_file = 'webhook-secret'
  installation = await createInstallation({
    settings: {
      webhooks: {
        machines: { url: machines.url, secret_file },
        chat: { url: chat.url, secret_file, format: 'slack' },
      },
    },
  })
  await writeFile(join(installation.directory, secret_file), `${WEBHOOK_SECRET}\n`, { mode: 0o600 })
  const release = { ...installation.agents.release!, check_in_minutes: 10 }
  await installation.configure({
    agents: { release },
    settings: {
      task_defaults: { check_in: { tiers: ['high'], minutes: 5 } },
      webhooks: {
        machines: { url: machines.url, secret_file },
        chat: { url: chat.url, secret_file, format: 'slack' },
      },
    },
  })
  server = await startBroker(installation)
  server.broker.people = people()
  api = createApi(server, installation)
  operator = await operatorTokenOf(server)
})
afterAll(async () => {
  await server?.stop()
  await installation?.close()
  await machines?.close()
  await chat?.close()
})
beforeEach(() => {
  policy = askingPolicy()
  server.broker.policy = policy
})

const ada: Person = { subject: 'ada' }
const order = {
  ...{ agent: 'release', authorization_details: [asks.api], minutes: 30, uses: 2, reason: 'tonight' },
}

async function openWindow(who: Person = ada, over: object = {}): Promise<Answer> {
  const body = { ...order, ...over }
  const preview = await api.call('POST', '/v1/preapprovals/preview', operator, body)
  expect(preview.status, JSON.stringify(preview.body)).toBe(200)
  expect(preview.body.digest).toBe(canonicalDigest(preview.body.document))
  const id_token = freshToken(server.broker, who, preview.body.sign_in_for)
  return api.call('POST', '/v1/preapprovals', undefined, { ...body, id_token })
}
const close = (id: string, token = operator) => api.call('DELETE', `/v1/preapprovals/${id}`, token)

const ask = async (extra: Record<string, unknown> = {}) => {
  const evidence = { type: 'jwt', token: await installation.jobToken() }
  const body = { purpose: 'a release', authorization_details: [asks.api], evidence, ...extra }
  return api.call('POST', '/v1/tasks', undefined, body)
}
const opened = ({ body }: Answer): OpenedTask => ({
  ...{ id: body.task.id, token: body.task_token, asks: [body.task.asks[0].id] },
  answer: {} as Answer,
})

describe('a window', () => {
  test('counts as its human’s vote, as often as it says, and what it does not cover waits', async () => {
    const window = await openWindow()
    expect([window.status, window.body.uses, window.body.used]).toEqual([201, 2, 0])
    const first = await ask()
    expect([first.status, first.body.task.asks[0].state]).toEqual([201, 'granted'])
    expect((await api.credential(opened(first))).status).toBe(201)
    const wider = { repositories: ['acme/api'], permissions: { contents: 'write', issues: 'write' } }
    expect((await ask({ authorization_details: [{ type: 'github', ...wider }] })).status).toBe(202)
    expect((await ask({ mints: 2 })).status).toBe(202)
    expect((await ask()).status).toBe(201)
    expect((await ask()).status).toBe(202)
    const { body } = await api.call('GET', '/v1/preapprovals?agent=release', operator)
    expect(body.items[0]).toMatchObject({ id: window.body.id, used: 2, by: 'ada' })
    const open = await api.call('GET', '/v1/preapprovals?open=true', operator)
    expect(open.body.items).toEqual([])
  })

  test('mints at once at the token endpoint', async () => {
    const window = await openWindow(ada, { uses: 1 })
    const answer = await api.form('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: await installation.jobToken(),
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      authorization_details: JSON.stringify([asks.api]),
    })
    expect([answer.status, answer.body.token_type]).toEqual([200, 'Bearer'])
    await close(window.body.id)
  })

  test('is of no use once it is revoked, past its time, or for another generation', async () => {
    const revoked = await openWindow()
    expect((await close(revoked.body.id)).body.revoked_by).toContain('test')
    expect((await ask()).status).toBe(202)

    const changed = await openWindow()
    const { issuerDigests } = server.broker
    server.broker.issuerDigests = new Map([...issuerDigests, ['github', 'other']])
    expect((await ask()).status).toBe(202)
    server.broker.issuerDigests = issuerDigests
    await close(changed.body.id)

    await openWindow(ada, { minutes: 1 })
    installation.clock.advance(61_000)
    expect((await ask()).status).toBe(202)
  })

  test('is opened by no owner, by nobody with a token, and by no sign-in for another window', async () => {
    expect((await openWindow({ subject: 'eve', email: 'product@acme.test' })).status).toBe(403)
    const preview = (await api.call('POST', '/v1/preapprovals/preview', operator, order)).body
    const id_token = freshToken(server.broker, ada, preview.sign_in_for)
    const more = await api.call('POST', '/v1/preapprovals', undefined, { ...order, uses: 99, id_token })
    expect([more.status, more.body.code]).toEqual([401, 'fresh_sign_in_needed'])
    expect((await api.call('POST', '/v1/preapprovals', operator, { ...order, id_token })).status).toBe(403)
    const task = opened(await ask({ authorization_details: [asks.orders] }))
    expect((await api.call('POST', '/v1/preapprovals', task.token, { ...order, id_token })).status).toBe(403)
    expect((await api.call('GET', '/v1/preapprovals', task.token)).status).toBe(403)
    expect((await close('pre_none', task.token)).status).toBe(403)
    const beyond = {
      ...order,
      authorization_details: [
        { type: 'github', repositories: ['acme/web'], permissions: { contents: 'write' } },
      ],
    }
    expect((await api.call('POST', '/v1/preapprovals/preview', operator, beyond)).status).toBe(403)
  })

  test('a stronger rule needs another human beside it', async () => {
    policy.requires = [{ policy: 'two', quorum: 2, groups: ['approvers'], ownerMay: false }]
    const window = await openWindow(ada, { uses: 1 })
    const { body, status } = await ask()
    expect(status).toBe(202)
    const [{ id }] = body.task.approvals
    const shown = (await api.call('GET', `/v1/approvals/${id}`, operator)).body
    expect(shown.agreed).toMatchObject([{ name: 'ada', preapproval: window.body.id }])
    const id_token = freshToken(server.broker, ada, bindingOf('approve', shown))
    expect((await api.call('POST', `/v1/approvals/${id}/approve`, undefined, { id_token })).body.code).toBe(
      'approved_already',
    )
  })
})

describe('check-ins', () => {
  const lookAfter = (id: string, who: Person = ada, boundTo = checkInBinding(id)) => {
    const id_token = freshToken(server.broker, who, boundTo)
    return api.call('POST', `/v1/tasks/${id}/check-in`, undefined, { id_token })
  }

  test('a task that nobody looks after lapses; the task and a token cannot look after it', async () => {
    const attended = opened(await ask({ authorization_details: [asks.orders], minutes: 60 }))
    const alone = opened(await ask({ authorization_details: [asks.orders], minutes: 60 }))
    for (const token of [attended.token, operator])
      expect((await api.call('POST', `/v1/tasks/${attended.id}/check-in`, token, {})).status).toBe(403)
    installation.clock.advance(9 * 60_000)
    expect((await lookAfter(attended.id)).body).toMatchObject({ task: attended.id })
    installation.clock.advance(2 * 60_000)
    await server.look()
    expect((await api.show(attended)).body.state).toBe('active')
    expect((await api.until(alone, 'ended')).body).toMatchObject({
      ...{ end: 'lapsed', end_detail: 'no human checked in' },
    })
    expect((await lookAfter(alone.id)).body.code).toBe('task_not_active')
    operator = await operatorTokenOf(server)
  })

  test('are of somebody else than its owner, by a sign-in for this task alone', async () => {
    const task = opened(await ask({ authorization_details: [asks.orders] }))
    const other = opened(await ask({ authorization_details: [asks.orders] }))
    const due = async () => (await server.broker.ledger.read.checkIn(task.id))?.due_at
    const first = await due()
    installation.clock.advance(60_000)
    expect((await lookAfter(task.id, { subject: 'eve', email: 'product@acme.test' })).status).toBe(403)
    expect((await lookAfter(task.id, { subject: 'zoe', groups: [] })).status).toBe(403)
    expect((await lookAfter(task.id, ada, checkInBinding(other.id))).body.code).toBe('fresh_sign_in_needed')
    const id_token = freshToken(server.broker, ada, checkInBinding(task.id))
    const send = () => api.call('POST', `/v1/tasks/${task.id}/check-in`, undefined, { id_token })
    expect(await due()).toBe(first)
    expect((await send()).status).toBe(200)
    expect((await send()).body.code).toBe('fresh_sign_in_needed')
    expect(await due()).toBeGreaterThan(first!)
    expect((await lookAfter('tsk_none')).status).toBe(404)
  })
})

test('a tier may demand check-ins of agents that say nothing of them', async () => {
  const evidence = { type: 'jwt', token: installation.svid('/agent/coder') }
  const task = opened(await ask({ evidence, authorization_details: [asks.orders] }))
  expect((await server.broker.ledger.read.checkIn(task.id))?.every_ms).toBe(5 * 60_000)
})

describe('messages', () => {
  test('programs are told with everything, people in a chat in plain words, and no secret is in either', async () => {
    const before = [machines.taken.length, chat.taken.length]
    const justification = '<!channel> *now* https://evil.test'
    const { body } = await ask({ justification })
    const [{ id }] = body.task.approvals
    const shown = (await api.call('GET', `/v1/approvals/${id}`, operator)).body
    const id_token = freshToken(server.broker, ada, bindingOf('deny', shown))
    await until(() => machines.taken.length > before[0]! && chat.taken.length > before[1]!)
    const said = { id_token, reason: 'no' }
    expect((await api.call('POST', `/v1/approvals/${id}/deny`, undefined, said)).status).toBe(200)
    const of = (receiver: WebhookReceiver) =>
      receiver.taken.filter(one => JSON.stringify(one.body).includes(id))
    await until(() => of(machines).length === 2 && of(chat).length === 2)

    const [asked, decided] = of(machines).map(one => one.body)
    expect(asked).toMatchObject({
      type: 'approval.requested',
      data: { approval: id, digest: shown.digest, agent: 'release', untrusted: { justification } },
    })
    expect(decided).toMatchObject({ type: 'approval.decided', data: { state: 'denied', reason: 'no' } })
    const text = JSON.stringify(of(chat).map(one => one.body))
    expect(text).toContain('＜!channel＞ ＊now＊ https(:)//evil(.)test')
    expect(text).not.toMatch(/<!|https:\/\/evil|mrkdwn":true/)
    for (const { body: message } of [...of(machines), ...of(chat)])
      expect(JSON.stringify(message)).not.toContain(body.task_token)
  })

  // Regression: whoever was asked was not told that nobody needed to answer any more.
  test('the end of the task is told to whoever was asked', async () => {
    const { body } = await ask()
    const [{ id }] = body.task.approvals
    await api.call('POST', `/v1/tasks/${body.task.id}/complete`, body.task_token, { outcome: 'completed' })
    const of = (receiver: WebhookReceiver) =>
      receiver.taken
        .map(
          ({ body: message }) => message as { type?: string; data?: { approval?: string; state?: string } },
        )
        .filter(one => JSON.stringify(one).includes(id))
    await until(() => of(machines).some(one => one.type === 'approval.decided'))
    const decided = of(machines).find(one => one.type === 'approval.decided')
    expect(decided?.data).toMatchObject({ approval: id, state: 'cancelled', reason: 'the task ended' })
    await until(() => of(chat).length === 2)
  })
})
