import { describe, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { BrokerError } from '../../src/broker/broker-error.ts'
import { TurnTaken } from '../../src/broker/credentials/held-turns.ts'
import { createQueues } from '../../src/broker/queues.ts'
import { withFreshConfiguration } from '../../src/broker/with-fresh-configuration.ts'
import { LIMITS } from '../../src/limits.ts'

/** Timers that go off when they are told to. */
function timers() {
  const waiting = new Set<() => void>()
  const schedule = (_: number, run: () => void) => {
    waiting.add(run)
    return () => void waiting.delete(run)
  }
  return { schedule, waiting, goOff: () => [...waiting].map(run => run()) }
}

describe('a queue', () => {
  test('lets one after another go, and each name for itself', async () => {
    const { schedule, waiting } = timers()
    const queues = createQueues(schedule, 1_000)
    const order: string[] = []
    const first = await queues('a')
    const second = queues('a').then(end => {
      order.push('second')
      end?.()
    })
    await (await queues('b'))?.()
    order.push('other')
    first?.()
    await second
    expect(order).toEqual(['other', 'second'])
    expect(await queues('a')).toBeTypeOf('function')
    expect(waiting.size).toBe(0)
  })

  test('keeps nobody waiting for longer than it may, and who gave up stands in nobody\u2019s way', async () => {
    const { schedule, goOff } = timers()
    const queues = createQueues(schedule, 1_000)
    const first = await queues('a')
    const late = queues('a')
    const later = queues('a')
    await Promise.resolve()
    goOff()
    expect([await late, await later]).toEqual([undefined, undefined])
    const last = queues('a')
    first?.()
    expect(await last).toBeTypeOf('function')
  })
})

describe('a use case that is judged again', () => {
  // As much of a broker as it looks at.
  const brokerWith = (parts: object) =>
    ({
      ...{ agents: () => new Map(), generation: () => 1, attestors: new Map(), issuers: new Map() },
      ...{ limits: LIMITS, policy: {}, stale: () => undefined },
      ...parts,
    }) as unknown as Broker

  test('is not even begun where the files are not in force, and nothing is read for it', async () => {
    let reads = 0
    const reloaded = async () => {
      reads += 1
    }
    const broker = brokerWith({ stale: () => 'superseded', reloaded })
    const run = withFreshConfiguration(broker, async () => expect.fail('it ran'))
    await expect(run).rejects.toMatchObject({ code: 'configuration_stale', message: 'superseded' })
    expect(reads).toBe(0)
  })

  test('gives its turn back where it fails, and when it is recorded', async () => {
    let held = 0
    const queues = async () => {
      held += 1
      let isHeld = true
      return () => {
        if (isHeld) held -= 1
        isHeld = false
      }
    }
    const broker = brokerWith({ queues })
    let run = 0
    const failing = withFreshConfiguration(broker, async () => {
      run += 1
      throw run === 1 ? new TurnTaken('a') : new BrokerError('ask_denied', 'no')
    })
    await expect(failing).rejects.toMatchObject({ code: 'ask_denied' })
    expect(held).toBe(0)

    run = 0
    const seen: number[] = []
    await withFreshConfiguration(broker, async within => {
      run += 1
      if (run === 1) throw new TurnTaken('a')
      seen.push(held)
      within.recorded?.()
      seen.push(held)
    })
    expect(seen).toEqual([1, 0])
  })

  test('is told to come back where its turn does not come', async () => {
    const broker = brokerWith({ queues: async () => undefined })
    const run = withFreshConfiguration(broker, async () => {
      throw new TurnTaken('a')
    })
    await expect(run).rejects.toMatchObject({ code: 'mint_contended', retryAfterMs: 1_000 })
  })
})
