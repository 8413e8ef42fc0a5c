/** Each way to end something wakes the reaper by itself: in these tests no timer ever fires. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { startRevocation } from '../../src/broker/revocations/revocations.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks, createInstallation, edgeFor, type Installation } from '../fakes/installation.ts'

const MINT = 'apps/create-installation-access-token'

let installation: Installation
let broker: RunningServer
beforeEach(async () => {
  installation = await createInstallation()
  broker = await startServer(installation.configPath, { ...edgeFor(installation), schedule: () => () => {} })
})
afterEach(async () => {
  await broker?.stop()
  await installation?.close()
})

describe('GitHub tokens are dead without anyone looking', () => {
  test('when their task is completed', async () => {
    const task = await holding()
    await post(`/v1/tasks/${task.id}/complete`, task.token, { outcome: 'completed' })
    await allDead()
  })

  test('when their task token is revoked', async () => {
    const { token } = await holding()
    await post('/oauth/revoke', undefined, new URLSearchParams({ token }))
    await allDead()
  })

  test('when their holder revokes one of them', async () => {
    const { token, credential } = await holding()
    await post('/oauth/revoke', token, new URLSearchParams({ token: credential }))
    await allDead()
  })

  test('when an operator ends everything', async () => {
    await holding()
    const order = { filter: {}, reason: 'an exercise', hold: false }
    await startRevocation(broker.broker, order, 'operator:test')
    await allDead()
  })

  test('when the answer to their exchange was lost and another takes its place', async () => {
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      subject_token: await installation.jobToken(),
      authorization_details: JSON.stringify([asks.api]),
    })
    const lost = await post('/oauth/token', undefined, form)
    installation.clock.advance(1_000)
    const again = await post('/oauth/token', undefined, form)
    expect(again.lease).not.toBe(lost.lease)
    await vi.waitFor(() => expect(liveLeases()).toEqual([again.lease]), { timeout: 10_000, interval: 5 })
  })

  test('when they come back to a task that has ended', async () => {
    const task = await open()
    const ended = { once: false }
    installation.github.faults = async ({ operation, when }): Promise<FaultDecision> => {
      if (operation !== MINT || when === 'before' || ended.once) return 'ok'
      ended.once = true
      await post(`/v1/tasks/${task.id}/complete`, task.token, { outcome: 'cancelled' })
      return 'ok'
    }
    const answer = await post(`/v1/tasks/${task.id}/credentials`, task.token, { ask: task.ask })
    expect(answer.code).toBe('task_not_active')
    await allDead()
  })
})

async function open() {
  const opened = await post('/v1/tasks', undefined, {
    evidence: { type: 'jwt', token: await installation.jobToken() },
    purpose: 'end it',
    authorization_details: [asks.api],
  })
  return { id: opened.task.id, token: opened.task_token, ask: opened.task.asks[0].id }
}

async function holding() {
  const task = await open()
  const { credential } = await post(`/v1/tasks/${task.id}/credentials`, task.token, { ask: task.ask })
  await vi.waitFor(() => expect(liveLeases()).toHaveLength(1), { timeout: 10_000, interval: 5 })
  return { ...task, credential }
}

const allDead = () => vi.waitFor(() => expect(liveLeases()).toEqual([]), { timeout: 10_000, interval: 5 })

function liveLeases(): string[] {
  const live = installation.github.credentials().filter(({ alive }) => alive)
  return live.map(({ userAgent }) => userAgent.split(' ')[1] ?? userAgent)
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member, and asserted.
async function post(path: string, token: string | undefined, body: unknown): Promise<any> {
  const form = body instanceof URLSearchParams
  const response = await fetch(broker.url + path, {
    method: 'POST',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(form ? {} : { 'content-type': 'application/json' }),
    },
    body: form ? body : JSON.stringify(body),
  })
  const text = await response.text()
  return text === '' ? undefined : JSON.parse(text)
}
