import { expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { createAlertQueue } from '../../src/broker/leaks/secret-alerts.ts'

test('while another broker looks at alerts, this one does not ask again and again', async () => {
  const waits: number[] = []
  const schedule = (ms: number) => {
    waits.push(ms)
    return () => {}
  }
  // As much of a broker as the queue needs: an alert is due, and its claim is another's.
  const broker = {
    stale: () => undefined,
    limits: { reaperBackstopMs: 5_000, secretAlertBatch: 10, secretAlertClaimMs: 60_000 },
    log: { error: (fields: object) => expect(fields).toBeUndefined() },
    ledger: {
      now: async () => 1_000,
      read: { alertsDue: async () => [{ repository: '1' }], nextAlertDue: async () => 500 },
      write: async () => undefined,
    },
  } as unknown as Broker
  const queue = createAlertQueue(broker, schedule, {} as Parameters<typeof createAlertQueue>[2])
  queue.wake()
  await queue.idle()
  expect(waits.at(-1)).toBe(5_000)
  await queue.stop()
})
