/**
 * What an ID token says of a human beside issuer and subject (OpenID Connect Core 1.0 section 5.1). It is shown, and
 * judged by groups and accounts; it identifies nobody: the mail address least, whatever `email_verified` says.
 */
import type { Proof } from '../attestor.ts'
import { accept, type Checked, refuse } from './checked.ts'
import { hasControlCharacters } from './claims.ts'
import { type JsonObject, member } from './strict-json.ts'

export type Person = NonNullable<Proof['human']>
type Account = Person['accounts'][number]

/** Which claims hold what. */
export type PersonClaims = {
  groups: string
  name: string
  email: string
  /** What the human is called at a provider, and the number of that account. */
  account?: { provider: string; login: string; id?: string } | undefined
}

const MAX_GROUPS = 256
const MAX_CHARACTERS = 512

/** @param subject the name of whom the token does not name */
export function readPerson(payload: JsonObject, claims: PersonClaims, subject: string): Checked<Person> {
  const groups = readGroups(payload, claims.groups)
  if (!groups.ok) return groups
  const email = textOf(payload, claims.email)
  const account = readAccount(payload, claims.account)
  return accept({
    name: textOf(payload, claims.name) ?? email ?? subject,
    ...(email === undefined ? {} : { email }),
    groups: groups.value,
    accounts: account === undefined ? [] : [account],
  })
}

function readAccount(payload: JsonObject, claims: PersonClaims['account']): Account | undefined {
  const login = claims && textOf(payload, claims.login)
  if (claims === undefined || login === undefined) return undefined
  const { provider } = claims
  if (claims.id === undefined) return { provider, login }
  const number = member(payload, claims.id)
  const id = Number.isSafeInteger(number) ? String(number) : textOf(payload, claims.id)
  // An account whose number should be known and is not is nobody's.
  return id === undefined ? undefined : { provider, login, id }
}

/** Absent is nobody's group; what cannot be read whole is refused, since a group may also forbid. */
function readGroups(payload: JsonObject, claim: string): Checked<readonly string[]> {
  const value = member(payload, claim)
  if (value === undefined) return accept([])
  const list = Array.isArray(value) ? value : [value]
  if (list.length > MAX_GROUPS)
    return refuse('claim_malformed', `${claim} names more than ${MAX_GROUPS} groups`)
  if (!list.every(isText)) return refuse('claim_malformed', `${claim} is not a list of usable names`)
  return accept([...new Set(list)])
}

/** Seconds since the epoch; undefined where the provider does not say. */
export function readAuthTime(payload: JsonObject): Checked<number | undefined> {
  const at = member(payload, 'auth_time')
  if (at === undefined) return accept(undefined)
  if (Number.isSafeInteger(at)) return accept(Number(at))
  return refuse('claim_malformed', 'auth_time is not a whole number of seconds')
}

/** Undefined where the token has none. */
export function readNonce(payload: JsonObject): Checked<string | undefined> {
  const nonce = textOf(payload, 'nonce')
  if (nonce === undefined && member(payload, 'nonce') !== undefined)
    return refuse('claim_malformed', 'nonce is not a usable string')
  return accept(nonce)
}

export function textOf(payload: JsonObject, name: string): string | undefined {
  const value = member(payload, name)
  return isText(value) ? value : undefined
}

function isText(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value !== '' &&
    value.length <= MAX_CHARACTERS &&
    !hasControlCharacters(value)
  )
}
