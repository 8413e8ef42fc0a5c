import { BrokerError, type ErrorCode } from '../broker/broker-error.ts'
import type { Limits } from '../limits.ts'

type Bucket = { tokens: number; at: number }

export type RateLimiter = {
  /** @throws BrokerError `rate_limited` when this source has had its share of the minute. */
  take(source: string): void
  /** The same without taking any of it. */
  demand(source: string): void
  /** Takes where there is any left; false where there is none. */
  spend(source: string): boolean
}

export type ExchangeGate = {
  /** @throws BrokerError `rate_limited` before the evidence is looked at, or whatever `exchange` throws. */
  pass<T>(source: string, exchange: () => Promise<T>): Promise<T>
}

/** Evidence that was not accepted, and good evidence of nobody's workload: either can be shown again and again. */
const FAILED: ReadonlySet<ErrorCode> = new Set(['evidence_rejected', 'agent_unmatched', 'event_not_allowed'])

/** So many exchanges a minute from one source, and so many of them with evidence that is not accepted. */
export function createExchangeGate(limits: Limits, now: () => number): ExchangeGate {
  const all = createRateLimiter(limits.exchangesPerMinutePerSource, limits.rateSources, now)
  const failed = createRateLimiter(limits.failedAttestationsPerMinutePerSource, limits.rateSources, now)
  return {
    async pass(source, exchange) {
      all.take(source)
      failed.demand(source)
      try {
        return await exchange()
      } catch (error) {
        // Where several failed at once there may be none left: then this is answered as the failure that it is.
        if (error instanceof BrokerError && FAILED.has(error.code)) failed.spend(source)
        throw error
      }
    },
  }
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
  function tokensOf(source: string): Bucket {
    const at = now()
    const before = buckets.get(source) ?? { tokens: perMinute, at }
    const elapsed = Math.max(0, at - before.at)
    return { tokens: Math.min(perMinute, before.tokens + elapsed * perMs), at }
  }
  function spend(source: string): boolean {
    const { tokens, at } = tokensOf(source)
    buckets.delete(source)
    buckets.set(source, { tokens: tokens >= 1 ? tokens - 1 : tokens, at })
    if (buckets.size > sources) buckets.delete(buckets.keys().next().value!)
    return tokens >= 1
  }
  function demand(source: string): void {
    const { tokens } = tokensOf(source)
    if (tokens >= 1) return
    const retryAfterMs = Math.ceil((1 - tokens) / perMs)
    throw new BrokerError('rate_limited', 'too many requests within a minute', { retryAfterMs })
  }
  return {
    spend,
    demand,
    take(source) {
      if (!spend(source)) demand(source)
    },
  }
}
