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
    async write(body: (tx: unknown) => Promise<unknown>) {
      if (down) throw new Error('down')
      return body({ setMeta: async () => {}, expireApprovals: async () => [] })
    },
    read: {
      tasksPastDeadline: async () => [],
      pendingWorkEnds: async () => [],
      tasksLapsed: async (_now: number, writableSince: number) => {
        since.push(writableSince)
        return []
      },
      tasksUnattended: async () => [],
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

// Regression: an outage that began after the look's own write was counted as silence by that very look.
test('an outage that falls into a look is held against nobody, and the next look counts from its end', async () => {
  let clock = 1_000_000
  /** How long each further question for the time hangs. */
  const hangs: number[] = []
  const since: number[] = []
  const ledger = {
    async now() {
      clock += hangs.shift() ?? 0
      return clock
    },
    write: async (body: (tx: unknown) => Promise<unknown>) =>
      body({ setMeta: async () => {}, expireApprovals: async () => [] }),
    read: {
      tasksPastDeadline: async () => [],
      pendingWorkEnds: async () => [],
      tasksLapsed: async (_now: number, writableSince: number) => {
        since.push(writableSince)
        return []
      },
      tasksUnattended: async () => [],
      nextDue: async () => null,
    },
  }
  const broker = { ledger, limits: LIMITS, log: silent, now: () => clock } as unknown as Broker
  const watch = createWatch(broker, () => () => {})
  await watch.look()
  hangs.push(0, 60_000)
  await watch.look()
  await watch.look()
  expect(since).toEqual([1_000_000, 1_060_000])
})

// One batch was ended every backstop: of many deadlines at once, most were held for minutes.
test('all that is due is ended at once, however much it is', async () => {
  const waits: number[] = []
  let left = 5_000
  const ledger = {
    now: async () => 1_000_000,
    async write(body: unknown) {
      // `setMeta` of the look, approvals, and the transactions that end tasks one by one.
      if (String(body).includes('setMeta')) return undefined
      if (String(body).includes('expireApprovals')) return []
      left -= 1
      return { ended: [], leases: [] }
    },
    read: {
      tasksPastDeadline: async (_now: number, limit: number) => Array(Math.min(left, limit)).fill('tsk'),
      tasksLapsed: async () => [],
      pendingWorkEnds: async () => [],
      tasksUnattended: async () => [],
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

// A look that failed ended the whole round: nothing after it was looked at for as long as it went on failing, and
// nobody lapsed.
test('what fails keeps nothing else from being looked at', async () => {
  let clock = 1_000_000
  const looked: string[] = []
  const fails = (name: string) => async () => {
    looked.push(name)
    throw new Error(`${name} is broken`)
  }
  const ledger = {
    now: async () => clock,
    write: async (body: (tx: unknown) => Promise<unknown>) =>
      body({ setMeta: async () => {}, expireApprovals: fails('approvals') }),
    read: {
      tasksPastDeadline: async () => [],
      async tasksLapsed(_now: number, writableSince: number) {
        looked.push(`heartbeats since ${writableSince}`)
        return []
      },
      pendingWorkEnds: fails('work'),
      async tasksUnattended() {
        looked.push('check-ins')
        return []
      },
      nextDue: async () => null,
    },
  }
  const errors: unknown[] = []
  const log = { ...silent, error: (about: object) => void errors.push(about) }
  // The parts of a broker that a watch touches.
  const broker = { ledger, limits: LIMITS, log, now: () => clock } as unknown as Broker
  const watch = createWatch(broker, () => () => {})
  const round = ['heartbeats since 1000000', 'work', 'approvals', 'check-ins']
  await watch.look()
  clock += 1_000
  await watch.look()
  expect(looked).toEqual([...round, ...round])
  expect(errors).toHaveLength(4)
})
