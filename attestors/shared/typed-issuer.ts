/**
 * Attestors of one well-known OIDC issuer each: a table of claims with who decides them, and what follows from it.
 * The checks are those of every ID token (`verify-jwt.ts`).
 */
import type { Attestor, AttestorDeps, ClaimValue, Proof, RuleFacts, Verdict } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { accept, type Checked, refuse } from './checked.ts'
import { hasControlCharacters } from './claims.ts'
import { namesAudience, namesIssuer, oidcKeys, oidcProfile } from './oidc-profile.ts'
import { reuseNotices } from './settings.ts'
import { isJsonObject, type JsonObject, type JsonValue, member } from './strict-json.ts'
import { tell } from './tell.ts'
import { verifyEvidence } from './verify-jwt.ts'

const MAX_CLAIM_CHARACTERS = 2048
const MAX_LIST_ENTRIES = 256

export const CLAIM_TYPES = ['string', 'integer', 'boolean', 'string_list', 'json'] as const

/** One claim, under the name that rules and policies have for it. */
export type ClaimSpec = {
  /** `json` keeps a nested claim as compact JSON text with the members in the order of the token. */
  type: (typeof CLAIM_TYPES)[number]
  /** Where it stands in the token; under its own name where this is absent. */
  at?: readonly string[]
  required?: true
  /** What a text must look like: ids have one form. */
  form?: RegExp
}

/** The claims of a type, as they are written in its file. */
export type ClaimTable = Readonly<Record<string, ClaimSpec>>

export type TypedIssuer = {
  issuer: string
  audience: string
  algorithms: readonly Algorithm[]
  /** Given: no discovery. */
  jwksUri?: string | undefined
  jwksHosts?: readonly string[] | undefined
  maxLifetimeS: number
  maxAgeS: number
  requireTokenId: boolean
  /** False where workloads are served one token more than once. */
  singleUse: boolean
  /** Of what is not single use. */
  reuse?: 'pinned' | 'open'
  claims: ClaimTable
  /** Claims named by somebody else, such as tags: all that this makes of a payload is passed on as text. */
  open?: (payload: JsonObject) => Checked<Readonly<Record<string, string>>>
  /** What must hold among the claims beyond their types, and what follows from them. */
  judge?: (claims: Claims, subject: string) => Checked<Partial<Pick<Proof, 'work' | 'mustName'>>>
}

export type Claims = Readonly<Record<string, ClaimValue>>

/** @param deps `fetch` may be one that trusts another authority than the default. */
export function openTypedIssuer(chosen: TypedIssuer, deps: AttestorDeps): Attestor {
  const keys = oidcKeys(chosen, deps)
  const profile = {
    ...oidcProfile(chosen, {
      audience: chosen.audience,
      maxLifetimeS: chosen.maxLifetimeS,
      maxAgeS: chosen.maxAgeS,
      requireIssuedAt: true,
      requireTokenId: chosen.requireTokenId,
    }),
    singleUse: chosen.singleUse,
  }
  return {
    claimTypes: typesOf(chosen.claims),
    notices: chosen.reuse === undefined ? [] : reuseNotices(chosen.reuse),
    recognises: evidence => namesIssuer(evidence, chosen.issuer),
    isFor: evidence => namesAudience(evidence, chosen.audience),
    takes: { issuer: chosen.issuer, audience: chosen.audience },
    async attest(evidence, observe): Promise<Verdict> {
      const verified = await verifyEvidence(evidence, profile, keys, deps.now, observe)
      if (!verified.ok) return verified
      const { subject, payload, replay: used } = verified.value
      const typed = tell(observe, 'claims', allClaims(payload, chosen))
      if (!typed.ok) return typed
      const claims = typed.value
      const judged = tell(observe, 'consistency', chosen.judge?.(claims, subject) ?? accept({}))
      if (!judged.ok) return judged
      const replay = chosen.reuse === undefined ? used : { ...used, reuse: chosen.reuse }
      return { ok: true, proof: { issuer: chosen.issuer, subject, claims, replay, ...judged.value } }
    },
  }
}

export function typesOf(table: ClaimTable): NonNullable<Attestor['claimTypes']> {
  return Object.fromEntries(
    Object.entries(table).map(([name, { type }]) => [name, type === 'json' ? 'string' : type]),
  )
}

/** For `rules` of a type whose claims are the same whatever its settings. */
export function ruleFacts(table: ClaimTable, facts: Omit<RuleFacts, 'claimTypes'>): () => RuleFacts {
  return () => ({ claimTypes: typesOf(table), ...facts })
}

function allClaims(payload: JsonObject, { claims, open }: TypedIssuer): Checked<Claims> {
  const typed = readClaims(payload, claims)
  if (!typed.ok) return typed
  const named = open?.(payload) ?? accept({})
  return named.ok ? accept({ ...named.value, ...typed.value }) : named
}

export function readClaims(payload: JsonObject, table: ClaimTable): Checked<Claims> {
  const claims: [string, ClaimValue][] = []
  for (const [name, spec] of Object.entries(table)) {
    const value = valueAt(payload, spec.at ?? [name])
    if (value === undefined && spec.required) return refuse('claim_missing', name)
    if (value === undefined) continue
    const typed = READERS[spec.type](value)
    if (typed === undefined) return refuse('claim_malformed', `${name} is not a usable ${spec.type}`)
    // An id that is empty says nothing, as a missing one does.
    if (typed === '' && spec.form !== undefined && !spec.required) continue
    if ((typed === '' && spec.required) || spec.form?.test(String(typed)) === false)
      return refuse('claim_malformed', `${name} is not in its form`)
    claims.push([name, typed])
  }
  return accept(Object.fromEntries(claims))
}

function valueAt(payload: JsonObject, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = payload
  for (const name of path) {
    if (!isJsonObject(value)) return undefined
    value = member(value, name)
  }
  return value
}

const READERS: Record<ClaimSpec['type'], (value: JsonValue) => ClaimValue | undefined> = {
  string: value => (isText(value) ? value : undefined),
  integer: value => (typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined),
  boolean: value => (typeof value === 'boolean' ? value : undefined),
  string_list: value =>
    Array.isArray(value) && value.length <= MAX_LIST_ENTRIES && value.every(isText) ? value : undefined,
  json: value => JSON.stringify(value, (_name, inner) => (typeof inner === 'bigint' ? `${inner}` : inner)),
}

export function isText(value: JsonValue | undefined): value is string {
  return typeof value === 'string' && value.length <= MAX_CLAIM_CHARACTERS && !hasControlCharacters(value)
}
