import { expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { reapLease } from '../../src/broker/credentials/reap-lease.ts'
import { LIMITS } from '../../src/limits.ts'
import { noMetrics } from '../../src/metrics.ts'
import { revokingLease, start } from '../conformance/store/subject.ts'
import { silent } from '../fakes/installation.ts'
import { atOnce, createSimulatedLedger } from '../simulation/ledger.ts'

// Regression: a provider answered a revocation that it had not done, and could not say what came of it. When it
// said later that the credential was alive, it was only ever asked again, and never told.
test('what is alive although its provider was told is told again', async () => {
  const { ledger } = createSimulatedLedger({ now: () => start }).connect(atOnce)
  const lease = revokingLease('l', 't', { revoked_at: start - 60_000, sealed_secret: null })
  await ledger.write(tx => tx.insertLease(lease))
  let revocations = 0
  const issuer = {
    revoke: async () => {
      revocations += 1
      return 'revoked'
    },
    probe: async () => (revocations === 0 ? 'alive' : 'dead'),
  }
  // The parts of a broker that a lease on its way out touches.
  const broker = {
    ...{ ledger, limits: LIMITS, log: silent, metrics: noMetrics, settled: () => {}, jitter: () => 0 },
    issuers: new Map([['github', issuer]]),
  } as unknown as Broker
  expect(await reapLease(broker, lease)).toBe('closed')
  expect(revocations).toBe(1)
  expect(await ledger.read.lease('l')).toMatchObject({ closed_as: 'revoked', confirmed_dead_at: start })
})
