/**
 * Compact JWS (RFC 7515 section 7.1), read so that one token has one spelling. jose accepts padding, white
 * space and unused low bits in the last character of a segment; all of these are refused here.
 */
import type { Evidence, JwtEvidence, Observe } from '../attestor.ts'
import { ALGORITHMS, type Algorithm } from './algorithms.ts'
import { accept, type Checked, refuse } from './checked.ts'
import {
  type JsonObject,
  type JsonValue,
  member,
  parseStrictJsonObject,
  StrictJsonError,
} from './strict-json.ts'
import { shown, tell } from './tell.ts'

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

export function parseCompactJws(token: string): Checked<CompactJws> {
  if (token.length > MAX_TOKEN_BYTES) return refuse('malformed', `longer than ${MAX_TOKEN_BYTES} bytes`)
  const segments = segmentsOf(token)
  if (segments === undefined) return refuse('malformed', 'not three base64url segments')
  const [header, payload, signature] = segments
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
  const payload = token.length > MAX_TOKEN_BYTES ? undefined : segmentsOf(token)?.[1]
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
  if (evidence.type !== 'jwt') return undefined
  const parsed = parseEvidence(evidence)
  return parsed.ok ? member(parsed.value.payload, name) : peekClaim(evidence.token, name)
}

/** Parsed once, however many attestors look whether it is theirs before one verifies it. */
export function parseEvidence(evidence: JwtEvidence): Checked<CompactJws> {
  const { token } = evidence
  const before = parsedBefore.get(evidence)
  if (before?.token === token) return before.parsed
  const parsed = parseCompactJws(token)
  parsedBefore.set(evidence, { token, parsed })
  return parsed
}

const parsedBefore = new WeakMap<JwtEvidence, { token: string; parsed: Checked<CompactJws> }>()

export type JoseHeader = { alg: Algorithm; kid?: string }
export type HeaderRules = {
  algorithms: readonly Algorithm[]
  /** Lower case; a header without `typ` passes too, unless it is required. */
  types: readonly string[]
  typeRequired?: true
  /** When given, any other header parameter is refused; otherwise only the dangerous ones are. */
  closedSet?: readonly string[]
}

/** Parameters that change what is verified, or bring a key of the sender's choice (RFC 7515, 7516, 7797). */
const DANGEROUS = ['crit', 'b64', 'zip', 'jwk', 'jku', 'x5u', 'x5c']

export function checkHeader(header: JsonObject, rules: HeaderRules, observe?: Observe): Checked<JoseHeader> {
  const members = tell(observe, 'header', checkMembers(header, rules), () => ({
    found: Object.keys(header).map(shown).join(', '),
  }))
  if (!members.ok) return members
  const typ = member(header, 'typ')
  const type = tell(observe, 'type', checkType(typ, rules), () => ({
    expected: `${rules.types.join(' or ')}${rules.typeRequired ? '' : ', or none'}`,
    found: shown(typ),
  }))
  if (!type.ok) return type
  const named = member(header, 'alg')
  const alg = tell(observe, 'algorithm', checkAlgorithm(named, rules), () => ({
    ...{ expected: rules.algorithms.join(' or '), found: shown(named) },
  }))
  if (!alg.ok) return alg
  const kid = member(header, 'kid')
  if (kid === undefined) return accept({ alg: alg.value })
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KID_CHARACTERS) {
    const unusable = refuse('key_unknown', 'kid is not a string of a usable length')
    return tell(observe, 'key', unusable, () => ({ found: `kid ${shown(kid)}` }))
  }
  return accept({ alg: alg.value, kid })
}

function checkMembers(header: JsonObject, { closedSet }: HeaderRules): Checked<undefined> {
  for (const name of Object.keys(header)) {
    if (DANGEROUS.includes(name)) return refuse('header_not_allowed', `header parameter ${name}`)
    if (closedSet !== undefined && !closedSet.includes(name))
      return refuse('header_not_allowed', `a header parameter other than ${closedSet.join(', ')}`)
  }
  return accept(undefined)
}

function checkType(typ: JsonValue | undefined, { types, typeRequired }: HeaderRules): Checked<undefined> {
  if (typ === undefined && typeRequired)
    return refuse('type_not_allowed', `no typ, where ${types[0]} is needed`)
  if (typ === undefined || (typeof typ === 'string' && types.includes(typ.toLowerCase())))
    return accept(undefined)
  return refuse('type_not_allowed', `typ is not one of ${types.join(', ')}`)
}

function checkAlgorithm(named: JsonValue | undefined, { algorithms }: HeaderRules): Checked<Algorithm> {
  const alg = ALGORITHMS.find(algorithm => algorithm === named)
  if (alg !== undefined && algorithms.includes(alg)) return accept(alg)
  return refuse('algorithm_not_allowed', `alg is not one of ${algorithms.join(', ')}`)
}

/** None of them empty; whether they are base64url is not looked at. */
function segmentsOf(token: string): [header: string, payload: string, signature: string] | undefined {
  const [header, payload, signature, more] = token.split('.', 4)
  return header && payload && signature && more === undefined ? [header, payload, signature] : undefined
}

/** Nothing but what base64url would write for these bytes. */
function decodeCanonical(segment: string): Uint8Array | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}
