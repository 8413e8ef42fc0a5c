/**
 * Compact JWS (RFC 7515 section 7.1), read so that one token has one spelling. jose accepts padding, white
 * space and unused low bits in the last character of a segment; all of these are refused here.
 */
import type { Evidence } from '../attestor.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { accept, type Checked, refuse } from './checked.ts'
import { type JsonObject, member, parseStrictJsonObject, StrictJsonError } from './strict-json.ts'

export const MAX_TOKEN_BYTES = 16 * 1024
const MAX_KID_CHARACTERS = 512

export type CompactJws = {
  /** Unverified. */
  header: JsonObject
  /** Unverified. */
  payload: JsonObject
  /** `header.payload`, the bytes that are signed. */
  signingInput: string
}

const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/

export function parseCompactJws(token: string): Checked<CompactJws> {
  if (token.length > MAX_TOKEN_BYTES) return refuse('malformed', `longer than ${MAX_TOKEN_BYTES} bytes`)
  const [, header, payload, signature] = COMPACT.exec(token) ?? []
  if (header === undefined || payload === undefined || signature === undefined) {
    return refuse('malformed', 'not three base64url segments')
  }
  const headerBytes = decodeCanonical(header)
  const payloadBytes = decodeCanonical(payload)
  if (headerBytes === undefined || payloadBytes === undefined || decodeCanonical(signature) === undefined) {
    return refuse('malformed', 'a segment is not canonical base64url')
  }
  try {
    return accept({
      header: parseStrictJsonObject(headerBytes),
      payload: parseStrictJsonObject(payloadBytes),
      signingInput: `${header}.${payload}`,
    })
  } catch (error) {
    if (error instanceof StrictJsonError) return refuse('malformed', `strict JSON: ${error.message}`)
    throw error
  }
}

/**
 * One claim of something that looks like a JWT, for routing only: nothing about it is verified, and whether
 * the token is well-formed is for the attestor to say that it is routed to.
 */
export function peekClaim(token: string, name: string): unknown {
  const payload = token.length > MAX_TOKEN_BYTES ? undefined : COMPACT.exec(token)?.[2]
  if (payload === undefined) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    if (typeof claims !== 'object' || claims === null || !Object.hasOwn(claims, name)) return undefined
    return (claims as Record<string, unknown>)[name]
  } catch {
    return undefined
  }
}

/** The same of evidence; nothing of what is no JWT. */
export function peekEvidence(evidence: Evidence, name: string): unknown {
  return evidence.type === 'jwt' ? peekClaim(evidence.token, name) : undefined
}

export type JoseHeader = { alg: Algorithm; kid?: string }
export type HeaderRules = {
  algorithms: readonly Algorithm[]
  /** Lower case; a header without `typ` passes too. */
  types: readonly string[]
  /** When given, any other header parameter is refused; otherwise only the dangerous ones are. */
  closedSet?: readonly string[]
}

/** Parameters that change what is verified, or bring a key of the sender's choice (RFC 7515, 7516, 7797). */
const DANGEROUS = ['crit', 'b64', 'zip', 'jwk', 'jku', 'x5u', 'x5c']

export function checkHeader(header: JsonObject, rules: HeaderRules): Checked<JoseHeader> {
  for (const name of Object.keys(header)) {
    if (DANGEROUS.includes(name)) return refuse('header_not_allowed', `header parameter ${name}`)
    if (rules.closedSet !== undefined && !rules.closedSet.includes(name)) {
      return refuse('header_not_allowed', `a header parameter other than ${rules.closedSet.join(', ')}`)
    }
  }
  const typ = member(header, 'typ')
  if (typ !== undefined && (typeof typ !== 'string' || !rules.types.includes(typ.toLowerCase()))) {
    return refuse('type_not_allowed', `typ is not one of ${rules.types.join(', ')}`)
  }
  const alg = ALGORITHMS.find(algorithm => algorithm === member(header, 'alg'))
  if (alg === undefined || !rules.algorithms.includes(alg)) {
    return refuse('algorithm_not_allowed', `alg is not one of ${rules.algorithms.join(', ')}`)
  }
  const kid = member(header, 'kid')
  if (kid === undefined) return accept({ alg })
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_CHARACTERS) {
    return refuse('key_unknown', 'kid is not a string of a usable length')
  }
  return accept({ alg, kid })
}

function decodeCanonical(segment: string): Uint8Array | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}
