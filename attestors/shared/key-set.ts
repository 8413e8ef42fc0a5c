/**
 * A key set (RFC 7517) as a list of keys that may verify evidence and a list of those that may not, with the
 * reason. Only the former are ever used; the latter let a refusal say why.
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import { type Algorithm, fitsAlgorithm } from './algorithms.ts'
import { accept, type Checked, refuse } from './checked.ts'
import type { JoseHeader } from './compact-jws.ts'
import { rsaWeakness } from './key-strength.ts'
import { isJsonObject, type JsonObject, type JsonValue, member } from './strict-json.ts'

export const MAX_KEYS = 256

/** Where an attestor gets its keys. `find` throws AttestationUnavailable when it could not look. */
export type KeySource = {
  find(header: JoseHeader): Promise<Checked<KeyObject>>
  /** What it has now; looks nowhere. */
  status?(): KeySourceStatus
}

export type KeySourceStatus = {
  /** An address or a file. */
  from: string
  /** Epoch ms; absent where nothing was read yet. */
  readAtMs?: number
  /** Keys that may be used. */
  keys: number
  /** Why the last attempt to read it failed. */
  failure?: string
  /** By how much the server's clock was ahead of ours when it was read, ms; to the second, as HTTP tells it. */
  serverAheadMs?: number
}

export type KeySet = {
  usable: readonly UsableKey[]
  unusable: readonly { kid: string | undefined; reason: string }[]
}
type UsableKey = { kid: string | undefined; kty: string; crv?: string; alg?: string; key: KeyObject }

export type KeySetRules = {
  algorithms: readonly Algorithm[]
  /** The value of `use` that a key must have; `mayBeAbsent` also takes a key without one. */
  use: { value: string; mayBeAbsent: boolean }
}

/** @throws Error when the document is not a key set at all. A key that is no good is only left out. */
export function readKeySet(document: JsonObject, rules: KeySetRules): KeySet {
  const keys = member(document, 'keys')
  if (!Array.isArray(keys)) throw new Error('the key set has no array of keys')
  if (keys.length > MAX_KEYS) throw new Error(`the key set has more than ${MAX_KEYS} keys`)
  const usable: UsableKey[] = []
  const unusable: { kid: string | undefined; reason: string }[] = []
  for (const jwk of keys) {
    if (!isJsonObject(jwk)) continue
    const read = readKey(jwk, rules)
    if (typeof read === 'string') unusable.push({ kid: text(member(jwk, 'kid')), reason: read })
    else usable.push(read)
  }
  return { usable, unusable }
}

/**
 * The one key for a header. With a kid: the only usable key of that kid. Without: the only usable key that
 * fits the algorithm. Two that fit are as unknown as none.
 */
export function pickKey(set: KeySet, header: JoseHeader): Checked<KeyObject> {
  const named = header.kid === undefined ? set.usable : set.usable.filter(({ kid }) => kid === header.kid)
  const fitting = named.filter(
    key => fitsAlgorithm(key, header.alg) && (key.alg === undefined || key.alg === header.alg),
  )
  const [only] = fitting
  if (only !== undefined && fitting.length === 1) return accept(only.key)
  if (fitting.length > 1) return refuse('key_unknown', `${fitting.length} keys fit`)
  if (header.kid === undefined) return refuse('key_unknown', 'no kid, and no key fits the algorithm')
  if (named.length > 0) return refuse('key_not_acceptable', 'the key of this kid is not for this algorithm')
  const dropped = set.unusable.find(({ kid }) => kid === header.kid)
  if (dropped !== undefined) return refuse('key_not_acceptable', dropped.reason)
  return refuse('key_unknown', 'no key of this kid')
}

const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** @returns the key, or the reason why it must not be used. */
function readKey(jwk: JsonObject, rules: KeySetRules): UsableKey | string {
  const kty = text(member(jwk, 'kty'))
  const crv = text(member(jwk, 'crv'))
  const alg = text(member(jwk, 'alg'))
  if (kty === 'oct') return 'symmetric key'
  if (PRIVATE_MEMBERS.some(name => Object.hasOwn(jwk, name))) return 'published with its private part'
  if (kty === undefined || !rules.algorithms.some(algorithm => fitsAlgorithm({ kty, crv }, algorithm))) {
    return 'key type not used by an allowed algorithm'
  }
  if (Object.hasOwn(jwk, 'alg') && !rules.algorithms.some(allowed => allowed === alg)) {
    return 'marked for an algorithm that is not allowed'
  }
  const use = member(jwk, 'use')
  if (use !== rules.use.value && !(use === undefined && rules.use.mayBeAbsent))
    return 'marked for another use'
  const operations = member(jwk, 'key_ops')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    return 'marked for another use'
  }
  return importKey(jwk, { kid: text(member(jwk, 'kid')), kty, ...(crv && { crv }), ...(alg && { alg }) })
}

function importKey(jwk: JsonObject, described: Omit<UsableKey, 'key'>): UsableKey | string {
  const publicPart = pickMembers(jwk, ['kty', 'crv', 'x', 'y', 'n', 'e'])
  if (described.kty === 'RSA') {
    const weakness = rsaWeakness(publicPart.n ?? '', publicPart.e ?? '')
    if (weakness !== undefined) return weakness
  }
  try {
    return { ...described, key: createPublicKey({ key: publicPart, format: 'jwk' }) }
  } catch {
    return 'not a valid public key'
  }
}

function pickMembers(jwk: JsonObject, names: readonly string[]): Record<string, string> {
  const entries = names.map(name => [name, member(jwk, name)] as const)
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
