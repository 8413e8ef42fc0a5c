/**
 * The issuer contract. An issuer mints a credential for an ask, revokes it, and says whether it is dead.
 *
 * The host judges, the plugin only acts: what came back from the provider is sealed by the host before
 * anything else, and then checked with `covers`. An issuer never sees evidence.
 *
 * Issuers are leaves: they import their own folder and npm packages only.
 */
import type { z } from 'zod'
import type { FileReader } from './shared/files.ts'
import type { Secret } from './shared/secret.ts'
import type { SecretAlerts } from './shared/secret-alerts.ts'
import type { WorkWatch } from './shared/work.ts'

/**
 * How an issuer ends a credential.
 * - `immediate`: the provider refuses it from the revocation on.
 * - `propagating`: the provider is told at once and refuses it a bounded time later.
 * - `introspected`: Mayfly's own record decides, for every verifier that asks it. The credential is a JWT with
 *   the lease's id as its `jti`, by which it is found.
 * - `expiry_only`: it stops by what it carries, not before.
 */
export type Revocability = 'immediate' | 'propagating' | 'introspected' | 'expiry_only'

/** What a credential lets its holder do, coarsely; policy speaks of these. */
export type Phase = 'read' | 'propose' | 'execute' | 'deploy' | 'transact'

/**
 * One thing that an ask touches, as policy speaks of it: a `Repository`, a `Role`, an `Audience`, or a type of the
 * plugin's own (a capital letter first). `id` is what the provider never gives to anything else, where the ask
 * knows it; `name` is what people call it. `parents` are what it lies in.
 */
export type TouchedResource = {
  type: string
  id: string
  name: string
  parents: readonly { type: string; id: string }[]
}

export type AskFacts = {
  phase: Phase
  /** At least one. An ask is allowed where policy allows it for each. */
  resources: readonly TouchedResource[]
  /** What is reached inside of them, where the ask says (`arn:aws:s3:::artifacts/*`). */
  targets?: readonly string[]
  /** `contents:write`, `s3:GetObject`, a scope. */
  permissions: readonly string[]
  /** Whether the holder could plant access that outlives the credential (keys, hooks, secrets, workflows, IAM). */
  mayLeaveAccess: boolean
}

/** One actor in an `act` chain (RFC 8693 section 4.1), outermost first. */
export type Actor = { sub: string }

/**
 * A human on whose behalf a task runs, as their identity provider named them. `accounts`: what providers know them
 * as; `provider` is the host of a provider's web pages (`github.com`), `id` what it never gives to anybody else.
 */
export type OnBehalfOf = {
  issuer: string
  subject: string
  accounts: readonly { provider: string; login: string; id?: string }[]
}

/** Whether a human may have what is asked on their behalf. `detail` is for owners and operators. */
export type HumanAccess = { ok: true; allowed: boolean; detail: string }

/**
 * Mints a system lease of this same issuer for the ask, hands its credential to `use`, and revokes it when `use` is
 * done. `lease`: its id.
 * @returns what `use` does, or the provider's refusal. @throws ProviderUnavailable, and what `use` throws
 */
export type Borrow<Ask> = <Result>(
  ask: Ask,
  use: (own: { secret: Secret; lease: string }) => Promise<Result>,
) => Promise<Result | Refused>

/** Everything an issuer may know to mint one credential. */
export type Grant<Ask> = {
  /** The ledger's lease id, `lse_` and 26 characters of [0-9a-z]; used as the provider-side handle wherever one can be set. */
  lease: string
  ask: Ask
  task: string
  agent: string
  /** Actors above the agent: the parents' agents, nearest first. Empty for a root task. */
  chain: readonly Actor[]
  /** Absent where the task runs on nobody's behalf. */
  onBehalfOf?: OnBehalfOf
  /** The confirmation (`cnf`, RFC 7800) of what is minted: the key that the task is bound to. */
  boundKey?: { jkt: string } | { 'x5t#S256': string }
  /** Epoch ms. Mayfly's promise: the credential must be of no use after this. */
  expiresAt: number
  /** Epoch ms. The provider call must be signed so that the provider refuses it after this. */
  mintNotAfter: number
}

export type Issued<Ask> = {
  ok: true
  /** What the caller gets. For a credential of several parts, a JSON object as text (see `secretFormat`). */
  secret: Secret
  /** What the provider says it gave: unjudged, in the ask's own form. */
  granted: Ask
  /** Epoch ms at which the credential is of no use whatever anyone does. */
  providerExpiresAt: number
  /** Plain facts for the caller (`account`, `role_arn`); never secret. */
  details?: Readonly<Record<string, string | number>>
}

/** The provider said no, and nothing exists. `retryable` where the same ask may succeed later. */
export type Refused = {
  ok: false
  reason: 'not_permitted' | 'not_found' | 'rejected' | 'rate_limited'
  /** For the log, the ledger and operators; the caller learns the reason only. No secret. */
  detail: string
  retryAfterMs?: number
  /** It is no judgement of what was asked: the broker itself was not let in, or came too late. */
  ofTheBroker?: true
}

/** What revocation and proof may know of one lease. `secret` is absent where the issuer did not ask to hold it. */
export type LeaseHandle<Ask = unknown> = {
  lease: string
  ask: Ask
  secret?: Secret
  /** Epoch ms; absent when the mint's outcome is unknown. */
  providerExpiresAt?: number
  /** Epoch ms at which the provider was told to end it; absent before. */
  revokedAt?: number
  /** What `probe` last asked to be remembered of it. */
  remembered?: string
}

/** One lease of a revocation group: taken back, and not yet past the life that its provider gave it. */
export type GroupMember<Ask = unknown> = {
  lease: string
  ask: Ask
  /** Epoch ms by which it was issued, if it ever was. */
  issuedBy: number
  /** Whether the provider was told of it in an earlier pass: such a one must not be left out for a new one. */
  told: boolean
}

/** Whom a group's document goes on naming, though the ledger does not say that it was taken back. */
export type KeptLease = Pick<GroupMember, 'lease' | 'issuedBy'>

/** @param leases whom the document names and who are no members. @returns those of them that stay; where room is short, the first gives way first */
export type KeepOthers = (leases: readonly string[]) => Promise<readonly KeptLease[]>

/**
 * `left`: members, and others that were to be kept, for which the provider has no room, or lets us write nothing;
 * `because` says it to the operator.
 */
export type GroupOutcome = { left: readonly string[]; because?: string }

export type Proof = 'dead' | 'alive' | 'unknown'

/** An answer of `probe` that has more to say. */
export type Observation = {
  proof: Proof
  /** Kept in the ledger and handed to the next probe of this lease, by whichever broker. Text, never secret. */
  remember?: string
  /** When to look again, ms from now; as the host sees fit where it is absent. Infinite: nothing more can be seen. */
  lookAgainMs?: number
  /** Epoch ms since when it was seen dead, where that is before now. */
  deadSince?: number
  /** What an operator may want to know of it. */
  detail?: string
}

export function observed(answer: Proof | Observation): Observation {
  return typeof answer === 'string' ? { proof: answer } : answer
}

/** A provider's outage, timeout, rate limit or answer that cannot be read. Thrown: something may exist, try again. */
export class ProviderUnavailable extends Error {
  override name = 'ProviderUnavailable'
  /** What the provider asked us to wait, if it did. */
  readonly retryAfterMs: number | undefined
  /** The minter's word that the provider was not yet asked to mint: the lease may be closed as never minted. */
  readonly nothingMinted: boolean
  constructor(
    message: string,
    options?: { retryAfterMs?: number | undefined; nothingMinted?: boolean; cause?: unknown },
  ) {
    super(message, { cause: options?.cause })
    this.retryAfterMs = options?.retryAfterMs
    this.nothingMinted = options?.nothingMinted ?? false
  }
}

export interface Issuer<Ask = unknown> {
  readonly revocability: Revocability
  /** The same for one ask, where an instance's credentials do not all end alike. Pure. */
  revocabilityOf?(ask: Ask): Revocability
  /** What an operator should know of these settings; the host logs it when the instance is opened. */
  readonly notices?: readonly string[]
  /** `json`: the secret is a JSON object as text with several parts; `token`: one bearer string. */
  readonly secretFormat: 'token' | 'json'
  /** Whether `revoke` and `probe` need the secret itself: the host then keeps it sealed until the lease is closed. */
  readonly holdsSecret: boolean
  /** Whether minting is a local signature: nothing exists until it is answered, so one commit is enough. */
  readonly mintsLocally: boolean
  /** How long after the intent the provider could still accept the mint call, ms. Bounds `mintNotAfter`. */
  readonly mintWindowMs: number
  /** The longest life this issuer's provider ever gives a credential, ms. Bounds `dead_by`. */
  readonly longestLifeMs: number
  /**
   * The types of {@link TouchedResource} in `facts`, and the types of what each may lie in: policies name these. A
   * type that is not declared reaches policies as a general `Resource` that says its type.
   */
  readonly resourceTypes?: Readonly<Record<string, readonly string[]>>
  /** Strict. Parses the caller's ask (without its `type`), and a ceiling, which has the same form. */
  readonly ask: z.ZodType<Ask>
  /**
   * Names to ids, before decision, digest and approval. `mintOwn` mints a system lease of this same issuer
   * for the given ask, revokes it at once, and returns what the provider said it granted.
   * @returns the ask with ids, or a refusal when a name does not exist or is out of the App's reach.
   * @throws ProviderUnavailable
   */
  resolve?(
    ask: Ask,
    mintOwn: (ask: Ask) => Promise<Issued<Ask> | Refused>,
  ): Promise<{ ok: true; ask: Ask } | Refused>
  /** Whether `ceiling` allows everything `wanted` does. Monotone, reflexive, transitive. Pure. */
  covers(ceiling: Ask, wanted: Ask): boolean
  /**
   * Whether `covers` might say yes once `resolve` has filled in what `wanted` leaves open. Wherever it says no,
   * the provider is not even asked. Absent: the same as `covers`. Pure.
   */
  couldCover?(ceiling: Ask, wanted: Ask): boolean
  facts(ask: Ask): AskFacts
  /**
   * Whether the provider lets this human have what is asked on their behalf, asked of the provider each time. The
   * ask is resolved. Absent: the provider cannot say, and policy alone bounds the human.
   * @returns a refusal where the provider would not answer. @throws ProviderUnavailable: never an allow.
   */
  allows?(human: OnBehalfOf, ask: Ask, borrow: Borrow<Ask>): Promise<HumanAccess | Refused>
  /** @throws ProviderUnavailable (or anything): a credential may exist. */
  issue(grant: Grant<Ask>): Promise<Issued<Ask> | Refused>
  /** Idempotent. @throws: not known, try again. Never called for `expiry_only`, nor where there is `revokeGroup`. */
  revoke(lease: LeaseHandle<Ask>): Promise<'revoked' | 'already_gone'>
  /**
   * Proof. `unknown` where the provider could not say, and where it has not said often enough yet. It may be
   * asked before the credential is revoked, too: to see it at work.
   */
  probe(lease: LeaseHandle<Ask>): Promise<Proof | Observation>
  /**
   * With `revokeGroup`, for a provider that ends many credentials by one document (the policy of an AWS role):
   * the document that ends this ask's credential. Pure, and the same for an ask and what was granted of it.
   * Not called for an ask whose revocability is `expiry_only`.
   */
  group?(ask: Ask): string
  /**
   * Makes the group's document say exactly this: every member is dead, nobody else is touched. `members` is
   * every lease of the group that was taken back and is not yet past its provider's expiry, the told first,
   * then the latest issued; without members nothing is left behind. A lease is named by its id, which the
   * provider knows it by, so a member whose mint has no known outcome is ended, too. Idempotent, and heals: a
   * document that someone else changed is written again.
   *
   * One broker at a time is inside for a group; nothing may be sent that changes it after `until` (epoch ms).
   *
   * @param keep where the ledger was put back, and may have forgotten ends: who stays ended of those in the document
   * that are no members, as far as the members leave room; what ends more than those that are named stays as well.
   * Absent: all but the members are let go of, as above.
   * @throws ProviderUnavailable: not known, try again.
   */
  revokeGroup?(
    group: string,
    members: readonly GroupMember<Ask>[],
    until: number,
    keep?: KeepOthers,
  ): Promise<GroupOutcome>
  /**
   * For access reviews: what the provider gives this issuer that none of these ceilings needs. A line each, for
   * people: where, and what. Absent: the provider has nothing to say.
   * @throws ProviderUnavailable
   */
  surplus?(ceilings: readonly Ask[]): Promise<readonly { where: string; right: string }[]>
  /** Present where the provider also runs the work that tasks belong to (CI jobs). */
  readonly watch?: WorkWatch<Ask>
  /** Present where the provider also looks for secrets in what it keeps. */
  readonly alerts?: SecretAlerts<Ask>
  /** Present where the provider also keeps files (in repositories) that the broker may be told by. */
  readonly files?: FileReader<Ask>
}

/** Signs a JWT with the broker's task-token key set; the host sets `alg` and `kid`. */
export type JwtSigner = (typ: string, claims: Readonly<Record<string, unknown>>) => Promise<string>

/** GitHub answers a mint with the whole record of each repository, at most 500 of about 7 KiB. */
export const LONGEST_ANSWER_BYTES = 4 * 1024 * 1024

/** Whom a provider knows the broker by, and whom the broker takes for the provider. All PEM. */
export type TlsIdentity = {
  /** The leaf first. */
  certificate: string
  key: Secret
  /** The only CAs that may vouch for the provider; the system's where absent. */
  ca?: string
  /** The name that the provider's certificate must have, where it is not the host of the URL. */
  serverName?: string
}

/** What the host hands to every issuer. */
export type IssuerDeps = {
  /** This instance's name in configuration, which is the `type` that its asks carry (RFC 9396). */
  name?: string
  /** Epoch milliseconds. */
  now: () => number
  /**
   * Bounded by the host: a deadline, a body cap, no redirects. For SDKs that take a fetch. The cap is at least
   * {@link LONGEST_ANSWER_BYTES}: a mint's answer that is cut off is a live credential that nobody holds.
   * What it throws has `neverSent: true` where the request certainly did not leave this process.
   */
  fetch: typeof fetch
  /**
   * The same, https only, for a provider that knows its callers by their certificates. The bounds are cut to the
   * host's own. `close` lets what is under way finish.
   */
  mutualTls?: (
    identity: TlsIdentity,
    bounds: { deadlineMs: number; maxBodyBytes: number },
  ) => { fetch: typeof fetch; close(): void }
  /** Reads a file the operator named in the settings (an App's private key). */
  readSecretFile: (path: string) => Promise<Secret>
  /** Issuer URL (`iss`) and signer for JWTs that Mayfly mints for tasks. */
  jwt: { issuerUrl: string; sign: JwtSigner }
  /**
   * Issuer URL and signer of tokens by which Mayfly itself is recognised at a cloud provider: other keys and
   * another issuer than those of `jwt`, and no attestor takes them for evidence.
   */
  webIdentity?: { issuerUrl: string; sign: JwtSigner }
  /** `mayfly/<version>`; issuers append the lease id where the provider records a user agent. */
  userAgent: string
}

/** One issuer type: its name in configuration, its strict settings schema, and its constructor. */
export type IssuerType<Settings = unknown> = {
  type: string
  settings: z.ZodType<Settings>
  /**
   * What of the broker's own host or identity these settings make use of, in words; undefined: nothing. A team's
   * instance may not. Files are not meant: those are asked of the host.
   */
  usesHost?(settings: Settings): string | undefined
  /** Opening does no network call: an unreachable provider must not stop the broker from starting. */
  open(settings: Settings, deps: IssuerDeps): Issuer
}

/** Keeps the settings and ask types between schema and constructor, then forgets them for the list. */
export function defineIssuer<Settings, Ask>(type: {
  type: string
  settings: z.ZodType<Settings>
  usesHost?(settings: Settings): string | undefined
  open(settings: Settings, deps: IssuerDeps): Issuer<Ask>
}): IssuerType {
  // `Ask` stands in argument position, so TypeScript cannot see that the host hands back only what `ask` parsed.
  return type as unknown as IssuerType
}
