/**
 * A DPoP proof (RFC 9449 section 4.3): a request signed by a key that the sender holds. Pure: whether it was seen
 * before, and what the key has to be, is for the caller.
 */
import { createHash, type JsonWebKey, type KeyObject } from 'node:crypto'
import { ALGORITHMS } from '../../../attestors/shared/algorithms.ts'
import { accept, type Checked, refuse } from '../../../attestors/shared/checked.ts'
import { LEEWAY_S, textClaim } from '../../../attestors/shared/claims.ts'
import { parseCompactJws } from '../../../attestors/shared/compact-jws.ts'
import { pickKey, readKeySet } from '../../../attestors/shared/key-set.ts'
import { isJsonObject, type JsonObject, member } from '../../../attestors/shared/strict-json.ts'
import { checkSignature } from '../../../attestors/shared/verify-jwt.ts'

/** Cap on the time since `iat`. */
const PROOF_MAX_AGE_S = 300
/** Above it nobody needs to remember a proof: it is refused for its age. */
export const PROOF_REMEMBERED_MS = (PROOF_MAX_AGE_S + 2 * LEEWAY_S) * 1_000
const MAX_CLAIM_CHARACTERS = 512
const HEADER = ['typ', 'alg', 'jwk']

/** The request as it arrived. */
export type ProvenRequest = {
  method: string
  /** By the broker's public URL; a query is not looked at. */
  url: string
  /** The access token beside it, where there is one. */
  token?: string
}

export type DpopProof = {
  /** RFC 7638 thumbprint of the key, SHA-256, base64url. */
  jkt: string
  /** Names this proof, whatever its spelling. */
  use: string
  nonce: string | undefined
}

export async function readDpopProof(
  proof: string,
  request: ProvenRequest,
  nowMs: number,
): Promise<Checked<DpopProof>> {
  // 1. Its form, and a public key of its own.
  const parsed = parseCompactJws(proof)
  if (!parsed.ok) return parsed
  const { header, payload } = parsed.value
  const unknown = Object.keys(header).find(name => !HEADER.includes(name))
  if (unknown !== undefined)
    return refuse('header_not_allowed', 'a header parameter other than typ, alg, jwk')
  if (member(header, 'typ') !== 'dpop+jwt') return refuse('type_not_allowed', 'typ is not dpop+jwt')
  const alg = ALGORITHMS.find(one => one === member(header, 'alg'))
  if (alg === undefined) return refuse('algorithm_not_allowed', `alg is not one of ${ALGORITHMS.join(', ')}`)
  const jwk = member(header, 'jwk')
  if (!isJsonObject(jwk)) return refuse('key_unknown', 'the header has no jwk')
  const key = pickKey(
    readKeySet({ keys: [jwk] }, { algorithms: [alg], use: { value: 'sig', mayBeAbsent: true } }),
    { alg, ...(typeof jwk.kid === 'string' ? { kid: jwk.kid } : {}) },
  )
  if (!key.ok) return refuse('key_not_acceptable', 'jwk is no public key for its alg')

  // 2. The signature, by that key.
  const signed = await checkSignature(proof, { alg }, key.value)
  if (!signed.ok) return signed

  // 3. This request, now.
  const right = checkRequest(payload, request)
  if (!right.ok) return right
  const timely = checkAge(payload, nowMs)
  if (!timely.ok) return timely
  const jti = textClaim(payload, 'jti', MAX_CLAIM_CHARACTERS)
  if (!jti.ok) return jti
  const nonce = member(payload, 'nonce')
  if (nonce !== undefined && typeof nonce !== 'string') return refuse('claim_malformed', 'nonce is no text')
  const jkt = thumbprintOf(key.value)
  return accept({ jkt, use: digest(JSON.stringify([jkt, jti.value])), nonce })
}

function checkRequest(payload: JsonObject, request: ProvenRequest): Checked<undefined> {
  const method = textClaim(payload, 'htm', 20)
  if (!method.ok) return method
  if (method.value !== request.method) return refuse('claim_malformed', 'htm is another method')
  const url = textClaim(payload, 'htu', 2048)
  if (!url.ok) return url
  const here = placeOf(request.url)
  if (placeOf(url.value) !== here)
    return refuse('claim_malformed', `htu is another URL: expected ${here}, by the public_url of the broker`)
  const hash = member(payload, 'ath')
  if (request.token === undefined) {
    if (hash !== undefined) return refuse('claim_malformed', 'ath stands for a token that is not there')
  } else if (hash !== digest(request.token)) return refuse('claim_malformed', 'ath is not of this token')
  return accept(undefined)
}

/** Scheme, host and path, normalised as RFC 3986 section 6.2 has it. */
function placeOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { origin, pathname } = new URL(text)
  return `${origin}${pathname}`
}

function checkAge(payload: JsonObject, nowMs: number): Checked<undefined> {
  const iat = member(payload, 'iat')
  if (iat === undefined) return refuse('claim_missing', 'iat')
  if (typeof iat !== 'number' || !Number.isFinite(iat)) return refuse('claim_malformed', 'iat is no number')
  const ageS = nowMs / 1000 - iat
  if (ageS < -LEEWAY_S) return refuse('not_yet_valid', `${Math.ceil(-ageS)} s ahead of the broker's clock`)
  if (ageS > PROOF_MAX_AGE_S + LEEWAY_S) return refuse('too_old', `made ${Math.floor(ageS)} s ago`)
  return accept(undefined)
}

/** The required members in the order of their names (RFC 7638 section 3.2). */
const MEMBERS: Readonly<Record<string, readonly (keyof JsonWebKey)[]>> = {
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
  RSA: ['e', 'kty', 'n'],
}

/** Of the key, and not of how its sender wrote it down: padding makes no other key of it. */
function thumbprintOf(key: KeyObject): string {
  const jwk = key.export({ format: 'jwk' })
  const names = MEMBERS[jwk.kty ?? ''] ?? []
  return digest(JSON.stringify(Object.fromEntries(names.map(name => [name, jwk[name]]))))
}

function digest(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('base64url')
}
