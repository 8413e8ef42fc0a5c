import { LIMITS, type Limits } from '../../src/limits.ts'

/** How often the poller looks at runs. */
export const POLL_MS = 30_000

/** Shorter than the real ones where a virtual hour would only be more of the same. */
export const SIM_LIMITS: Limits = {
  ...LIMITS,
  reaperBackstopMs: 20_000,
  reaperClaimMs: 25_000,
  backoffCapMs: 60_000,
  retryAfterCapMs: 120_000,
  followMs: 12_000,
  // The longer something is remembered, the more comes between.
  heldRecallMs: 30 * 60_000,
  approvalMs: 70_000,
  offboardingLookMs: 30_000,
  drillMs: 6 * 60_000,
  drillPollMs: 5_000,
  deliveryClaimMs: 20_000,
  deliveryAttempts: 6,
  deliveryBackoffCapMs: 60_000,
}
