/**
 * `http`: an issuer that a platform team runs itself, spoken to over mutual TLS (docs/http-issuer.md). What the
 * broker decides by (the ask's schema, what covers what, facts) stands in the settings; what is done (issue,
 * revoke, probe, resolve) is asked of the remote side, and every answer is judged.
 */
import { z } from 'zod'
import {
  defineIssuer,
  type Grant,
  type Issued,
  type Issuer,
  type LeaseHandle,
  type Observation,
  ProviderUnavailable,
  type Refused,
} from './issuer.ts'
import { type HttpAsk, httpAskRules } from './shared/http-ask.ts'
import { askSettings } from './shared/http-ask-settings.ts'
import { type Connected, remoteIssuer } from './shared/http-call.ts'
import {
  issueAnswer,
  probeAnswer,
  type RefusedAnswer,
  resolveAnswer,
  revokeAnswer,
} from './shared/http-wire.ts'
import { providerUrl } from './shared/provider-url.ts'
import { Secret } from './shared/secret.ts'

const MINUTE_MS = 60_000

const file = z.string().min(1).max(4_096)

const settings = z
  .strictObject({
    /** Operations are below it, at `/v1/…`. */
    url: providerUrl,
    /** Files of mode 0600, read at every use, so that they can be replaced in place. */
    tls: z
      .strictObject({
        /** PEM: who the broker is, the leaf first. */
        certificate_file: file,
        key_file: file,
        /** PEM of the CAs that may vouch for the other side; the system's where absent. */
        ca_file: file.optional(),
        /** The name its certificate must have, where that is not the host of the URL. */
        server_name: z.hostname().optional(),
      })
      .optional(),
    timeout_seconds: z.int().min(1).max(15).default(10),
    max_answer_kibibytes: z.int().min(1).max(256).default(64),
    revocability: z.enum(['immediate', 'propagating', 'expiry_only']),
    longest_life_minutes: z
      .int()
      .min(1)
      .max(24 * 60),
    /** How long after it was planned a mint may still reach the other side, which refuses it afterwards. */
    mint_window_seconds: z.int().min(15).max(300).default(60),
    secret_format: z.enum(['token', 'json']).default('token'),
    /** Whether the other side is told the secret again to revoke and to probe. It is told the lease in any case. */
    sends_secret_back: z.boolean().default(false),
    /** Whether names are turned into ids, once, before anything is decided. */
    resolves: z.boolean().default(false),
    ask: askSettings,
  })
  .superRefine(({ url, tls }, context) => {
    if (url.startsWith('https:') === (tls !== undefined)) return
    const message = tls === undefined ? 'expected tls: https is mutual here' : 'expected an https url'
    context.addIssue({ code: 'custom', path: [tls === undefined ? 'tls' : 'url'], message })
  })
  .superRefine(({ resolves, ask }, context) => {
    if (resolves || !Object.values(ask.compare).includes('resolved')) return
    const message = 'expected true: a field is compared as `resolved`'
    context.addIssue({ code: 'custom', path: ['resolves'], message })
  })
type Settings = z.infer<typeof settings>

export const httpIssuer = defineIssuer<Settings, HttpAsk>({
  type: 'http',
  settings,
  open(settings, deps): Issuer<HttpAsk> {
    const remote = remoteIssuer(settings, deps)
    const rules = httpAskRules(settings.ask)
    const issued = issueAnswer(settings.secret_format)
    const held = (lease: LeaseHandle<HttpAsk>) => {
      if (!settings.sends_secret_back) return {}
      if (lease.secret === undefined) throw new ProviderUnavailable('there is no secret to end it with')
      return { secret: partsOf(lease.secret, settings.secret_format) }
    }

    return {
      revocability: settings.revocability,
      secretFormat: settings.secret_format,
      holdsSecret: settings.sends_secret_back,
      mintsLocally: false,
      mintWindowMs: settings.mint_window_seconds * 1_000,
      longestLifeMs: settings.longest_life_minutes * MINUTE_MS,
      resourceTypes: Object.fromEntries(settings.ask.facts.resources.map(({ type }) => [type, []])),
      ...rules,
      ...(settings.resolves ? { resolve: ask => resolve(ask) } : {}),

      async issue(grant) {
        if (deps.now() >= grant.mintNotAfter)
          return { ok: false, reason: 'rejected', detail: 'the time to mint this credential has passed' }
        const connected = await remote.connect()
        const answer = await connected.call('issue', grant.lease, mintOf(grant), issued)
        return answer.outcome === 'refused' ? refusedBy(answer) : issuedBy(answer, rules.ask)
      },

      async revoke(lease) {
        const body = { ...leaseOf(lease), ...held(lease) }
        const connected = await remote.connect()
        return (await connected.call('revoke', lease.lease, body, revokeAnswer)).outcome
      },

      async probe(lease) {
        try {
          return await probe(await remote.connect(), lease)
        } catch (error) {
          if (!(error instanceof ProviderUnavailable)) throw error
          return { proof: 'unknown', detail: error.message }
        }
      },
    }

    async function probe(connected: Connected, lease: LeaseHandle<HttpAsk>): Promise<Observation> {
      const body = { ...leaseOf(lease), ...held(lease) }
      const { proof, detail, look_again_seconds } = await connected.call(
        'probe',
        lease.lease,
        body,
        probeAnswer,
      )
      return {
        proof,
        ...(detail === undefined ? {} : { detail }),
        ...(look_again_seconds === undefined ? {} : { lookAgainMs: look_again_seconds * 1_000 }),
      }
    }

    async function resolve(ask: HttpAsk): Promise<{ ok: true; ask: HttpAsk } | Refused> {
      const connected = await remote.connect()
      const answer = await connected.call('resolve', undefined, { ask }, resolveAnswer)
      if (answer.outcome === 'refused') return refusedBy(answer)
      const resolved = rules.ask.safeParse(answer.ask)
      if (!resolved.success || !rules.covers(ask, resolved.data))
        throw new ProviderUnavailable('what was resolved is not what was asked')
      return { ok: true, ask: resolved.data }
    }
  },
})

const iso = (ms: number) => new Date(ms).toISOString()

function mintOf({ lease, ask, task, agent, chain, expiresAt, mintNotAfter }: Grant<HttpAsk>) {
  const times = { expires_at: iso(expiresAt), mint_not_after: iso(mintNotAfter) }
  return { lease, ask, task, agent, chain: chain.map(({ sub }) => ({ sub })), ...times }
}

function leaseOf({ lease, ask, providerExpiresAt, revokedAt }: LeaseHandle<HttpAsk>) {
  return {
    lease,
    ask,
    ...(providerExpiresAt === undefined ? {} : { expires_at: iso(providerExpiresAt) }),
    ...(revokedAt === undefined ? {} : { revoked_at: iso(revokedAt) }),
  }
}

function refusedBy({ reason, detail, retry_after_seconds }: RefusedAnswer): Refused {
  const wait = retry_after_seconds === undefined ? {} : { retryAfterMs: retry_after_seconds * 1_000 }
  return { ok: false, reason, detail: `the remote issuer says: ${detail}`, ...wait }
}

type IssuedAnswer = Extract<z.infer<ReturnType<typeof issueAnswer>>, { outcome: 'issued' }>

/** Whether it is no wider than the ask is the host's to judge, once the secret is sealed. */
function issuedBy(
  { secret, granted, expires_at, details }: IssuedAnswer,
  ask: z.ZodType<HttpAsk>,
): Issued<HttpAsk> {
  const parsed = ask.safeParse(granted)
  if (!parsed.success) throw new ProviderUnavailable('what was granted is no ask of this issuer')
  return {
    ok: true,
    secret: new Secret(secret),
    granted: parsed.data,
    providerExpiresAt: expires_at,
    ...(details === undefined ? {} : { details }),
  }
}

function partsOf(secret: Secret, format: 'token' | 'json'): unknown {
  return format === 'token' ? secret.reveal() : (JSON.parse(secret.reveal()) as unknown)
}
