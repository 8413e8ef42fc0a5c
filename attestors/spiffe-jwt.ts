/**
 * Attests workloads by JWT-SVIDs of one trust domain (SPIFFE JWT-SVID). Keys come from that domain's bundle
 * alone, from wherever it comes; other domains are other attestors.
 *
 * SPIRE agents hand the same SVID out again until half of its life is over, and `jti` is not part of the
 * standard: `single_use` is off unless the operator's workloads fetch a fresh SVID each time.
 */
import { z } from 'zod'
import { defineAttestor, type Evidence } from './attestor.ts'
import { bundleSettings, hostOfBundle, openBundle, refuseNotOneBundle } from './shared/bundle-settings.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { MAX_SUBJECT_CHARACTERS, textClaim } from './shared/claims.ts'
import { peekEvidence } from './shared/compact-jws.ts'
import { namesAudience } from './shared/oidc-profile.ts'
import { algorithms, audience, reuse, reuseNotices, seconds } from './shared/settings.ts'
import { parseWorkloadId, SPIFFE_CLAIM_TYPES, spiffeClaims, trustDomainOf } from './shared/spiffe-id.ts'
import type { JsonObject } from './shared/strict-json.ts'
import { type JwtProfile, verifyEvidence } from './shared/verify-jwt.ts'

/** JWT-SVID section 2.1: EdDSA is not among them. */
const SVID_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const

const settings = z
  .strictObject({
    ...bundleSettings,
    audience,
    algorithms: algorithms
      .refine(list => list.every(isSvidAlgorithm), 'has one that JWT-SVID does not allow')
      .default([...SVID_ALGORITHMS]),
    single_use: z.boolean().default(false),
    /** What a second use is worth, where each use is not the only one: see docs/attestors/spiffe-jwt.md. */
    reuse,
    /** Cap on `exp - iat`, or on what is left until `exp` where there is no `iat`. SPIRE's default is 300. */
    max_lifetime_seconds: seconds(86_400).default(3600),
    /** Cap on the time since `iat`. As long as an SVID may live, since agents hand it out again. */
    max_age_seconds: seconds(86_400).default(3600),
  })
  .superRefine(refuseNotOneBundle)

export const spiffeJwt = defineAttestor({
  type: 'spiffe-jwt',
  settings,
  usesHost: chosen => hostOfBundle(chosen),
  rules: () => ({ claimTypes: SPIFFE_CLAIM_TYPES }),
  open(chosen, deps) {
    const { keys, close } = openBundle(chosen, chosen.algorithms, deps)
    const issuer = `spiffe://${chosen.trust_domain}`
    const profile: JwtProfile = {
      // JWT-SVID section 2: a header parameter beside these MUST NOT appear.
      header: { algorithms: chosen.algorithms, types: ['jwt', 'jose'], closedSet: ['alg', 'kid', 'typ'] },
      trustRoot: payload => checkTrustDomain(payload, chosen.trust_domain),
      claims: {
        audience: chosen.audience,
        maxLifetimeS: chosen.max_lifetime_seconds,
        maxAgeS: chosen.max_age_seconds,
        requireIssuedAt: false,
        requireTokenId: false,
      },
      singleUse: chosen.single_use,
    }
    return {
      claimTypes: SPIFFE_CLAIM_TYPES,
      notices: chosen.single_use ? [] : reuseNotices(chosen.reuse),
      recognises: evidence => claimedTrustDomain(evidence) === chosen.trust_domain,
      isFor: evidence => namesAudience(evidence, chosen.audience),
      takes: { issuer, audience: chosen.audience },
      async attest(evidence, observe) {
        const verified = await verifyEvidence(evidence, profile, keys, deps.now, observe)
        if (!verified.ok) return verified
        const { subject, replay } = verified.value
        const id = parseWorkloadId(subject)
        if (!id.ok) return id
        const claims = spiffeClaims(id.value)
        return { ok: true, proof: { issuer, subject, claims, replay: { ...replay, reuse: chosen.reuse } } }
      },
      ...(close && { close }),
    }
  },
})

function checkTrustDomain(payload: JsonObject, trustDomain: string): Checked<string> {
  const subject = textClaim(payload, 'sub', MAX_SUBJECT_CHARACTERS)
  if (!subject.ok) return subject
  const id = parseWorkloadId(subject.value)
  if (!id.ok) return id
  if (id.value.trustDomain !== trustDomain)
    return refuse('issuer_not_trusted', 'sub is of another trust domain')
  return accept(`spiffe://${trustDomain}`)
}

/** Unverified: for choosing an attestor only. */
function claimedTrustDomain(evidence: Evidence): string | undefined {
  const subject = peekEvidence(evidence, 'sub')
  return typeof subject === 'string' ? trustDomainOf(subject) : undefined
}

function isSvidAlgorithm(algorithm: string): boolean {
  return SVID_ALGORITHMS.some(allowed => allowed === algorithm)
}
