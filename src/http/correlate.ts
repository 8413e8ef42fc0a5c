import type { MiddlewareHandler } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { forRequest, tracedBroker } from '../broker/traced-broker.ts'
import type { Env } from './guard.ts'

/** Safe to be written into a log line and a header as it is. */
const requestIdForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * Names the request: by `X-Request-Id` where the caller sends a plain one, otherwise by an id of our own. It is
 * answered in the same header, is in every line that is logged for the request, and in its span, which goes on
 * from the caller's `traceparent`.
 */
export function correlate(broker: Broker): MiddlewareHandler<Env> {
  return async function correlated(c, next) {
    const sent = c.req.header('x-request-id')
    const id = sent !== undefined && requestIdForm.test(sent) ? sent : broker.newId('req')
    c.set('requestId', id)
    c.env.outgoing.setHeader('x-request-id', id)
    const scoped = forRequest(broker, id)
    c.set('broker', scoped)
    if (!broker.trace.active) return next()
    const attributes = { 'http.request.method': c.req.method, request_id: id }
    await broker.trace.continuing(c.req.header('traceparent')).span('request', attributes, async inner => {
      c.set('broker', tracedBroker(scoped, inner))
      await next()
    })
  }
}
