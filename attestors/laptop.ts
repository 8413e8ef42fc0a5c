/**
 * Attests processes on the machines of humans, which have no identity of their own: the human signs in for one (by
 * browser or device code), and the ID token of that sign-in is its evidence (docs/laptops.md).
 *
 * - The `nonce` of the sign-in is made of the process's key and of what it is to do. A copied ID token is of no use
 *   without that key, nor for anything else.
 * - It proves "a process of this human": what is opened with it runs on their behalf, bound to a key, once.
 * - Some providers put no nonce into the tokens of a device flow. Such a token is whoever's has it first, and is
 *   taken only where the settings say so.
 */
import { z } from 'zod'
import { type Attestor, defineAttestor, type Verdict } from './attestor.ts'
import { accept, type Checked, refuse } from './shared/checked.ts'
import { LEEWAY_S } from './shared/claims.ts'
import { claimName, claimTable, exposedClaims } from './shared/exposed-claims.ts'
import { namesAudience, namesIssuer, oidcKeys, oidcProfile } from './shared/oidc-profile.ts'
import { type PersonClaims, readAuthTime, readNonce, readPerson } from './shared/person.ts'
import { algorithms, audience, issuerUrl, keySetUrl, seconds } from './shared/settings.ts'
import { readSignInNonce, type SignedInFor } from './shared/sign-in-nonce.ts'
import { type JsonObject, member } from './shared/strict-json.ts'
import { tell } from './shared/tell.ts'
import { readClaims, typesOf } from './shared/typed-issuer.ts'
import { verifyEvidence } from './shared/verify-jwt.ts'

/** Longest `exp - iat` of an ID token: providers give up to a day. Its age is bounded in any case. */
const MAX_LIFETIME_S = 86_400
const MAX_AGE_S = 300

const text = z.string().min(1).max(256)

const settings = z
  .strictObject({
    issuer: issuerUrl,
    /** The client that humans sign in at for this alone, as `aud` has it: not the operators', nor an application's. */
    audience,
    /** What `azp` must be, and who asks for the sign-in, where that is not the audience. */
    client_id: audience.optional(),
    algorithms: algorithms.default(['RS256']),
    /** Given: no discovery. */
    jwks_uri: keySetUrl.optional(),
    jwks_hosts: z.array(z.string().min(1)).default([]),
    scopes: z
      .array(text.regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'is no scope (RFC 6749 section 3.3)'))
      .min(1)
      .max(32)
      .refine(list => list.includes('openid'), 'must name openid')
      .default(['openid', 'profile', 'email']),
    /** For providers that compare the port of a loopback redirect. */
    loopback_redirect_ports: z.array(z.int().min(1024).max(65_535)).max(8).default([]),
    /**
     * `bound`: the provider puts the nonce of the device request into the ID token. `unbound`: it does not, and such
     * tokens are taken all the same.
     */
    device_flow: z.enum(['off', 'bound', 'unbound']).default('off'),
    /** How long ago the human may have proven who they are (`auth_time`), for another sign-in to do without it. */
    authenticated_within_minutes: z.union([z.int().min(1).max(1_440), z.literal('unchecked')]).default(60),
    /** Cap on the time since `iat`. */
    max_age_seconds: seconds(MAX_AGE_S).default(MAX_AGE_S),
    groups_claim: claimName.default('groups'),
    name_claim: claimName.default('name'),
    email_claim: claimName.default('email'),
    /** The claim that says what the human is called at GitHub, and the one with that account's number. */
    github_login_claim: claimName.optional(),
    github_id_claim: claimName.optional(),
    /** The GitHub that those are of. */
    github_host: text.default('github.com'),
    /** More claims, that agent rules and policy may look at. */
    claims: exposedClaims,
  })
  .refine(({ claims }) => Object.keys(OWN_CLAIMS).every(name => !Object.hasOwn(claims, name)), {
    path: ['claims'],
    message: 'must not name groups or key_bound: this attestor has them',
  })
  .refine(one => one.github_id_claim === undefined || one.github_login_claim !== undefined, {
    path: ['github_id_claim'],
    message: 'expected github_login_claim beside it',
  })
type Settings = z.infer<typeof settings>

/** What every identity has, beside the claims that the settings name. */
const OWN_CLAIMS = { groups: 'string_list', key_bound: 'boolean' } as const

export const laptop = defineAttestor<Settings>({
  type: 'laptop',
  settings,
  rules: ({ claims }) => ({ claimTypes: { ...typesOf(claimTable(claims)), ...OWN_CLAIMS }, human: true }),
  open(chosen, deps): Attestor {
    const { issuer, audience: aud, algorithms: algs, jwks_uri: jwksUri, jwks_hosts: jwksHosts } = chosen
    const provider = { issuer, algorithms: algs, jwksUri, jwksHosts }
    const keys = oidcKeys(provider, deps)
    const profile = oidcProfile(provider, {
      audience: aud,
      maxLifetimeS: MAX_LIFETIME_S,
      maxAgeS: chosen.max_age_seconds,
      requireIssuedAt: true,
      // Few providers put a `jti` into ID tokens: then single use goes by the signed bytes.
      requireTokenId: false,
    })
    const table = claimTable(chosen.claims)
    return {
      claimTypes: { ...typesOf(table), ...OWN_CLAIMS },
      notices: noticesOf(chosen),
      takes: { issuer, audience: aud },
      signIn: signInOf(chosen),
      recognises: evidence => namesIssuer(evidence, issuer),
      isFor: evidence => namesAudience(evidence, aud),
      async attest(evidence, observe): Promise<Verdict> {
        const verified = await verifyEvidence(evidence, profile, keys, deps.now, observe)
        if (!verified.ok) return verified
        const { subject, payload, replay } = verified.value
        const client = tell(observe, 'client', checkClient(payload, chosen))
        if (!client.ok) return client
        const present = tell(observe, 'authentication', checkPresence(payload, chosen, deps.now()))
        if (!present.ok) return present
        const boundTo = tell(observe, 'key_and_request', readBinding(payload, chosen))
        if (!boundTo.ok) return boundTo
        const person = tell(observe, 'person', readPerson(payload, personClaims(chosen), subject))
        if (!person.ok) return person
        const typed = tell(observe, 'claims', readClaims(payload, table))
        if (!typed.ok) return typed
        const { value: bound } = boundTo
        const { groups } = person.value
        const claims = { ...typed.value, groups, key_bound: bound !== undefined }
        const binding = bound && { boundKey: { jkt: bound.jkt }, request: bound.request }
        return { ok: true, proof: { issuer, subject, claims, replay, human: person.value, ...binding } }
      },
    }
  },
})

function personClaims(chosen: Settings): PersonClaims {
  const { github_login_claim: login, github_id_claim: id, github_host: provider } = chosen
  return {
    ...{ groups: chosen.groups_claim, name: chosen.name_claim, email: chosen.email_claim },
    ...(login === undefined ? {} : { account: { provider, login, ...(id === undefined ? {} : { id }) } }),
  }
}

function signInOf(chosen: Settings): NonNullable<Attestor['signIn']> {
  const { authenticated_within_minutes: minutes } = chosen
  return {
    issuer: chosen.issuer,
    clientId: chosen.client_id ?? chosen.audience,
    scopes: chosen.scopes,
    redirectPorts: chosen.loopback_redirect_ports,
    deviceFlow: chosen.device_flow,
    ...(minutes === 'unchecked' ? {} : { maxAuthenticationAgeS: minutes * 60 }),
  }
}

function noticesOf(chosen: Settings): string[] {
  return [
    ...(chosen.device_flow === 'unbound'
      ? ['device_flow: unbound takes ID tokens without a nonce: whoever copies one first may use it']
      : []),
    ...(chosen.authenticated_within_minutes === 'unchecked'
      ? ['authenticated_within_minutes: unchecked lets an old session of the browser sign in by itself']
      : []),
  ]
}

function checkClient(payload: JsonObject, chosen: Settings): Checked<undefined> {
  const authorized = member(payload, 'azp')
  if (authorized === undefined || authorized === (chosen.client_id ?? chosen.audience))
    return accept(undefined)
  return refuse('audience_wrong', 'azp is not the configured client')
}

/** That the human was there: a provider may sign in by a cookie alone. */
function checkPresence(payload: JsonObject, chosen: Settings, nowMs: number): Checked<undefined> {
  const at = readAuthTime(payload)
  if (!at.ok) return at
  const { authenticated_within_minutes: minutes } = chosen
  if (minutes === 'unchecked') return accept(undefined)
  if (at.value === undefined)
    return refuse('claim_missing', 'auth_time: have the provider put it into ID tokens')
  const ageS = nowMs / 1_000 - at.value
  if (ageS < -LEEWAY_S) return refuse('not_yet_valid', 'auth_time is ahead of the clock')
  if (ageS > minutes * 60 + LEEWAY_S) return refuse('too_old', 'the human proved who they are too long ago')
  return accept(undefined)
}

/** Undefined of a device flow whose tokens say nothing of it. */
function readBinding(payload: JsonObject, chosen: Settings): Checked<SignedInFor | undefined> {
  const nonce = readNonce(payload)
  if (!nonce.ok) return nonce
  if (nonce.value === undefined) {
    if (chosen.device_flow === 'unbound') return accept(undefined)
    return refuse('claim_missing', 'nonce: the sign-in is bound to no key')
  }
  const bound = readSignInNonce(nonce.value)
  return bound === undefined
    ? refuse('claim_malformed', 'nonce is of a sign-in for something else')
    : accept(bound)
}
