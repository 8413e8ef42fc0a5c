/**
 * What policies may speak of in this installation: its issuers with the types of what they touch, and the claims
 * that its attestors type. The schema is generated from it, and requests are put into its words.
 */
import type { Attestor } from '../../../attestors/attestor.ts'
import type { Issuer } from '../../../issuers/issuer.ts'

export type ClaimType = 'string' | 'integer' | 'boolean' | 'string_list'

/** Plain data: it crosses into the worker that judges. Sorted, so that one installation has one text. */
export type Vocabulary = {
  /** By configured name: each type that the issuer's asks touch, and the types of what those may lie in. */
  issuers: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
  /** Claims that policies read as `context.claims.NAME`. All others are tags of `context.identity`, as text. */
  claims: Readonly<Record<string, ClaimType>>
}

/**
 * Plugins that declare nothing take part all the same: what they touch is a `Mayfly::Resource` that says its type,
 * and their claims are tags of `context.identity`. So are claims that two attestors give different types, since
 * one attribute has one type.
 */
export function vocabularyOf(
  attestors: ReadonlyMap<string, Pick<Attestor, 'claimTypes' | 'posture'>>,
  issuers: ReadonlyMap<string, Pick<Issuer, 'resourceTypes'>>,
): Vocabulary {
  return {
    issuers: Object.fromEntries(
      sorted([...issuers]).map(([name, { resourceTypes = {} }]) => [name, usableTypes(resourceTypes)]),
    ),
    claims: agreedClaims([...attestors].map(claimsOf)),
  }
}

/** Of surroundings, under the name of whoever vouches for them. */
function claimsOf([name, { claimTypes = {}, posture }]: [string, Pick<Attestor, 'claimTypes' | 'posture'>]) {
  if (posture !== true) return claimTypes
  return Object.fromEntries(Object.entries(claimTypes).map(([claim, type]) => [`${name}.${claim}`, type]))
}

/** Names of the schema's own; a plugin's type of such a name is a `Mayfly::Resource` like an undeclared one. */
const TAKEN = new Set([
  ...['Agent', 'Team', 'Human', 'Group', 'Resource', 'Identity', 'Action'],
  ...['Approval', 'AskContext', 'Claims', 'Held'],
  ...['Bool', 'Boolean', 'Long', 'String', 'Set', 'Record', 'Entity', 'Extension'],
])

function isUsableType(name: string): boolean {
  return /^[A-Z][A-Za-z0-9]{0,62}$/.test(name) && !TAKEN.has(name)
}

/** Members that begin with two underscores mean something else in Cedar's JSON. */
export function isUsableClaim(name: string): boolean {
  return name.length <= 256 && !name.startsWith('__') && !/\p{Cc}/u.test(name) && name.isWellFormed()
}

function usableTypes(declared: Readonly<Record<string, readonly string[]>>): Vocabulary['issuers'][string] {
  const usable = sorted(Object.entries(declared)).filter(([type]) => isUsableType(type))
  return Object.fromEntries(usable.map(([type, within]) => [type, within.filter(isUsableType).toSorted()]))
}

function agreedClaims(declared: readonly Readonly<Record<string, ClaimType>>[]): Vocabulary['claims'] {
  const types = new Map<string, ClaimType | 'disagreed'>()
  for (const [name, type] of declared.flatMap(Object.entries<ClaimType>)) {
    const before = types.get(name)
    types.set(name, before === undefined || before === type ? type : 'disagreed')
  }
  const agreed = [...types].flatMap(([name, type]): [string, ClaimType][] =>
    type === 'disagreed' || !isUsableClaim(name) ? [] : [[name, type]],
  )
  return Object.fromEntries(sorted(agreed))
}

function sorted<T>(entries: readonly [string, T][]): [string, T][] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1))
}
