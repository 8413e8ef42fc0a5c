/** What every attestor of OIDC ID tokens has in common: routing, keys by discovery, and the checks' profile. */
import type { AttestorDeps, Evidence } from '../attestor.ts'
import type { Algorithm } from './algorithms.ts'
import { type ClaimRules, checkIssuer } from './claims.ts'
import { peekEvidence } from './compact-jws.ts'
import type { KeySource } from './key-set.ts'
import { createRemoteKeySet, type KeySetLocation } from './remote-key-set.ts'
import type { JwtProfile } from './verify-jwt.ts'

export type OidcIssuer = KeySetLocation & { algorithms: readonly Algorithm[] }

export function oidcKeys(issuer: OidcIssuer, deps: Pick<AttestorDeps, 'now' | 'fetch'>): KeySource {
  return createRemoteKeySet(
    issuer,
    { algorithms: issuer.algorithms, use: { value: 'sig', mayBeAbsent: true } },
    deps,
  )
}

/** An ID token: `typ` absent or JWT. An access token (`at+jwt`, RFC 9068) was made for somebody else. */
export function oidcProfile(issuer: OidcIssuer, claims: ClaimRules): JwtProfile {
  return {
    header: { algorithms: issuer.algorithms, types: ['jwt'] },
    trustRoot: payload => checkIssuer(payload, issuer.issuer),
    claims,
    singleUse: true,
  }
}

/** Unverified: for choosing among attestors of one issuer only. */
export function namesAudience(evidence: Evidence, audience: string): boolean {
  const claimed = peekEvidence(evidence, 'aud')
  return claimed === audience || (Array.isArray(claimed) && claimed.includes(audience))
}

/** Unverified: for choosing an attestor only. */
export function namesIssuer(evidence: Evidence, issuer: string): boolean {
  return peekEvidence(evidence, 'iss') === issuer
}
