/**
 * Attests workloads by the ID tokens of any OpenID Connect issuer (OpenID Connect Core 1.0 section 2).
 *
 * Each token counts once, unless its issuer hands it out more than once. What agent rules may look at is named in
 * `claims`, with its type: a claim of another type is refused, so that 42 and "42" never stand for each other.
 */
import { z } from 'zod'
import { defineAttestor } from './attestor.ts'
import { claimTable, exposedClaims } from './shared/exposed-claims.ts'
import { isGithubActions } from './shared/github-issuer.ts'
import { algorithms, audience, issuerUrl, keySetUrl, reuse, seconds } from './shared/settings.ts'
import { openTypedIssuer, typesOf } from './shared/typed-issuer.ts'

/** A day, and what a cloud may add to it: the longest that tokens of managed identities live. */
const LONGEST_S = 90_000

const settings = z.strictObject({
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
  max_lifetime_seconds: seconds(LONGEST_S).default(3600),
  /** Cap on the time since `iat`: a stolen token is of no use afterwards, whatever its `exp`. */
  max_age_seconds: seconds(LONGEST_S).default(300),
  /** Without a `jti`, single use goes by the signed bytes of the token. */
  require_jti: z.boolean().default(true),
  /** Off where the issuer hands a token out again. */
  single_use: z.boolean().default(true),
  /** What a second use is worth, where each use is not the only one. */
  reuse,
  /** Claims that agent rules and policy may look at. */
  claims: exposedClaims,
})

export const oidc = defineAttestor({
  type: 'oidc',
  settings,
  rules: ({ claims }) => ({ claimTypes: typesOf(claimTable(claims)) }),
  open: (chosen, deps) =>
    openTypedIssuer(
      {
        issuer: chosen.issuer,
        audience: chosen.audience,
        algorithms: chosen.algorithms,
        jwksUri: chosen.jwks_uri,
        jwksHosts: chosen.jwks_hosts,
        maxLifetimeS: chosen.max_lifetime_seconds,
        maxAgeS: chosen.max_age_seconds,
        requireTokenId: chosen.require_jti,
        singleUse: chosen.single_use,
        ...(chosen.single_use ? {} : { reuse: chosen.reuse }),
        claims: claimTable(chosen.claims),
      },
      deps,
    ),
})
