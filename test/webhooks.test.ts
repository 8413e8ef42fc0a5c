/** Ends and receipts, as a receiver is told of them: signed, at least once, whatever the receiver does. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LIMITS } from '../src/limits.ts'
import { receiptKeySet, verifyReceipt } from '../src/receipts/verify-receipt.ts'
import { type RunningServer, startServer } from '../src/server.ts'
import {
  asks,
  createInstallation,
  edgeFor,
  type Installation,
  silent,
  startBroker,
} from './fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from './support/api.ts'
import { operatorTokenOf } from './support/operator.ts'
import {
  type Answer,
  startWebhookReceiver,
  WEBHOOK_SECRET,
  type WebhookReceiver,
} from './support/webhook-receiver.ts'

let installation: Installation
let broker: RunningServer
let receiver: WebhookReceiver
let api: Api

beforeEach(async () => {
  receiver = await startWebhookReceiver()
  installation = await createInstallation()
  await told(['task.ended'])
  await writeFile(join(installation.directory, 'webhook-secret'), `${WEBHOOK_SECRET}\n`, { mode: 0o600 })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
})
afterEach(async () => {
  await broker?.stop()
  await receiver?.close()
  await installation?.close()
})

/** Of which events the receiver is told; of all of them where none is named. */
async function told(events?: readonly string[]): Promise<void> {
  const rollback = { url: receiver.url, secret_file: 'webhook-secret', ...(events && { events }) }
  await installation.configure({ settings: { webhooks: { rollback } } })
}

async function ended(outcome = 'completed'): Promise<OpenedTask> {
  const task = await api.open([asks.orders])
  await api.credential(task)
  await api.complete(task, outcome)
  return task
}

/** Looks, with the clock moved on between looks, until it holds. */
async function until(holds: () => boolean | Promise<boolean>, stepMs = 0): Promise<void> {
  while (!(await holds())) {
    installation.clock.advance(stepMs)
    await broker.look()
    await wait(5)
  }
}

const deliveries = async (query = '') =>
  (await api.call('GET', `/v1/deliveries${query}`, await operatorTokenOf(broker))).body.items

test('a task that ended is told of, once it is settled, with its receipt', async () => {
  const task = await ended('failed')
  await until(() => receiver.taken.length > 0)
  const [message] = receiver.taken
  expect(message?.body).toMatchObject({
    type: 'task.ended',
    data: { task: task.id, agent: 'release', end: 'failed', summary: { credentials: 1, confirmed_dead: 1 } },
  })
  const keys = receiptKeySet.parse((await api.call('GET', '/.well-known/receipt-jwks.json')).body)
  const verdict = await verifyReceipt(message?.body.data.receipt, keys)
  expect(verdict).toMatchObject({ ok: true, sha256: message?.body.data.receipt_sha256 })
  expect(await deliveries()).toMatchObject([{ id: message?.id, state: 'delivered', attempts: 1 }])
  await broker.look()
  expect(receiver.taken).toHaveLength(1)
})

test('an end is told of at once, with its outcome; its receipt when the provider has said that all is dead', async () => {
  await broker.stop()
  await told()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  let isDown = true
  installation.github.faults = ({ operation, when }) =>
    isDown && when === 'before' && operation.includes('revoke') ? { status: 503 } : 'ok'
  const task = await api.open([asks.api])
  await api.credential(task)
  await api.complete(task, 'failed')
  await until(() => receiver.taken.length > 0)
  const [message] = receiver.taken
  expect(message?.body).toEqual({
    type: 'task.ending',
    timestamp: expect.any(String),
    data: {
      ...{ task: task.id, agent: 'release', purpose: expect.any(String), end: 'failed', end_detail: null },
      ended_at: expect.any(String),
    },
  })
  expect(receiver.taken).toHaveLength(1)
  expect(await broker.broker.ledger.read.task(task.id)).toMatchObject({ state: 'ended' })

  isDown = false
  await until(() => receiver.taken.length > 1, 10_000)
  expect(receiver.taken[1]?.body).toMatchObject({
    type: 'task.ended',
    data: { task: task.id, end: 'failed', receipt: expect.stringMatching(/^ey/) },
  })
  // Of the broker's own tasks, by which names were looked up, nobody is told.
  expect(receiver.taken.map(({ body }) => body.data.task)).toEqual([task.id, task.id])
})

test('of what ends with a task above it, too, from the one transaction on', async () => {
  await broker.stop()
  await told(['task.ending'])
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  receiver.answer = () => 503
  const svid = (path: string) => ({ type: 'jwt', token: installation.svid(path) })
  const parent = await api.open([], { evidence: svid('/agent/coder') })
  const { body } = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
    ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.orders] },
  })
  const child = await api.open([asks.orders], { evidence: svid('/agent/reviewer'), ticket: body.ticket })
  await api.complete(parent)
  const owed = await deliveries()
  expect(owed.map(({ event, task }: { event: string; task: string }) => [event, task]).sort()).toEqual(
    [parent, child].map(({ id }) => ['task.ending', id]).sort(),
  )
  receiver.answer = () => 204
  await until(() => receiver.taken.length > 1, 10_000)
  expect(receiver.taken.map(({ body: { data } }) => [data.task, data.end]).sort()).toEqual(
    [
      [parent.id, 'completed'],
      [child.id, 'cancelled'],
    ].sort(),
  )
})

test.each<[string, () => Answer]>([
  ['a status', () => 503],
  ['no answer, before it was taken', () => 'drop'],
  ['no answer, after it was taken', () => 'drop after'],
  ['a redirect', () => ({ status: 307, headers: { location: 'http://127.0.0.1:9/elsewhere' } })],
])('%s: told again, under the same id and with the same words', async (_, fail) => {
  const seen: string[] = []
  receiver.answer = message => {
    seen.push(`${message.id} ${JSON.stringify(message.body)}`)
    return seen.length < 3 ? fail() : 204
  }
  await ended()
  await until(() => seen.length >= 3, 10_000)
  await until(async () => (await deliveries())[0].state === 'delivered')
  expect(new Set(seen).size).toBe(1)
  expect((await deliveries())[0].attempts).toBe(3)
})

test('attempts are bounded; then it is a dead letter, and an alarm', async () => {
  const alarms: unknown[] = []
  await broker.stop()
  const log = { ...silent, error: (fields: object) => void alarms.push(fields) }
  broker = await startServer(installation.configPath, edgeFor(installation, log))
  api = createApi(broker, installation)
  receiver.answer = () => 500
  const task = await ended()
  await until(async () => (await deliveries('?state=dead')).length > 0, LIMITS.deliveryBackoffCapMs)
  expect(await deliveries(`?state=dead&task=${task.id}`)).toMatchObject([
    { attempts: LIMITS.deliveryAttempts, last_error: 'status 500', webhook: 'rollback' },
  ])
  expect(receiver.calls).toBe(LIMITS.deliveryAttempts)
  expect(alarms).toContainEqual(expect.objectContaining({ alarm: 'webhook_dead', task: task.id }))
  await broker.look()
  expect(receiver.calls).toBe(LIMITS.deliveryAttempts)
})

test('410 ends it at once', async () => {
  receiver.answer = () => 410
  await ended()
  await until(async () => (await deliveries('?state=dead')).length > 0)
  expect(receiver.calls).toBe(1)
})

test('a broker that stops between receipt and message tells of it after the restart', async () => {
  receiver.answer = () => 503
  const task = await ended()
  await until(() => receiver.calls > 0)
  await broker.stop()
  receiver.answer = () => 204
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  await until(() => receiver.taken.length > 0, 5_000)
  expect(receiver.taken.map(message => message.body.data.task)).toEqual([task.id])
})

test('a webhook that is down is not stormed: one batch, then a pause that grows', async () => {
  receiver.answer = () => 503
  for (let n = 0; n < 12; n += 1) await ended()
  await until(() => receiver.calls > 0)
  for (let n = 0; n < 5; n += 1) await broker.look()
  expect(receiver.calls).toBeLessThanOrEqual(LIMITS.deliveryBatch)
  receiver.answer = () => 204
  await until(() => receiver.taken.length === 12, 10_000)
  expect(new Set(receiver.taken.map(message => message.body.data.task)).size).toBe(12)
})

test('Retry-After is honoured', async () => {
  receiver.answer = () => ({ status: 429, headers: { 'retry-after': '600' } })
  await ended()
  await until(() => receiver.calls > 0)
  await until(async () => (await deliveries())[0].last_error === 'status 429')
  installation.clock.advance(595_000)
  await broker.look()
  expect(receiver.calls).toBe(1)
  receiver.answer = () => 204
  await until(() => receiver.taken.length > 0, 1_000)
})

test('a secret that is none stops the start, without being told', async () => {
  await broker.stop()
  await writeFile(join(installation.directory, 'webhook-secret'), 'hunter2hunter2', { mode: 0o600 })
  const failure = await startBroker(installation).catch((error: Error) => error)
  expect(failure).toBeInstanceOf(Error)
  expect((failure as Error).message).toContain('webhook-secret does not hold a webhook secret')
  expect((failure as Error).message).not.toContain('hunter2')
  await writeFile(join(installation.directory, 'webhook-secret'), WEBHOOK_SECRET, { mode: 0o600 })
  broker = await startBroker(installation)
})
