/** Compact JWS (RFC 7515) for the broker's own tokens: one header form, one spelling. */
import { LIMITS } from '../limits.ts'
import type { SigningKey } from './es256.ts'

export type JwtHeader = { alg: string; typ: string; kid: string }
export type JwtContent = { typ: string; kid: string; claims: Readonly<Record<string, unknown>> }

export async function signJwt(
  header: JwtHeader,
  claims: Readonly<Record<string, unknown>>,
  key: SigningKey,
): Promise<string> {
  const input = `${segment(JSON.stringify(header))}.${segment(JSON.stringify(claims))}`
  return `${input}.${segment(await key.sign(Buffer.from(input)))}`
}

/**
 * What one of our keys signed, or undefined. The header is compared whole with the one we would have
 * written, so nothing in it is interpreted before the signature holds.
 */
export function verifyJwt(
  jwt: string,
  alg: string,
  keyOf: (kid: string) => SigningKey | undefined,
): JwtContent | undefined {
  if (jwt.length > LIMITS.jwtBytes) return undefined
  const match = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(jwt)
  if (match === null) return undefined
  const [, protectedHeader = '', payload = '', signature = ''] = match
  const header = readHeader(protectedHeader)
  if (header === undefined || header.alg !== alg) return undefined
  const bytes = Buffer.from(signature, 'base64url')
  if (segment(bytes) !== signature) return undefined
  const key = keyOf(header.kid)
  if (key === undefined || !key.verify(Buffer.from(`${protectedHeader}.${payload}`), bytes)) return undefined
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
  return { typ: header.typ, kid: header.kid, claims }
}

function readHeader(text: string): JwtHeader | undefined {
  try {
    const { alg, typ, kid } = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    if (typeof alg !== 'string' || typeof typ !== 'string' || typeof kid !== 'string') return undefined
    return segment(JSON.stringify({ alg, typ, kid })) === text ? { alg, typ, kid } : undefined
  } catch {
    return undefined
  }
}

function segment(content: string | Uint8Array): string {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content)
  return bytes.toString('base64url')
}
