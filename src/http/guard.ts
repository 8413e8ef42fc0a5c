import { isIP } from 'node:net'
import type { HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'
import type { Broker } from '../broker/broker.ts'
import type { Limits } from '../limits.ts'
import { type Grant, HttpRefusal } from './problem.ts'

export type Env = {
  Bindings: HttpBindings
  Variables: {
    source: string
    /** What clients call this listener: as configured, never by the Host header. */
    publicUrl: string
    /** Where a proxy ends TLS and says so: its client's, DER, leaf first. */
    forwardedCertificates?: readonly Uint8Array[]
    place?: Place
    requestId: string
    broker: Broker
    /** Set where evidence comes in a way whose refusal has another name than that of a subject token. */
    grant?: Grant
  }
}

/** One of so many at work (`admission.ts`). Given back while a body arrives, so that a slow client holds none. */
export type Place = {
  /** @throws BrokerError `rate_limited` where there is none. */
  take(): void
  leave(): void
}

/** Headers of which Node or Hono would quietly keep the first, or join two into one. */
const SINGLE = new Set(['host', 'authorization', 'content-type', 'content-length', 'dpop', 'idempotency-key'])

/** Node's parser takes 0.9 and 2.0 in a request line too, which say nothing of headers, or something else. */
const VERSIONS: ReadonlySet<string> = new Set(['1.0', '1.1'])

/**
 * What Node lets through and a broker must not: other versions, too many headers, and two of those of which
 * there can be only one.
 */
export function guardHeaders(limits: Limits): MiddlewareHandler<Env> {
  return async function guard(c, next) {
    const { rawHeaders: raw, httpVersion } = c.env.incoming
    if (!VERSIONS.has(httpVersion)) throw new HttpRefusal(400, 'only HTTP/1.1 and HTTP/1.0 are spoken here')
    if (raw.length / 2 > limits.headerCount)
      throw new HttpRefusal(431, `at most ${limits.headerCount} headers are accepted`)
    const seen = new Set<string>()
    for (let index = 0; index < raw.length; index += 2) {
      const name = raw[index]!.toLowerCase()
      if (!SINGLE.has(name)) continue
      if (seen.has(name)) throw new HttpRefusal(400, `the header ${name} was sent twice`)
      seen.add(name)
    }
    await next()
  }
}

/**
 * Who is asking, for rate limits: the peer's address, or what the trusted proxies in front of us say of it
 * (the `hops`-th address from the right of X-Forwarded-For, some write a port behind it; what is no address is
 * the peer's). IPv6 counts by its /64.
 */
export function identifySource(proxyHops: number): MiddlewareHandler<Env> {
  return async function source(c, next) {
    const peer = c.env.incoming.socket.remoteAddress ?? 'unknown'
    c.set('source', block(forwardedFor(c.env.incoming, proxyHops) ?? peer))
    await next()
  }
}

function forwardedFor({ headers }: HttpBindings['incoming'], proxyHops: number): string | undefined {
  if (proxyHops === 0) return undefined
  // Node joins repeated ones with commas, in the order in which they came.
  const parts = String(headers['x-forwarded-for'] ?? '').split(',')
  const claimed = parts.at(-proxyHops)?.trim()
  return claimed === undefined ? undefined : addressIn(claimed)
}

/** `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:443`. */
function addressIn(claimed: string): string | undefined {
  if (isIP(claimed) !== 0) return claimed
  const [, six, four] = /^(?:\[([^\]]+)\]|([\d.]+)(?=:))(?::\d{1,5})?$/.exec(claimed) ?? []
  if (six !== undefined) return isIP(six) === 6 ? six : undefined
  return four !== undefined && isIP(four) === 4 ? four : undefined
}

function block(given: string): string {
  const address = given.toLowerCase()
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
  if (!plain.includes(':')) return plain
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return `${[...left, ...zeros, ...right]
    .slice(0, 4)
    .map(part => part.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
