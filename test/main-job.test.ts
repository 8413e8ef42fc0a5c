import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../src/server.ts'
import {
  asks,
  createInstallation,
  type Installation,
  RESOURCE_SERVER,
  startBroker,
} from './fakes/installation.ts'

let installation: Installation
let broker: RunningServer

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member, and asserted.
type Answer = { status: number; body: any; headers: Headers }

async function call(method: string, path: string, token?: string, body?: unknown): Promise<Answer> {
  const response = await fetch(broker.url + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return {
    status: response.status,
    body: text === '' ? undefined : JSON.parse(text),
    headers: response.headers,
  }
}

const openTask = async (authorization_details: unknown[], extra: object = {}) =>
  call('POST', '/v1/tasks', undefined, {
    evidence: { type: 'jwt', token: await installation.jobToken() },
    purpose: 'release 1.2.3',
    authorization_details,
    ...extra,
  })

async function settled(task: string, token: string): Promise<Answer> {
  for (;;) {
    const answer = await call('GET', `/v1/tasks/${task}`, token)
    if (answer.body.state === 'settled') return answer
    await new Promise(resolve => setImmediate(resolve))
  }
}

describe('the main job', () => {
  test('evidence in, a task, a GitHub token out, dead when the task ends', async () => {
    const opened = await openTask([asks.api])
    expect(opened.status, JSON.stringify(opened.body)).toBe(201)
    const { task, task_token } = opened.body
    const minted = await call('POST', `/v1/tasks/${task.id}/credentials`, task_token, {
      ask: task.asks[0].id,
    })
    expect(minted.status, JSON.stringify(minted.body)).toBe(201)
    const read = () =>
      fetch(`${installation.github.url}/repos/acme/api/contents/README.md`, {
        headers: { authorization: `Bearer ${minted.body.credential}`, 'user-agent': 'test' },
      })
    expect((await read()).status).toBe(200)
    const ended = await call('POST', `/v1/tasks/${task.id}/complete`, task_token, { outcome: 'completed' })
    expect(ended.status, JSON.stringify(ended.body)).toBe(200)
    const after = await settled(task.id, task_token)
    expect(after.body.credentials[0]).toMatchObject({ state: 'closed', closed_as: 'revoked' })
    expect(after.body.credentials[0].confirmed_dead_at).not.toBeNull()
    expect((await read()).status).toBe(401)
    expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  })

  test('token exchange answers with a JWT that introspection knows until the task ends', async () => {
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      subject_token: await installation.jobToken(),
      authorization_details: JSON.stringify([asks.orders]),
    })
    const response = await fetch(`${broker.url}/oauth/token`, { method: 'POST', body: form })
    const answer = (await response.json()) as Record<string, string>
    expect(response.status, JSON.stringify(answer)).toBe(200)
    const introspect = async () => {
      const basic = Buffer.from(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`).toString('base64')
      const reply = await fetch(`${broker.url}/oauth/introspect`, {
        method: 'POST',
        headers: { authorization: `Basic ${basic}` },
        body: new URLSearchParams({ token: answer.access_token! }),
      })
      return reply.json()
    }
    expect(await introspect()).toMatchObject({ active: true, sub: 'release' })
    await call('POST', `/v1/tasks/${answer.task_id}/complete`, answer.task_token, { outcome: 'completed' })
    expect(await introspect()).toEqual({ active: false })
  })

  test('an AWS session stops at its deadline and is shown as that', async () => {
    const opened = await openTask([asks.artifacts(installation.roleArn)])
    const { task, task_token } = opened.body
    const minted = await call('POST', `/v1/tasks/${task.id}/credentials`, task_token, {
      ask: task.asks[0].id,
    })
    expect(minted.status, JSON.stringify(minted.body)).toBe(201)
    expect(minted.body).toMatchObject({
      revocability: 'expiry_only',
      expires_at: minted.body.provider_expires_at,
    })
    await call('POST', `/v1/tasks/${task.id}/complete`, task_token, { outcome: 'completed' })
    installation.clock.advance(62 * 60_000)
    await broker.look()
    const after = await settled(task.id, task_token)
    expect(after.body.credentials[0]).toMatchObject({ closed_as: 'expired' })
    expect(installation.aws.credentials().filter(one => one.alive)).toEqual([])
  })
})
