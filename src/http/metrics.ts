import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import type { Secret } from '../../issuers/shared/secret.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'

export type MetricsOptions = {
  /** The text for Prometheus. */
  expose: () => Promise<{ contentType: string; body: string }>
  /** What a scraper must present; absent: whoever reaches the operators' own listener may read. */
  token: Secret | undefined
}

export function metricsRoutes({ expose, token }: MetricsOptions): Hono<Env> {
  const routes = new Hono<Env>()
  routes.get('/', async c => {
    if (token !== undefined && !isSame(bearer(c), token))
      throw new BrokerError('unauthenticated', "this is not the scraper's token")
    const { contentType, body } = await expose()
    return c.body(body, 200, { 'content-type': contentType, 'cache-control': 'no-store' })
  })
  return routes
}

function isSame(a: Secret, b: Secret): boolean {
  const digest = (secret: Secret) => createHash('sha256').update(secret.reveal()).digest()
  return timingSafeEqual(digest(a), digest(b))
}
