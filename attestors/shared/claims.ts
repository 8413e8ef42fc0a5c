/**
 * The registered claims (RFC 7519 section 4.1), checked in order, each failure named. jose is not asked:
 * it takes an `exp` of 1e400, a missing one, an `iat` in the future, and several audiences.
 */
import type { Observe } from '../attestor.ts'
import { accept, type Checked, refuse } from './checked.ts'
import { type JsonObject, type JsonValue, member } from './strict-json.ts'
import { shown, tell, timeShown } from './tell.ts'

/** How far an issuer's clock may be off ours. */
export const LEEWAY_S = 60
export const MAX_SUBJECT_CHARACTERS = 2048
const MAX_JTI_CHARACTERS = 1024
/** 9999-12-31T23:59:59Z: beyond it a time is a mistake or an attack. */
const MAX_NUMERIC_DATE_S = 253_402_300_799

export type ClaimRules = {
  /** The one audience, alone. A token for us and somebody else could have come from the somebody else. */
  audience: string
  /** Cap on `exp - iat`; without `iat`, on what is left until `exp`. */
  maxLifetimeS: number
  /** Cap on the time since `iat`. */
  maxAgeS: number
  requireIssuedAt: boolean
  requireTokenId: boolean
}

export type RegisteredClaims = { subject: string; expiresAtS: number; issuedAtS?: number; tokenId?: string }

export function checkClaims(
  payload: JsonObject,
  rules: ClaimRules,
  nowMs: number,
  observe?: Observe,
): Checked<RegisteredClaims> {
  const found = (name: string) => () => ({ found: shown(member(payload, name)) })
  const audience = tell(observe, 'audience', checkAudience(payload, rules.audience), () => ({
    ...{ expected: shown(rules.audience), ...found('aud')() },
  }))
  if (!audience.ok) return audience
  const subject = tell(observe, 'subject', textClaim(payload, 'sub', MAX_SUBJECT_CHARACTERS), found('sub'))
  if (!subject.ok) return subject
  const times = tell(observe, 'times', readTimes(payload, rules), () => ({
    found: ['iat', 'nbf', 'exp'].map(name => `${name} ${shown(member(payload, name))}`).join(', '),
  }))
  if (!times.ok) return times
  const timely = checkTimes(times.value, rules, nowMs, observe)
  if (!timely.ok) return timely
  const { exp: expiresAtS, iat } = times.value
  const registered = {
    ...{ subject: subject.value, expiresAtS },
    ...(iat === undefined ? {} : { issuedAtS: iat }),
  }
  if (member(payload, 'jti') === undefined && !rules.requireTokenId) {
    return accept(registered)
  }
  const tokenId = tell(observe, 'token_id', textClaim(payload, 'jti', MAX_JTI_CHARACTERS), found('jti'))
  if (!tokenId.ok) return tokenId
  return accept({ ...registered, tokenId: tokenId.value })
}

/** `iss`, letter for letter. It comes before the signature, because it says whose keys to look at. */
export function checkIssuer(payload: JsonObject, issuer: string): Checked<string> {
  const claimed = member(payload, 'iss')
  if (claimed === undefined) return refuse('claim_missing', 'iss')
  if (typeof claimed !== 'string') return refuse('claim_malformed', 'iss is not a string')
  if (claimed !== issuer) return refuse('issuer_not_trusted', 'iss is not the configured issuer')
  return accept(issuer)
}

/** A non-empty string without control characters: it will stand in records and on terminals. */
export function textClaim(payload: JsonObject, name: string, maxCharacters: number): Checked<string> {
  const value = member(payload, name)
  if (value === undefined) return refuse('claim_missing', name)
  if (typeof value !== 'string') return refuse('claim_malformed', `${name} is not a string`)
  if (value === '' || value.length > maxCharacters) {
    return refuse('claim_malformed', `${name} is not 1 to ${maxCharacters} characters`)
  }
  if (hasControlCharacters(value)) return refuse('claim_malformed', `${name} holds control characters`)
  return accept(value)
}

export function hasControlCharacters(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

function checkAudience(payload: JsonObject, audience: string): Checked<undefined> {
  const claimed = member(payload, 'aud')
  if (claimed === undefined) return refuse('claim_missing', 'aud')
  const list = Array.isArray(claimed) ? claimed : [claimed]
  if (!list.every((entry): entry is string => typeof entry === 'string')) {
    return refuse('claim_malformed', 'aud is not a string or an array of strings')
  }
  if (list.length !== 1) return refuse('audience_wrong', `aud has ${list.length} values, not one`)
  if (list[0] !== audience) return refuse('audience_wrong', 'aud is not the configured audience')
  return accept(undefined)
}

type Times = { exp: number; iat: number | undefined; nbf: number | undefined }

function readTimes(payload: JsonObject, rules: ClaimRules): Checked<Times> {
  const times: Record<keyof Times, number | undefined> = { exp: undefined, iat: undefined, nbf: undefined }
  for (const name of ['exp', 'iat', 'nbf'] as const) {
    const value = member(payload, name)
    if (value !== undefined && !isNumericDate(value)) {
      return refuse('claim_malformed', `${name} is not a whole number of seconds in range`)
    }
    times[name] = value
  }
  const { exp, iat, nbf } = times
  if (exp === undefined) return refuse('claim_missing', 'exp')
  if (iat === undefined && rules.requireIssuedAt) return refuse('claim_missing', 'iat')
  if (exp <= (iat ?? 0) || exp <= (nbf ?? 0)) return refuse('claim_malformed', 'exp is not after iat and nbf')
  return accept({ exp, iat, nbf })
}

function checkTimes(
  times: Times,
  { maxLifetimeS, maxAgeS }: ClaimRules,
  nowMs: number,
  observe: Observe | undefined,
): Checked<undefined> {
  const { exp, iat, nbf } = times
  const nowS = nowMs / 1000
  const expiry = exp + LEEWAY_S <= nowS ? refuse('expired', `${Math.floor(nowS - exp)} s ago`) : PASSED
  tell(observe, 'expiry', expiry, () => ({
    ...{ expected: `after ${timeShown(Math.floor(nowS - LEEWAY_S))}`, found: timeShown(exp) },
  }))
  if (!expiry.ok) return expiry
  const ahead = [nbf, iat].find(start => start !== undefined && start - LEEWAY_S > nowS)
  const start =
    ahead === undefined
      ? PASSED
      : refuse('not_yet_valid', `${Math.ceil(ahead - nowS)} s ahead of the broker's clock`)
  tell(observe, 'start', start, () => ({ expected: `before ${timeShown(Math.floor(nowS + LEEWAY_S))}` }))
  if (!start.ok) return start
  const lifetimeS = exp - (iat ?? Math.floor(nowS))
  const lifetime =
    lifetimeS > maxLifetimeS
      ? refuse('lifetime_too_long', `${lifetimeS} s where ${maxLifetimeS} s are allowed`)
      : PASSED
  tell(observe, 'lifetime', lifetime, () => ({
    ...{ expected: `at most ${maxLifetimeS} s`, found: `${lifetimeS} s` },
  }))
  if (!lifetime.ok) return lifetime
  const ageS = nowS - (iat ?? nowS)
  const age =
    ageS > maxAgeS + LEEWAY_S
      ? refuse('too_old', `issued ${Math.floor(ageS)} s ago where ${maxAgeS} s are allowed`)
      : PASSED
  const issued = iat === undefined ? 'it does not say (iat)' : `issued ${Math.floor(ageS)} s ago`
  return tell(observe, 'age', age, () => ({ expected: `at most ${maxAgeS} s`, found: issued }))
}

const PASSED = accept(undefined)

function isNumericDate(value: JsonValue): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_NUMERIC_DATE_S
}
