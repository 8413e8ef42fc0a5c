import { expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { createReaper } from '../../src/broker/credentials/reaper.ts'
import { LIMITS } from '../../src/limits.ts'
import { silent } from '../fakes/installation.ts'

// Regression: a wake that came when a pass had looked for the last time, and was not yet gone, was lost, and
// what it told of waited for the backstop.
test('a wake at the very end of a pass is not lost', async () => {
  let passes = 0
  const ledger = {
    now: async () => 1,
    read: {
      issuersDue: async () => {
        passes += 1
        return []
      },
      nextDue: async () => null,
      claimsDue: async () => [],
    },
  }
  // The parts of a broker that a reaper without due work touches.
  const broker = { ledger, limits: LIMITS, log: silent } as unknown as Broker
  let woken = false
  const reaper = createReaper(broker, () => {
    if (!woken) queueMicrotask(reaper.wake)
    woken = true
    return () => {}
  })
  reaper.wake()
  await reaper.idle()
  expect(passes).toBe(2)
  await reaper.stop()
})
