/** Who is let in, before anything is read of a request: so many at once, and so many a minute of each source. */
import type { Context, MiddlewareHandler } from 'hono'
import { BrokerError } from '../broker/broker-error.ts'
import type { Limits } from '../limits.ts'
import type { Env, Place } from './guard.ts'
import { createRateLimiter, type RateLimiter } from './rate-limit.ts'

/** What ends things, and says that work goes on: with a share of its own, whatever else is asked. */
const ENDS =
  /^\/(?:oauth\/revoke|v1\/revocations(?:\/.*)?|v1\/tasks\/[^/]+\/(?:complete|heartbeat|credentials\/[^/]+))$/
/** Judged by the name of the resource server, once it is known. */
const INTROSPECTION = '/oauth/introspect'

/** @returns the middleware, and what introspection judges its callers by. */
export function createAdmission(limits: Limits, now: () => number) {
  const requests = createRateLimiter(limits.requestsPerMinutePerSource, limits.rateSources, now)
  const ends = createRateLimiter(limits.endsPerMinutePerSource, limits.rateSources, now)
  const servers = createRateLimiter(limits.introspectionsPerMinutePerServer, limits.registryFiles, now)
  const ordinary = capInFlight(limits.requestsInFlight)
  const reserved = capInFlight(limits.endsInFlight)
  const admit: MiddlewareHandler<Env> = async (c, next) => {
    const source = c.get('source')
    if (ENDS.test(c.req.path)) {
      ends.take(source)
      return reserved(c, next)
    }
    if (c.req.path !== INTROSPECTION) requests.take(source)
    return ordinary(c, next)
  }
  return { admit, introspection: { strangers: requests, servers } }
}

/** How introspection is limited: whoever is no resource server, by source; each of those, by its name. */
export type IntrospectionLimits = { strangers: RateLimiter; servers: RateLimiter }

/** So many requests at once and no more; the reaper's work is not counted here and always goes on. */
export function capInFlight(most: number) {
  let inFlight = 0
  return async function cap<T>(c: Context<Env>, next: () => Promise<T>): Promise<T> {
    let has = false
    const place: Place = {
      take() {
        if (inFlight >= most)
          throw new BrokerError('rate_limited', 'the broker is at its limit', { retryAfterMs: 1_000 })
        inFlight += 1
        has = true
      },
      leave() {
        if (has) inFlight -= 1
        has = false
      },
    }
    place.take()
    c.set('place', place)
    try {
      return await next()
    } finally {
      place.leave()
    }
  }
}
