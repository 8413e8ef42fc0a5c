/** A SPIFFE trust domain: signs JWT-SVIDs and publishes its bundle, like a SPIRE server would. */
import type { Algorithm } from '../../../attestors/shared/algorithms.ts'
import { createSigningKey, type SigningKey } from './signing-key.ts'

export type SvidRequest = {
  /** A path (`/agent/coder`) or a whole SPIFFE ID; anything else stands as it is. */
  sub: unknown
  aud?: unknown
  /** Seconds from now to `exp`. */
  ttlS?: number
  /** Laid over sub, aud, iat and exp; an `undefined` takes one out. */
  claims?: Record<string, unknown>
  /** Laid over alg, kid and typ. */
  header?: Record<string, unknown>
}

export type SpiffeAuthority = {
  trustDomain: string
  mintSvid(request: SvidRequest): string
  /** The bundle as JSON text: keys of use `jwt-svid`, `spiffe_sequence`, `spiffe_refresh_hint`. */
  bundle(): string
  /** Signs by a new key from now on; `keepOld` leaves the old ones in the bundle. */
  rotate(options?: { keepOld?: boolean }): void
  /** Takes every key out of the bundle. */
  revokeAll(): void
  readonly key: SigningKey
}

export function createSpiffeAuthority(options: {
  trustDomain: string
  /** Epoch milliseconds. */
  now?: () => number
  algorithm?: Algorithm
  /** What SVIDs are for when the request does not say. */
  audience?: string
}): SpiffeAuthority {
  const { trustDomain, now = Date.now, algorithm = 'ES256', audience = 'https://mayfly.test' } = options
  let sequence = 1
  let key = createSigningKey(algorithm, `${trustDomain}-1`)
  let published = [key]

  return {
    trustDomain,
    get key() {
      return key
    },
    mintSvid({ sub, aud = audience, ttlS = 300, claims = {}, header = {} }) {
      const iat = Math.floor(now() / 1000)
      const subject = typeof sub === 'string' && sub.startsWith('/') ? `spiffe://${trustDomain}${sub}` : sub
      const payload = { sub: subject, aud, iat, exp: iat + ttlS, ...claims }
      const input = `${encode({ alg: algorithm, kid: key.kid, typ: 'JWT', ...header })}.${encode(payload)}`
      return `${input}.${key.sign(Buffer.from(input)).toString('base64url')}`
    },
    bundle() {
      const keys = published.map(({ publicJwk }) => ({ ...publicJwk, use: 'jwt-svid' }))
      return JSON.stringify({ keys, spiffe_sequence: sequence, spiffe_refresh_hint: 300 })
    },
    rotate({ keepOld = true } = {}) {
      sequence += 1
      key = createSigningKey(algorithm, `${trustDomain}-${sequence}`)
      published = keepOld ? [key, ...published] : [key]
    },
    revokeAll() {
      sequence += 1
      published = []
    },
  }
}

function encode(part: Record<string, unknown>): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
