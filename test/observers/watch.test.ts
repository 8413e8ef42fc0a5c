import { expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { LIMITS } from '../../src/limits.ts'
import { createWatch } from '../../src/observers/watch.ts'
import { silent } from '../fakes/installation.ts'

// Regression: the end of an outage was told by this machine's clock. One that was behind the ledger's counted
// part of the outage as silence.
test('an outage ends, for heartbeats, when the ledger itself says that it takes writes again', async () => {
  let clock = 1_000_000
  let down = false
  const since: number[] = []
  const ledger = {
    now: async () => clock,
    async write() {
      if (down) throw new Error('down')
    },
    read: {
      tasksPastDeadline: async () => [],
      pendingWorkEnds: async () => [],
      tasksLapsed: async (_now: number, writableSince: number) => {
        since.push(writableSince)
        return []
      },
      nextDue: async () => null,
    },
  }
  // The parts of a broker that a watch touches. Its own clock is an hour behind.
  const broker = { ledger, limits: LIMITS, log: silent, now: () => clock - 3_600_000 } as unknown as Broker
  const watch = createWatch(broker, () => () => {})
  await watch.look()
  clock += 1_000
  await watch.look()
  down = true
  clock += 1_000
  await watch.look()
  down = false
  clock += 1_000
  await watch.look()
  expect(since).toEqual([1_000_000, 1_000_000, 1_003_000])
})

// One batch was ended every backstop: of many deadlines at once, most were held for minutes.
test('all that is due is ended at once, however much it is', async () => {
  const waits: number[] = []
  let left = 5_000
  const ledger = {
    now: async () => 1_000_000,
    async write(body: unknown) {
      // `setMeta` of the look, and the transactions that end tasks one by one.
      if (String(body).includes('setMeta')) return undefined
      left -= 1
      return { ended: [], leases: [] }
    },
    read: {
      tasksPastDeadline: async (_now: number, limit: number) => Array(Math.min(left, limit)).fill('tsk'),
      tasksLapsed: async () => [],
      pendingWorkEnds: async () => [],
      nextDue: async () => null,
    },
  }
  const limits = { ...LIMITS, endBatch: 100, endBatchesPerLook: 20 }
  // The parts of a broker that a watch touches.
  const broker = { ledger, limits, log: silent, now: () => 0, wake() {}, settled() {} } as unknown as Broker
  const watch = createWatch(broker, ms => {
    waits.push(ms)
    return () => {}
  })
  await watch.look()
  expect([left, waits]).toEqual([3_000, [1]])
  await watch.look()
  await watch.look()
  expect([left, waits]).toEqual([0, [1, 1, limits.reaperBackstopMs]])
})
