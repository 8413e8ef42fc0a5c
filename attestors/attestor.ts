/**
 * The attestor contract. An attestor turns evidence into an identity, or into a rejection.
 *
 * Three outcomes, three shapes: good evidence is a value, bad evidence is a value, and "could not check"
 * (key set unreachable, bundle unreadable) is a throw of {@link AttestationUnavailable}. An outage is never
 * told as bad evidence, and bad evidence never pages anyone.
 *
 * Attestors are leaves: they import their own folder and npm packages only.
 */
import type { z } from 'zod'

/**
 * What a workload presents: a signed token, or the certificates of a connection on which it showed that it holds the
 * leaf's key (DER, leaf first).
 */
export type Evidence = JwtEvidence | CertificateEvidence | SigstoreEvidence
export type JwtEvidence = { type: 'jwt'; token: string }
/** A Sigstore bundle (protobuf-specs, bundle v0.3), as parsed JSON. */
export type SigstoreEvidence = { type: 'sigstore'; bundle: Readonly<Record<string, unknown>> }
export type CertificateEvidence = { type: 'certificates'; chain: readonly Uint8Array[] }

/**
 * A key that was shown to be held: `jkt`, the SHA-256 thumbprint of a JWK (RFC 7638), or `x5t#S256`, that of a
 * certificate (RFC 8705 section 3.1); base64url.
 */
export type BoundKey = { jkt: string } | { 'x5t#S256': string }

/** A claim's value after parsing. Nested claims are kept as JSON text by the attestor that types them. */
export type ClaimValue = string | number | boolean | readonly string[]

/**
 * The CI job that evidence was issued to. Ids are text, as the provider writes them; together they name one
 * attempt of one job for good, and the end of it is the end of what was opened with the evidence.
 */
export type Work = {
  /** The host of the provider's web pages (`github.com`): one name in evidence, webhooks and API. */
  provider: string
  repository: string
  /** What people call the repository; it may be re-pointed, so nothing is matched by it. */
  repositoryName?: string
  run: string
  attempt: string
  /** Absent where the provider's evidence does not say; then only the run's end is known. */
  job?: string
}

/** What was proven. The host stamps the attestor's configured name on it; the plugin does not choose it. */
export type Proof = {
  /** The trust root that vouched: an OIDC issuer URL, or `spiffe://trust-domain`. */
  issuer: string
  /** Unique within `issuer`. For display and records; agent rules may match it exactly. */
  subject: string
  /** Typed claims that agent rules and policy may look at. Absent means the evidence did not say. */
  claims: Readonly<Record<string, ClaimValue>>
  /**
   * Names one use of this evidence, the same for every spelling of the same token. `singleUse`: the
   * ledger refuses a second use. `reuse`, of what is not: `pinned` (where absent) to the key of its first use, and
   * without one good for a task at a time and for reading; `open` for whatever the agent may have, as often as it
   * comes. `until`: epoch milliseconds after which the evidence is expired anyway. `issuedAt`: epoch milliseconds;
   * absent where the evidence does not say.
   */
  replay: {
    id: string
    singleUse: boolean
    reuse?: 'pinned' | 'open'
    until: number
    issuedAt?: number
  }
  /** Claims for which an agent's rule must name a value, or else it does not match (GitHub's risky events). */
  mustName?: readonly string[]
  /**
   * Of a statement about surroundings ({@link Attestor.posture}): whom it is about, by subject (of one attestor's
   * identities, where it says of which), or by a claim that something else has proven. Bound to a key instead, it is
   * about whoever holds that.
   */
  about?: { subject: string; attestor?: string } | { claim: string; value: ClaimValue }
  /** The key that the evidence is bound to; without it, who holds the evidence may present it. */
  boundKey?: BoundKey
  /** Present where a CI system vouched for one of its jobs. Such evidence lives for a day at most. */
  work?: Work
  /**
   * Present where this human (`issuer` and `subject`) signed in for a process on their own machine: what is opened
   * with it runs on their behalf and on nobody else's, and is bound to a key.
   */
  human?: {
    name: string
    email?: string
    groups: readonly string[]
    /** What providers know them as, where the evidence says so. */
    accounts: readonly { provider: string; login: string; id?: string }[]
  }
  /** SHA-256, hex, of the one request that it was given for; absent where it does not say. */
  request?: string
}

export const REJECTIONS = [
  'malformed', // not the compact serialization, not strict JSON, too large, too deep
  'header_not_allowed', // crit, b64, zip, or a header outside a closed set
  'type_not_allowed', // typ is not one this evidence may carry
  'algorithm_not_allowed', // none, symmetric, or not on this issuer's list
  'issuer_not_trusted', // iss or trust domain is not the configured one
  'key_unknown', // no key, or more than one, fits
  'key_not_acceptable', // weak, wrong kty/crv/use/alg
  'signature_invalid',
  'claim_missing',
  'claim_malformed', // wrong JSON type, out of range, duplicate member
  'audience_wrong',
  'expired',
  'not_yet_valid', // nbf or iat ahead of now
  'lifetime_too_long', // exp - iat above the attestor's cap
  'too_old', // issued longer ago than the attestor accepts
  'subject_not_acceptable', // e.g. a SPIFFE ID without a path
  'certificate_not_acceptable', // an authority's, or without what such a certificate must have
  'chain_not_trusted', // no authority of the bundle vouches for the certificate
  'revoked', // the issuer itself, asked, no longer stands by it
] as const
export type Rejection = (typeof REJECTIONS)[number]

/** `detail` is for the ledger and the owner; the caller never sees it. It never holds the evidence. */
export type Verdict = { ok: true; proof: Proof } | { ok: false; rejection: Rejection; detail: string }

/** One thing that was looked at, in the order in which that was done. Told to operators, never to the caller. */
export type Check = {
  /** A word of ours: `form`, `algorithm`, `signature`, `audience`. */
  name: string
  passed: boolean
  /** Why not, as the verdict says it. */
  rejection?: Rejection
  detail?: string
  /** What the settings want. */
  expected?: string
  /** What the evidence has. Nothing in it is verified before `signature` has passed; a signature is never in it. */
  found?: string
  /** By how much the clock of whoever serves the keys was ahead of ours, ms, where that was seen. */
  clockAheadMs?: number
}
export type Observe = (check: Check) => void

/** "Could not check." The caller is told of an outage and may retry with the same evidence. */
export class AttestationUnavailable extends Error {
  override name = 'AttestationUnavailable'
}

export interface Attestor {
  /**
   * The claims it types, by name: policies read these as `context.claims.NAME`, checked against the type before a
   * policy is loaded. Claims that are not declared reach policies as text.
   */
  readonly claimTypes?: Readonly<Record<string, ClaimType>>
  /**
   * Whether this evidence claims to come from this attestor's trust root. Looks at unverified content, so
   * it only routes; `attest` checks everything again.
   */
  recognises(evidence: Evidence): boolean
  /**
   * Asked where several attestors recognise the evidence, as two audiences of one issuer do: whether it is
   * meant for this one. Routes only, like `recognises`. Absent: it is.
   */
  isFor?(evidence: Evidence): boolean
  /** It says where a workload runs, beside its identity, and is no identity itself. */
  readonly posture?: true
  /** What an operator is told of these settings once, at the start and by `mayfly check`. */
  readonly notices?: readonly string[]
  /** What it takes, letter for letter, so that whoever brings nearly that can be told. */
  readonly takes?: { issuer: string; audience?: string }
  /** Where humans sign in for the processes that it attests. */
  readonly signIn?: SignInPlace
  /** What its type says of these settings (`AttestorType.rules`); the host puts it here. */
  rules?: RuleFacts
  /**
   * @param observe is told of each check, where somebody wants to know; the verdict is the same without.
   * @throws AttestationUnavailable when the evidence could not be checked.
   */
  attest(evidence: Evidence, observe?: Observe): Promise<Verdict>
  /** Ends what goes on beside the calls: the broker stops, or another attestor took its place. */
  close?(): void
}

/** A native, public client at an identity provider (RFC 8252), as a command line needs to know it. */
export type SignInPlace = {
  issuer: string
  clientId: string
  scopes: readonly string[]
  /** Ports of the loopback redirect, tried in order; any free one where there are none. */
  redirectPorts: readonly number[]
  /** RFC 8628. `bound`: its ID tokens have to carry the nonce of the request. */
  deviceFlow: 'off' | 'bound' | 'unbound'
  /** How long ago humans may have proven who they are; absent: that is not looked at. */
  maxAuthenticationAgeS?: number
}

export type ClaimType = 'string' | 'integer' | 'boolean' | 'string_list'

/** What an agent's rules may rely on, so that one which would match a stranger, or nobody, is refused when it is written. */
export type RuleFacts = {
  /** Claims that are not named here are not checked. */
  claimTypes: Readonly<Record<string, ClaimType>>
  /**
   * A rule must name one of these claims, or subjects that all match `subject`: what is never given to somebody else.
   * `remedy` says how to find them.
   */
  pinnedBy?: {
    claims: readonly string[]
    subject?: { form: RegExp; example: string }
    remedy: string
  }
  /**
   * Claims that whoever asks for the evidence may choose, each with the claim that has to stand beside it in a rule
   * for it to count; null where nothing makes it count.
   */
  callerChosen?: Readonly<Record<string, string | null>>
  /** No rule may be of it: it proves no identity. Its claims stand in other rules, under its configured name. */
  posture?: true
  /** What it proves acts for a human: an agent with a rule of it has to say for whom it may. */
  human?: true
}

/** A GET unless said otherwise. `ca`: PEM, the authorities to trust instead of the default ones. */
export type FetchOptions = {
  method?: 'GET' | 'POST'
  headers?: Readonly<Record<string, string>>
  body?: string
  ca?: string
}

/** What the host hands to every attestor. */
export type AttestorDeps = {
  /** Epoch milliseconds. */
  now: () => number
  /**
   * Bounded by the host: https only (loopback http for development), a deadline, a body cap, no redirects,
   * no private addresses unless the operator allowed them. Throws where a bound is passed.
   */
  fetch: (url: string, how?: FetchOptions) => Promise<Response>
  /** Reads a file the operator named in the settings (a trust bundle). UTF-8. */
  readFile: (path: string) => Promise<string>
  /** Starts `run` once after `ms` on a monotonic clock; what it returns takes it back. */
  schedule: (ms: number, run: () => void) => () => void
  /** From 0 to 1, anew each time: so that not everybody tries again at once. */
  jitter: () => number
  /** Where this host says that its SPIFFE Workload API is (`SPIFFE_ENDPOINT_SOCKET`, a URI). */
  workloadApi?: string | undefined
}

/** One attestor type: its name in configuration, its strict settings schema, and its constructor. */
export type AttestorType<Settings = unknown> = {
  type: string
  settings: z.ZodType<Settings>
  /** What of the broker's own host these settings make use of, beside files; undefined: nothing. */
  usesHost?(settings: Settings): string | undefined
  /** What rules of agents may rely on with these settings. Absent: anything. */
  rules?(settings: Settings): RuleFacts
  /** Opening does no input or output: an unreachable issuer must not stop the broker from starting. */
  open(settings: Settings, deps: AttestorDeps): Attestor
}

/** Keeps the settings type between schema and constructor, then forgets it for the list. */
export function defineAttestor<Settings>(type: AttestorType<Settings>): AttestorType {
  return type as AttestorType
}
