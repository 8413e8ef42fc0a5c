/**
 * Attests workloads by the ID tokens of any OpenID Connect issuer (OpenID Connect Core 1.0 section 2).
 *
 * Each token counts once. What agent rules may look at is named in `claims`, with its type: a claim of
 * another type is refused, so that 42 and "42" never stand for each other.
 */
import { z } from 'zod'
import { type ClaimValue, defineAttestor, type Proof } from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { hasControlCharacters } from './shared/claims.ts'
import { isGithubActions } from './shared/github-issuer.ts'
import { namesAudience, namesIssuer, oidcKeys, oidcProfile } from './shared/oidc-profile.ts'
import { algorithms, audience, issuerUrl, keySetUrl, seconds } from './shared/settings.ts'
import { type JsonObject, type JsonValue, member } from './shared/strict-json.ts'
import { verifyEvidence } from './shared/verify-jwt.ts'

/** `json` keeps a nested claim as compact JSON text with the members in the order of the token. */
const CLAIM_TYPES = ['string', 'integer', 'boolean', 'string_list', 'json'] as const
type ClaimType = (typeof CLAIM_TYPES)[number]

const MAX_EXPOSED_CLAIMS = 64
const MAX_CLAIM_CHARACTERS = 2048
const MAX_LIST_ENTRIES = 256

const claimName = z
  .string()
  .min(1)
  .max(256)
  .refine(name => name !== '__proto__' && !hasControlCharacters(name), 'is not usable as a claim name')

const settings = z
  .strictObject({
    /** Not GitHub Actions: what its events and names are worth, only `github-actions` knows. */
    issuer: issuerUrl.refine(
      issuer => !URL.canParse(issuer) || !isGithubActions(issuer),
      'is GitHub Actions: use type github-actions, whose rules must name ids and risky events',
    ),
    audience,
    /** What the issuer signs with. RS256 is what OpenID Connect makes the default. */
    algorithms: algorithms.default(['RS256']),
    /** Given: no discovery. */
    jwks_uri: keySetUrl.optional(),
    /** Hosts beside the issuer's own that its `jwks_uri` may be on, as `host` or `host:port`. */
    jwks_hosts: z.array(z.string().min(1)).default([]),
    /** Cap on `exp - iat`. */
    max_lifetime_seconds: seconds(86_400).default(3600),
    /** Cap on the time since `iat`: a stolen token is of no use afterwards, whatever its `exp`. */
    max_age_seconds: seconds(86_400).default(300),
    /** Without a `jti`, single use goes by the signed bytes of the token. */
    require_jti: z.boolean().default(true),
    /** Claims that agent rules and policy may look at. */
    claims: z.record(claimName, z.enum(CLAIM_TYPES)).default({}),
  })
  .refine(({ claims }) => Object.keys(claims).length <= MAX_EXPOSED_CLAIMS, {
    path: ['claims'],
    message: `must not name more than ${MAX_EXPOSED_CLAIMS} claims`,
  })

export const oidc = defineAttestor({
  type: 'oidc',
  settings,
  open(chosen, deps) {
    const issuer = {
      issuer: chosen.issuer,
      algorithms: chosen.algorithms,
      jwksUri: chosen.jwks_uri,
      jwksHosts: chosen.jwks_hosts,
    }
    const keys = oidcKeys(issuer, deps)
    const profile = oidcProfile(issuer, {
      audience: chosen.audience,
      maxLifetimeS: chosen.max_lifetime_seconds,
      maxAgeS: chosen.max_age_seconds,
      requireIssuedAt: true,
      requireTokenId: chosen.require_jti,
    })
    return {
      claimTypes: Object.fromEntries(
        Object.entries(chosen.claims).map(([name, type]) => [name, type === 'json' ? 'string' : type]),
      ),
      recognises: evidence => namesIssuer(evidence, chosen.issuer),
      isFor: evidence => namesAudience(evidence, chosen.audience),
      async attest(evidence) {
        const verified = await verifyEvidence(evidence, profile, keys, deps.now)
        if (!verified.ok) return verified
        const { subject, payload, replay } = verified.value
        const claims = exposeClaims(payload, chosen.claims)
        if (!claims.ok) return claims
        return { ok: true, proof: { issuer: chosen.issuer, subject, claims: claims.value, replay } }
      },
    }
  },
})

function exposeClaims(payload: JsonObject, wanted: Record<string, ClaimType>): Checked<Proof['claims']> {
  const claims: [string, ClaimValue][] = []
  for (const [name, type] of Object.entries(wanted)) {
    const value = member(payload, name)
    if (value === undefined) continue
    const typed = READERS[type](value)
    if (typed === undefined) return refuse('claim_malformed', `${name} is not a usable ${type}`)
    claims.push([name, typed])
  }
  return accept(Object.fromEntries(claims))
}

const READERS: Record<ClaimType, (value: JsonValue) => ClaimValue | undefined> = {
  string: value => (isText(value) ? value : undefined),
  integer: value => (Number.isSafeInteger(value) ? (value as number) : undefined),
  boolean: value => (typeof value === 'boolean' ? value : undefined),
  string_list: value =>
    Array.isArray(value) && value.length <= MAX_LIST_ENTRIES && value.every(isText) ? value : undefined,
  json: value => JSON.stringify(value, (_name, inner) => (typeof inner === 'bigint' ? `${inner}` : inner)),
}

function isText(value: JsonValue): value is string {
  return typeof value === 'string' && value.length <= MAX_CLAIM_CHARACTERS && !hasControlCharacters(value)
}
