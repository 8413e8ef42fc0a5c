/** Whom a trust policy of octo-sts lets in, and the judgement of one proven identity by it. Plain data, and pure. */
import type { ClaimValue } from '../../../attestors/attestor.ts'
import { compileAnchored } from './anchored-pattern.ts'

/** Exactly one of each pair; what no pair names (`audience`) was filled in. Patterns are RE2 over the whole value. */
export type TrustRule = {
  /** `acme/app:deploy`: the repository that holds the file, and the identity. Letters as GitHub writes them. */
  origin: string
  issuer?: string
  issuer_pattern?: string
  subject?: string
  subject_pattern?: string
  audience?: string
  audience_pattern?: string
  claim_pattern: Readonly<Record<string, string>>
  /** Configured attestors whose word counts. */
  attestors: readonly string[]
  /** Values of risky claims (GitHub's events) that the operator lets pass although the file names none. */
  events: readonly string[]
}

export type TrustFacts = {
  attestor: string
  issuer: string
  subject: string
  claims: Readonly<Record<string, ClaimValue>>
  mustName?: readonly string[]
}

/** `why`: in the words that octo-sts has for it. */
export type TrustVerdict = { ok: true } | { ok: false; why: string }

/**
 * @param audiences those of the token; absent for what is live already, whose token is gone
 */
export function judgeTrust(
  rule: TrustRule,
  facts: TrustFacts,
  audiences: readonly string[] | undefined,
): TrustVerdict {
  const { issuer, subject } = facts
  if (!rule.attestors.includes(facts.attestor)) return no('issuer not permitted by organization policy')
  for (const [what, value, exact, pattern] of [
    ['issuer', issuer, rule.issuer, rule.issuer_pattern],
    ['subject', subject, rule.subject, rule.subject_pattern],
  ] as const) {
    if (isMet(value, exact, pattern)) continue
    const against = exact === undefined ? `pattern ${quoted(pattern)}` : quoted(exact)
    return no(`trust policy: ${what} ${quoted(value)} did not match ${against}`)
  }
  if (audiences !== undefined && !audiences.some(one => isMet(one, rule.audience, rule.audience_pattern))) {
    const which = rule.audience === undefined ? 'audience_pattern' : 'audience'
    const wanted = quoted(rule.audience ?? rule.audience_pattern)
    return no(`trust policy: ${which} ${wanted} did not match any of [${audiences.map(quoted).join(' ')}]`)
  }
  return judgeClaims(rule, facts)
}

function judgeClaims(rule: TrustRule, { claims, mustName }: TrustFacts): TrustVerdict {
  for (const [name, pattern] of Object.entries(rule.claim_pattern)) {
    const raw = Object.hasOwn(claims, name) ? claims[name] : undefined
    if (raw === undefined) return no(`trust policy: expected claim ${quoted(name)} not found in token`)
    const value = typeof raw === 'boolean' ? String(raw) : raw
    if (typeof value !== 'string') return no(`trust policy: expected claim ${quoted(name)} not a string`)
    if (!isMet(value, undefined, pattern))
      return no(`trust policy: claim ${quoted(name)} did not match ${quoted(pattern)}`)
  }
  for (const name of mustName ?? []) {
    const value = String(claims[name])
    if (rule.events.includes(value) || namesValues(rule.claim_pattern[name])) continue
    return no(
      `trust policy: ${name} ${quoted(value)} lets strangers start or shape a run: name it in claim_pattern.${name}`,
    )
  }
  return { ok: true }
}

/** A pattern that also takes a word which nobody could have meant names nothing. */
export function namesValues(pattern: string | undefined): boolean {
  return pattern !== undefined && !isMet(NOBODY_MEANS, undefined, pattern)
}
const NOBODY_MEANS = 'an_event_that_nobody_means'

function isMet(value: string, exact: string | undefined, pattern: string | undefined): boolean {
  if (exact !== undefined) return value === exact
  const compiled = pattern === undefined ? undefined : compileAnchored(pattern)
  return compiled?.ok === true && compiled.pattern.matches(value)
}

const quoted = (text: string | undefined) => JSON.stringify(text ?? '')
const no = (why: string): TrustVerdict => ({ ok: false, why })
