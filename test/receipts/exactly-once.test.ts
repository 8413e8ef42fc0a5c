/**
 * Every settled task that is not the broker's own has exactly one receipt, and it tells of every credential:
 * whatever the order of things, with brokers that are stopped at any moment and two that share a ledger.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import {
  createReceiptQueue,
  type ReceiptOptions,
  signDueReceipts,
} from '../../src/broker/proof/sign-receipts.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { createSigningKeys } from '../../src/keys/signing-keys.ts'
import { readReceipt } from '../../src/receipts/verify-receipt.ts'
import type { RunningServer } from '../../src/server.ts'
import type { TaskRow } from '../../src/store/rows.ts'
import { asks, createInstallation, edgeFor, type Installation, startBroker } from '../fakes/installation.ts'
import { createApi, type OpenedTask } from '../support/api.ts'

let installation: Installation
let broker: RunningServer | undefined

beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

async function tasks({ broker: inside }: RunningServer): Promise<TaskRow[]> {
  const all: TaskRow[] = []
  for (let after: string | undefined; ; ) {
    const page = await inside.ledger.read.tasks({}, { limit: 100, ...(after === undefined ? {} : { after }) })
    all.push(...page.items)
    if (page.next === null) return all
    after = page.next
  }
}

/** @throws AssertionError where a settled task has no receipt, or one that does not tell all. */
async function everyReceiptIsThere(running: RunningServer): Promise<number> {
  const { read } = running.broker.ledger
  let receipts = 0
  for (const task of await tasks(running)) {
    const row = await read.receipt(task.id)
    if (task.system === 1 || task.state !== 'settled') {
      expect(row?.jws ?? null, `${task.id} is ${task.state}`).toBeNull()
      continue
    }
    const receipt = readReceipt(row?.jws ?? '')
    const leases = (await read.leases({ task: task.id }, { limit: 100 })).items
    expect(receipt?.credentials.map(one => one.lease).toSorted()).toEqual(
      leases.map(({ id }) => id).toSorted(),
    )
    const signed = (await read.audit({ task: task.id }, { limit: 100 })).items.filter(
      ({ event }) => event === 'receipt.signed',
    )
    expect(signed).toHaveLength(1)
    receipts += 1
  }
  return receipts
}

const step = fc.oneof(
  fc.record({ do: fc.constant('open' as const), ask: fc.constantFrom('orders', 'apiRead', 'none') }),
  fc.record({
    do: fc.constant('end' as const),
    which: fc.nat(),
    how: fc.constantFrom('completed', 'failed'),
  }),
  fc.constant({ do: 'restart' as const }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1_000, 120_000) }),
)

test('every settled task has exactly one receipt, whatever the order and however often the broker stops', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async steps => {
      broker = await startBroker(installation)
      const open: OpenedTask[] = []
      for (const one of steps) {
        const api = createApi(broker, installation)
        if (one.do === 'open') {
          const details = one.ask === 'none' ? [] : [one.ask === 'orders' ? asks.orders : asks.apiRead]
          const task = await api.open(details)
          if (details.length > 0) await api.credential(task)
          open.push(task)
        } else if (one.do === 'end') {
          const task = open[one.which % (open.length || 1)]
          if (task !== undefined) await api.complete(task, one.how)
        } else if (one.do === 'advance') installation.clock.advance(one.ms)
        else {
          await broker.stop()
          broker = await startBroker(installation)
        }
      }
      const api = createApi(broker, installation)
      for (const task of open) await api.complete(task)
      for (const task of open)
        while ((await api.show(task)).body.state !== 'settled') {
          installation.clock.advance(1_000)
          await broker.look()
        }
      await broker.look()
      expect(await everyReceiptIsThere(broker)).toBeGreaterThanOrEqual(open.length)
      await broker.stop()
      broker = undefined
    }),
    { numRuns: 12, seed: 20_261_122 },
  )
}, 60_000)

test('a crash between settling and signing, and between signing and storing, costs nothing', async () => {
  broker = await startBroker(installation)
  const { broker: inside } = broker
  const api = createApi(broker, installation)
  await broker.look()
  const before = await everyReceiptIsThere(broker)

  // The broker settles tasks and is gone before anyone has signed: its queue never hears of it.
  const unheard: Broker = { ...inside, settled: () => {} }
  const task = await api.open([])
  await endTask(unheard, task.id, 'completed', { actor: 'broker' })
  // Another claims the receipt, signs it, and is gone before it is stored.
  const gone: ReceiptOptions = {
    ...{ issuer: 'x', webhooks: [], signed: () => {} },
    sign: () => Promise.reject(new Error('killed')),
  }
  await inside.ledger.write(tx => tx.claimReceipts(10, tx.now + 60_000))
  await signDueReceipts(unheard, gone)
  await broker.stop()

  broker = await startBroker(installation)
  await broker.look()
  expect(await everyReceiptIsThere(broker)).toBe(before + 1)
})

test('several who sign at once make one receipt for each task', async () => {
  broker ??= await startBroker(installation)
  const { broker: inside } = broker
  const keys = createSigningKeys({
    ...{ ledger: inside.ledger, keyring: inside.keyring, random: edgeFor(installation).random },
    purpose: 'receipt',
    rotation: { rotateAfterMs: 1e9, publishAheadMs: 1e9, longestTokenMs: 1e9 },
  })
  await keys.ensure()
  const api = createApi(broker, installation)
  const quiet: Broker = { ...inside, settled: () => {} }
  const opened = await Promise.all(Array.from({ length: 20 }, () => api.open([])))
  for (const { id } of opened) await endTask(quiet, id, 'completed', { actor: 'broker' })
  let signed = 0
  const options: ReceiptOptions = {
    ...{ issuer: 'http://127.0.0.1:8480', webhooks: [], sign: keys.sign },
    signed: () => {
      signed += 1
    },
  }
  const schedule = edgeFor(installation).schedule
  const queues = [1, 2, 3].map(() => createReceiptQueue(quiet, schedule, options))
  for (const queue of queues) queue.wake()
  for (const queue of queues) await queue.idle()
  for (const queue of queues) await queue.stop()
  await broker.look()
  expect(signed).toBeLessThanOrEqual(20)
  await everyReceiptIsThere(broker)
})
