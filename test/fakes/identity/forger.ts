/** Tokens as nobody should make them: any header, any payload, as objects or as text that is no JSON at all. */
import { createHmac } from 'node:crypto'
import type { Algorithm } from '../../../attestors/shared/algorithms.ts'
import { createSigningKey, type SigningKey } from './signing-key.ts'

/** An object is written as JSON; text and bytes stand as they are. */
export type Part = Record<string, unknown> | string | Uint8Array

export type Forger = {
  key: SigningKey
  /** The key set a victim would fetch; `extra` keys come after the forger's own. */
  jwks(...extra: Record<string, unknown>[]): { keys: Record<string, unknown>[] }
  /** Signed by the forger's key. An object header is laid over `{ alg, kid, typ: 'JWT' }`; undefined drops a member. */
  token(payload: Part, header?: Part): string
  /** Signed by HMAC with any secret, `alg: HS256`: the confusion of a public key with a shared one. */
  hmacToken(payload: Part, secret: string | Uint8Array): string
  /** `alg: none` in the given spelling; the signature is empty unless one is given. */
  unsignedToken(payload: Part, alg?: string, signature?: string): string
}

export function createForger(
  options: { algorithm?: Algorithm; kid?: string; modulusLength?: number } = {},
): Forger {
  const { algorithm = 'ES256', kid = 'forged', ...strength } = options
  const key = createSigningKey(algorithm, kid, strength)
  return {
    key,
    jwks: (...extra) => ({ keys: [key.publicJwk, ...extra] }),
    token(payload, header = {}) {
      const whole = isObject(header) ? { alg: algorithm, kid, typ: 'JWT', ...header } : header
      const input = `${segment(whole)}.${segment(payload)}`
      return `${input}.${key.sign(Buffer.from(input)).toString('base64url')}`
    },
    hmacToken(payload, secret) {
      const input = `${segment({ alg: 'HS256', kid, typ: 'JWT' })}.${segment(payload)}`
      return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
    },
    unsignedToken: (payload, alg = 'none', signature = '') =>
      `${segment({ alg, kid, typ: 'JWT' })}.${segment(payload)}.${signature}`,
  }
}

function segment(part: Part): string {
  const bytes = isObject(part) ? JSON.stringify(part) : part
  return Buffer.from(bytes as string).toString('base64url')
}

function isObject(part: Part): part is Record<string, unknown> {
  return typeof part === 'object' && !(part instanceof Uint8Array)
}
