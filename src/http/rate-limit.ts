import { BrokerError } from '../broker/broker-error.ts'

type Bucket = { tokens: number; at: number }

export type RateLimiter = {
  /** @throws BrokerError `rate_limited` when this source has had its share of the minute. */
  take(source: string): void
}

/**
 * A token bucket for each source, refilled evenly over a minute. Remembers at most `sources` of them, the
 * least recently seen forgotten first, so that memory is bounded by what is configured and not by who asks.
 *
 * @param now epoch ms.
 */
export function createRateLimiter(perMinute: number, sources: number, now: () => number): RateLimiter {
  const buckets = new Map<string, Bucket>()
  const perMs = perMinute / 60_000
  return {
    take(source) {
      const at = now()
      const before = buckets.get(source) ?? { tokens: perMinute, at }
      const elapsed = Math.max(0, at - before.at)
      const tokens = Math.min(perMinute, before.tokens + elapsed * perMs)
      buckets.delete(source)
      buckets.set(source, { tokens: tokens >= 1 ? tokens - 1 : tokens, at })
      if (buckets.size > sources) buckets.delete(buckets.keys().next().value!)
      if (tokens >= 1) return
      const retryAfterMs = Math.ceil((1 - tokens) / perMs)
      throw new BrokerError('rate_limited', 'too many requests from this address', { retryAfterMs })
    },
  }
}
