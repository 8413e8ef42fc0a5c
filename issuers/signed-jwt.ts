/**
 * `signed-jwt`: an access token signed by the broker itself (RFC 9068), for resource servers that trust it.
 *
 * The token dies by introspection: the ledger's record of the lease, named by `jti`, is the revocation.
 * Resource servers that only verify the signature see it end at `exp`.
 */
import { z } from 'zod'
import {
  type Actor,
  defineIssuer,
  type Grant,
  type Issued,
  type Issuer,
  type IssuerDeps,
  type Refused,
} from './issuer.ts'
import { Secret } from './shared/secret.ts'
import { urlsWithin } from './shared/urls-within.ts'
import { WEB_IDENTITY_AUDIENCE } from './shared/web-identity.ts'

/** RFC 9068 section 4 leaves the life to us; WIRE: never above fifteen minutes. */
const MAX_MINUTES = 15
/** How far apart intent and signature may lie; a paused broker must not sign into the past. */
const MINT_WINDOW_MS = 60_000

/** StringOrURI (RFC 7519 section 2) without white space or control characters. */
const audience = z
  .string()
  .min(1)
  .max(512)
  .regex(/^[\x21-\x7e]+$/, 'an audience is printable ASCII without spaces')

/** scope-token (RFC 6749 section 3.3). */
const scope = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21\x23-\x5b\x5d-\x7e]+$/, 'a scope is printable ASCII without spaces, quotes or backslashes')

const ask = z
  .strictObject({
    audience,
    /** Absent means a token without a `scope` claim, not every scope. */
    scopes: z.array(scope).min(1).max(64).optional(),
  })
  .transform(parsed =>
    parsed.scopes
      ? { audience: parsed.audience, scopes: [...new Set(parsed.scopes)].sort() }
      : { audience: parsed.audience },
  )

/** `scopes` is sorted and without repeats. */
export type SignedJwtAsk = { audience: string; scopes?: string[] }

const settings = z.strictObject({
  /** The only audiences this issuer signs for, each with the scopes it may carry. Exact values. */
  audiences: z
    .array(
      z.strictObject({
        audience,
        scopes: z.array(scope).max(256).default([]),
        /** What a holder can do there, for policy. */
        phase: z.enum(['read', 'propose', 'execute', 'deploy', 'transact']).default('execute'),
      }),
    )
    .min(1)
    .max(256),
  max_minutes: z.int().min(1).max(MAX_MINUTES).default(MAX_MINUTES),
})
type Settings = z.infer<typeof settings>
/** Whether a URL is the broker's, or within what is. */
type IsOwn = (url: string) => boolean

export const signedJwt = defineIssuer<Settings, SignedJwtAsk>({
  type: 'signed-jwt',
  settings,
  open(settings, deps): Issuer<SignedJwtAsk> {
    const { issuerUrl } = deps.jwt
    const allowed = new Map(settings.audiences.map(entry => [entry.audience, entry]))
    const isOwn = urlsWithin(issuerUrl)
    refuseBrokerAudiences(settings, issuerUrl, isOwn)

    return {
      revocability: 'introspected',
      secretFormat: 'token',
      holdsSecret: false,
      mintsLocally: true,
      mintWindowMs: MINT_WINDOW_MS,
      longestLifeMs: settings.max_minutes * 60_000,
      ask,
      covers,
      resourceTypes: { Audience: [] },
      facts: asked => ({
        phase: allowed.get(asked.audience)?.phase ?? 'transact',
        resources: [{ type: 'Audience', id: asked.audience, name: asked.audience, parents: [] }],
        permissions: asked.scopes ?? [],
        mayLeaveAccess: false,
      }),
      async issue(grant): Promise<Issued<SignedJwtAsk> | Refused> {
        const now = deps.now()
        const refusal = refuse(grant, allowed.get(grant.ask.audience)?.scopes, isOwn, now)
        if (refusal) return refusal
        const issuedAt = Math.floor(now / 1000)
        const expiresAt = Math.floor(Math.min(grant.expiresAt, now + settings.max_minutes * 60_000) / 1000)
        if (expiresAt <= issuedAt) {
          return { ok: false, reason: 'rejected', detail: 'the deadline leaves less than a second to live' }
        }
        const token = await deps.jwt.sign('at+jwt', claimsOf(grant, deps, issuedAt, expiresAt))
        return {
          ok: true,
          secret: new Secret(token),
          granted: grant.ask,
          providerExpiresAt: expiresAt * 1000,
          details: { audience: grant.ask.audience },
        }
      },
      // The lease leaving `active` is what introspection answers from: nothing else has to happen.
      revoke: async () => 'revoked',
      probe: async () => 'dead',
    }
  },
})

/** Exact audience; scopes by inclusion. An ask without scopes is covered by any ask for the same audience. */
function covers(ceiling: SignedJwtAsk, wanted: SignedJwtAsk): boolean {
  const scopes = new Set(ceiling.scopes)
  return ceiling.audience === wanted.audience && (wanted.scopes ?? []).every(scope => scopes.has(scope))
}

/**
 * A token for the broker itself would let a task act as something the broker signed for its own use.
 * @throws Error at load, naming the audience.
 */
function refuseBrokerAudiences(settings: Settings, issuerUrl: string, isOwn: IsOwn): void {
  const seen = new Set<string>()
  for (const { audience } of settings.audiences) {
    if (isOwn(audience)) {
      throw new Error(`audience ${audience} is the broker's own (${issuerUrl}); name a resource server`)
    }
    if (audience === WEB_IDENTITY_AUDIENCE) {
      throw new Error(
        `audience ${audience} is for what the broker signs in at AWS with; name a resource server`,
      )
    }
    if (seen.has(audience)) throw new Error(`audience ${audience} is listed twice`)
    seen.add(audience)
  }
}

function refuse(
  grant: Grant<SignedJwtAsk>,
  allowedScopes: readonly string[] | undefined,
  isOwn: IsOwn,
  now: number,
): Refused | undefined {
  const { audience, scopes = [] } = grant.ask
  if (now >= grant.mintNotAfter) {
    return { ok: false, reason: 'rejected', detail: 'the time to sign this token has passed' }
  }
  if (!allowedScopes) {
    return { ok: false, reason: 'not_permitted', detail: `audience ${audience} is not on this issuer's list` }
  }
  const unknown = scopes.find(scope => !allowedScopes.includes(scope))
  if (unknown !== undefined) {
    return { ok: false, reason: 'not_permitted', detail: `scope ${unknown} is not allowed for ${audience}` }
  }
  if ([grant.agent, grant.onBehalfOf?.issuer].some(name => name !== undefined && isOwn(name))) {
    return { ok: false, reason: 'not_permitted', detail: "the subject is the broker's own" }
  }
  return undefined
}

/** RFC 9068 section 2.2, RFC 8693 section 4.1 (`act`), RFC 9396 section 9.1 (`authorization_details`). */
function claimsOf(
  grant: Grant<SignedJwtAsk>,
  { jwt, name = 'signed-jwt' }: IssuerDeps,
  iat: number,
  exp: number,
): Record<string, unknown> {
  const { audience, scopes } = grant.ask
  const { sub, act } = partiesOf(grant)
  return {
    iss: jwt.issuerUrl,
    sub,
    aud: audience,
    client_id: grant.agent,
    iat,
    nbf: iat,
    exp,
    jti: grant.lease,
    task: grant.task,
    authorization_details: [{ type: name, ...grant.ask }],
    ...(scopes && { scope: scopes.join(' ') }),
    ...(act && { act }),
    ...(grant.boundKey && { cnf: grant.boundKey }),
  }
}

/**
 * For itself the agent is the subject, and the agents above it are its actors. On behalf of a human the human is the
 * subject, by issuer and subject of their ID token; the agent is the actor, and those above it stand inside it.
 */
function partiesOf({ agent, chain, onBehalfOf }: Grant<SignedJwtAsk>): { sub: string; act: Act | undefined } {
  if (onBehalfOf === undefined) return { sub: agent, act: actorChain(chain) }
  const { issuer, subject } = onBehalfOf
  return { sub: `${issuer}#${subject}`, act: actorChain([{ sub: agent }, ...chain]) }
}

type Act = { sub: string; act?: Act }

/** The nearest actor outermost, each earlier one inside it. */
function actorChain(chain: readonly Actor[]): Act | undefined {
  return chain.reduceRight<Act | undefined>(
    (inner, actor) => ({ sub: actor.sub, ...(inner && { act: inner }) }),
    undefined,
  )
}
