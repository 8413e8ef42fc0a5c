/**
 * Attests where a workload runs, by a short-lived JWT that the operator of its sandbox or runner signs: which image,
 * which network, how isolated. It is posture beside an identity, and nobody's identity itself.
 *
 * - It has a `typ` of its own (RFC 8725 section 3.11), so that no ID token is taken for a statement, and no statement
 *   for an identity.
 * - It says of whom it is: the workload's subject, a claim of its identity, or the key that the workload holds
 *   (RFC 7800 `cnf`). The broker holds it to that.
 * - Each claim of the settings has to be in it, in its type: a statement that is silent on the network is none.
 */
import { z } from 'zod'
import { type Attestor, type BoundKey, defineAttestor, type Proof } from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { checkIssuer } from './shared/claims.ts'
import { claimTable } from './shared/exposed-claims.ts'
import { namesAudience, namesIssuer, oidcKeys } from './shared/oidc-profile.ts'
import { keySetFile } from './shared/remote-key-set.ts'
import { algorithms, audience, issuerUrl, keySetUrl, seconds } from './shared/settings.ts'
import { isJsonObject, type JsonObject, member } from './shared/strict-json.ts'
import { tell } from './shared/tell.ts'
import { readClaims, typesOf } from './shared/typed-issuer.ts'
import { type JwtProfile, verifyEvidence } from './shared/verify-jwt.ts'

const MAX_CLAIMS = 32
/** Without a dot, so that `ATTESTOR.CLAIM` has one reading. */
const CLAIM_NAME = /^[a-z][a-z0-9_]{0,63}$/
const REGISTERED = ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'cnf']
/** Types of tokens that are made for something else (IANA, Media Types, `+jwt`). */
const TAKEN_TYPES = [
  ...['at+jwt', 'dpop+jwt', 'logout+jwt', 'secevent+jwt', 'token-introspection+jwt', 'kb+jwt'],
  ...[
    'oauth-authz-req+jwt',
    'entity-statement+jwt',
    'vc+jwt',
    'vp+jwt',
    'dc+sd-jwt',
    'client-attestation+jwt',
  ],
]

const claimName = z
  .string()
  .regex(CLAIM_NAME, 'must be lower-case letters, digits and _, beginning with a letter')
  .refine(name => !REGISTERED.includes(name), 'has a meaning of its own in every JWT')

const settings = z
  .strictObject({
    /** Who signs: `iss`, letter for letter. */
    issuer: issuerUrl,
    audience,
    /** The header's `typ`, in lower case; a token without it is refused. */
    typ: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{0,62}\+jwt$/, 'must be lower-case and end in +jwt')
      .refine(typ => !TAKEN_TYPES.includes(typ), 'is the type of tokens that are made for something else')
      .default('mayfly-statement+jwt'),
    algorithms: algorithms.default(['ES256', 'EdDSA', 'RS256']),
    /** Given: no discovery. */
    jwks_uri: keySetUrl.optional(),
    /** Hosts beside the issuer's own that its `jwks_uri` may be on, as `host` or `host:port`. */
    jwks_hosts: z.array(z.string().min(1)).default([]),
    /** A key set in a file (RFC 7517), for signers that serve none. */
    key_set_file: z.string().min(1).optional(),
    /**
     * Of whom a statement is. `subject`: `sub` is the workload's own subject, whoever proved it; `{ subject_of: ci }`:
     * as the attestor of that name proved it. `key`: `cnf` names the key that the workload opens its task with.
     * `{ claim: pod_uid }`: `sub` is that claim of the workload's identity.
     */
    about: z.union([
      z.enum(['subject', 'key']),
      z.strictObject({ subject_of: z.string().min(1).max(256) }),
      z.strictObject({ claim: z.string().min(1).max(256) }),
    ]),
    /** What it says, by name and type. */
    claims: z.record(claimName, z.enum(['string', 'integer', 'boolean', 'string_list'])),
    /** Cap on `exp - iat`. */
    max_lifetime_seconds: seconds(3600).default(600),
    /** Cap on the time since `iat`: how long ago a sandbox may have looked like this. */
    max_age_seconds: seconds(3600).default(300),
  })
  .refine(({ jwks_uri, key_set_file }) => jwks_uri === undefined || key_set_file === undefined, {
    path: ['key_set_file'],
    message: 'is one way to the keys, and jwks_uri another: choose one',
  })
  .refine(({ claims }) => Object.keys(claims).length >= 1 && Object.keys(claims).length <= MAX_CLAIMS, {
    path: ['claims'],
    message: `must name 1 to ${MAX_CLAIMS} claims`,
  })

type Settings = z.infer<typeof settings>

export const signedStatement = defineAttestor({
  type: 'signed-statement',
  settings,
  rules: ({ claims }) => ({ claimTypes: typesOf(claimTable(claims)), posture: true }),
  open(chosen, deps): Attestor {
    const { issuer, audience: ours, algorithms: allowed, key_set_file: file } = chosen
    const table = claimTable(chosen.claims, DEMANDED)
    const inFile = file === undefined ? undefined : keySetFile(file, deps.readFile)
    const jwksUri = inFile?.jwksUri ?? chosen.jwks_uri
    const provider = { issuer, algorithms: allowed, jwksUri, jwksHosts: chosen.jwks_hosts }
    const keys = oidcKeys(provider, { ...deps, ...inFile })
    const profile = profileOf(chosen)
    return {
      posture: true,
      claimTypes: typesOf(table),
      recognises: evidence => namesIssuer(evidence, issuer),
      isFor: evidence => namesAudience(evidence, ours),
      takes: { issuer, audience: ours },
      async attest(evidence, observe) {
        const verified = await verifyEvidence(evidence, profile, keys, deps.now, observe)
        if (!verified.ok) return verified
        const { subject, payload, replay } = verified.value
        const claims = tell(observe, 'claims', readClaims(payload, table))
        if (!claims.ok) return claims
        const whose = tell(observe, 'about', readAbout(payload, subject, chosen.about))
        if (!whose.ok) return whose
        return { ok: true, proof: { issuer, subject, claims: claims.value, replay, ...whose.value } }
      },
    }
  },
})

function profileOf({ issuer, audience: ours, ...chosen }: Settings): JwtProfile {
  return {
    header: { algorithms: chosen.algorithms, types: [chosen.typ], typeRequired: true },
    trustRoot: payload => checkIssuer(payload, issuer),
    claims: {
      audience: ours,
      maxLifetimeS: chosen.max_lifetime_seconds,
      maxAgeS: chosen.max_age_seconds,
      requireIssuedAt: true,
      requireTokenId: false,
    },
    // Each heartbeat may bring the same one while it is fresh: what it is bound to keeps it from others.
    singleUse: false,
  }
}

/** Each has to be there: a statement that is silent on one is none. */
const DEMANDED = { required: true } as const

/** A key that it names counts in any case: a statement that is bound is not one for everybody of that subject. */
function readAbout(
  payload: JsonObject,
  subject: string,
  about: Settings['about'],
): Checked<Pick<Proof, 'about' | 'boundKey'>> {
  const key = readKey(payload)
  if (!key.ok) return key
  const bound = key.value === undefined ? {} : { boundKey: key.value }
  if (about === 'subject') return accept({ about: { subject }, ...bound })
  if (about === 'key') return key.value === undefined ? refuse('claim_missing', 'cnf') : accept(bound)
  if ('subject_of' in about) return accept({ about: { subject, attestor: about.subject_of }, ...bound })
  return accept({ about: { claim: about.claim, value: subject }, ...bound })
}

/** RFC 7800 section 3, with the members of RFC 9449 section 6 and RFC 8705 section 3.1. */
function readKey(payload: JsonObject): Checked<BoundKey | undefined> {
  const cnf = member(payload, 'cnf')
  if (cnf === undefined) return accept(undefined)
  const [named, ...others] = isJsonObject(cnf) ? Object.entries(cnf) : []
  if (named === undefined || others.length > 0)
    return refuse('claim_malformed', 'cnf does not name one key by its thumbprint')
  const [method, thumbprint] = named
  if (typeof thumbprint !== 'string' || !THUMBPRINT.test(thumbprint))
    return refuse('claim_malformed', 'cnf is not a SHA-256 thumbprint')
  if (method === 'jkt') return accept({ jkt: thumbprint })
  if (method === 'x5t#S256') return accept({ 'x5t#S256': thumbprint })
  return refuse('claim_malformed', 'cnf names a key neither by jkt nor by x5t#S256')
}

/** 32 bytes in base64url. */
const THUMBPRINT = /^[\w-]{43}$/
