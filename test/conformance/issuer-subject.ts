/** What a plugin's test supplies to the issuer suite: the issuer, a provider that tells the truth, and asks. */
import { randomInt } from 'node:crypto'
import type fc from 'fast-check'
import {
  type Grant,
  type GroupMember,
  type Issued,
  type Issuer,
  type KeepOthers,
  type LeaseHandle,
  type Observation,
  observed,
  type Refused,
} from '../../issuers/issuer.ts'

export type IssuerSubject = {
  /** Just opened; its provider answers. */
  issuer: Issuer
  asks: {
    /** As a caller writes it. The provider grants it. */
    granted: unknown
    /** Well-formed, and refused by the provider (or by the issuer, where nothing is asked of a provider). */
    refused: unknown
    /** Well-formed asks, close enough to each other that one often covers another. */
    any: fc.Arbitrary<unknown>
  }
  /** Tries what `asks.granted` allows, with the credential as its holder got it. */
  use(secret: string): Promise<'accepted' | 'refused'>
  /** Tries something that `asks.granted` does not allow and the provider could do. */
  useOutside(secret: string): Promise<'accepted' | 'refused'>
  /** Epoch ms, on the clock of issuer and provider. */
  now(): number
  /** Moves the clock of both. */
  advance(ms: number): void
  /** The broker's own secrets (keys, access keys), which no error may show. At least one. */
  ownSecrets: readonly string[]
  provider: ProviderControls | { impossible: string }
  close(): Promise<void>
}

export type ProviderControls = {
  /** Requests received so far, of any kind. */
  requests(): number
  /** The provider's own record: every credential ever given. `handle`: text in which the lease id should be. */
  given(): readonly { alive: boolean; handle: string }[]
  /** Moves the provider's clock alone. */
  advance(ms: number): void
  /** Where credentials are ended together: someone else writes over what ends this group. */
  spoilGroup?(group: string): Promise<void>
  /** From now on every request is dropped without an effect. */
  goDown(): void
  /** From now on a mint has its effect, and its answer is lost. */
  loseMintReplies(): void
  /** From now on a mint has its effect, and is answered with this text and the usual status. */
  garbleMintReplies(text: string): void
  recover(): void
}

/** One rule of the contract. `needless` says why a rule does not apply to this issuer. */
export type IssuerCheck = {
  name: string
  needless?(subject: IssuerSubject): string | undefined
  run(subject: IssuerSubject): Promise<void>
}

export function providerOf(subject: IssuerSubject): ProviderControls {
  if ('impossible' in subject.provider) throw new Error(`no provider: ${subject.provider.impossible}`)
  return subject.provider
}

export function withoutProvider({ provider }: IssuerSubject): string | undefined {
  return 'impossible' in provider ? provider.impossible : undefined
}

export function withoutRevocation({ issuer }: IssuerSubject): string | undefined {
  return issuer.revocability === 'expiry_only' ? 'the credential ends by expiry only' : undefined
}

const TASK_MS = 10 * 60_000

/** A grant of this parsed ask, for ten minutes, under a lease id of its own. */
export function grantOf(subject: IssuerSubject, ask: unknown): Grant<unknown> {
  return {
    lease: `lse_${Array.from({ length: 26 }, () => randomInt(36).toString(36)).join('')}`,
    ask,
    task: 'tsk_conformance',
    agent: 'conformance-agent',
    chain: [{ sub: 'parent-agent' }],
    expiresAt: subject.now() + TASK_MS,
    mintNotAfter: subject.now() + subject.issuer.mintWindowMs,
  }
}

/** `asks.granted` parsed, and resolved where the issuer resolves. */
export async function grantedAsk(subject: IssuerSubject): Promise<unknown> {
  return resolved(subject, subject.issuer.ask.parse(subject.asks.granted))
}

export async function resolved(subject: IssuerSubject, ask: unknown): Promise<unknown> {
  const { issuer } = subject
  if (!issuer.resolve) return ask
  const answer = await issuer.resolve(ask, asked => mintOwn(subject, asked))
  if (!answer.ok) throw new Error(`resolve refused: ${answer.detail}`)
  return answer.ask
}

/** As the host does: mints, revokes at once, and hands on what was granted. */
export async function mintOwn(subject: IssuerSubject, ask: unknown): Promise<Issued<unknown> | Refused> {
  const grant = grantOf(subject, ask)
  const issued = await subject.issuer.issue(grant)
  if (issued.ok) await end(subject, handleOf(subject, grant, issued))
  return issued
}

/** What the host keeps of a lease: the secret only where the issuer says it needs it. */
export function handleOf(
  { issuer }: IssuerSubject,
  { lease, ask }: Grant<unknown>,
  { secret, providerExpiresAt }: Issued<unknown>,
): LeaseHandle {
  return { lease, ask, providerExpiresAt, ...(issuer.holdsSecret && { secret }) }
}

/** Whom each subject has ended so far: a group's document goes on naming them. */
const ended = new WeakMap<IssuerSubject, LeaseHandle[]>()

/** As the host does: singly, or by the document of its group, which names whoever was ended before, too. */
export async function end(subject: IssuerSubject, lease: LeaseHandle): Promise<'revoked' | 'already_gone'> {
  const { issuer } = subject
  if (!issuer.revokeGroup) return issuer.revoke(lease)
  const before = ended.get(subject) ?? []
  const all = [...before.filter(one => one.lease !== lease.lease), lease]
  await endExactly(subject, all)
  ended.set(subject, all)
  return 'revoked'
}

/** These of one group; nobody else, but those of the others that are to be kept. */
export async function endExactly(
  { issuer, now }: IssuerSubject,
  leases: LeaseHandle[],
  keep?: KeepOthers,
): Promise<void> {
  const { group, revokeGroup } = issuer
  const [first] = leases
  if (!group || !revokeGroup || !first) throw new Error('it ends each credential alone')
  const members = leases.map(lease => memberOf(lease, now()))
  const { left } = await revokeGroup(group(first.ask), members, now() + 60_000, keep)
  if (left.length > 0) throw new Error('there was room, and it was left out')
}

export function memberOf({ lease, ask }: LeaseHandle, now: number): GroupMember {
  return { lease, ask, issuedBy: now, told: false }
}

/** One look, and the handle with what the issuer asked to remember. */
export async function look(
  { issuer }: IssuerSubject,
  lease: LeaseHandle,
): Promise<Observation & { lease: LeaseHandle }> {
  const seen = observed(await issuer.probe(lease))
  const { remember } = seen
  return { ...seen, lease: remember === undefined ? lease : { ...lease, remembered: remember } }
}

const LOOKS = 20

/** Looks at an ended credential, when the issuer says, until it says dead. Returns its last word otherwise. */
export async function prove(subject: IssuerSubject, lease: LeaseHandle): Promise<Observation['proof']> {
  let ended: LeaseHandle = { ...lease, revokedAt: subject.now() }
  for (let looks = 1; ; looks += 1) {
    const seen = await look(subject, ended)
    const wait = seen.lookAgainMs ?? 0
    if (seen.proof === 'dead' || looks === LOOKS || wait === 0 || !Number.isFinite(wait)) return seen.proof
    ended = seen.lease
    subject.advance(wait)
  }
}

export type Minted = { grant: Grant<unknown>; issued: Issued<unknown>; handle: LeaseHandle; secret: string }

/** Mints `asks.granted`. @throws Error where that is refused. */
export async function mintGranted(subject: IssuerSubject): Promise<Minted> {
  const grant = grantOf(subject, await grantedAsk(subject))
  const issued = await subject.issuer.issue(grant)
  if (!issued.ok) throw new Error(`refused what the provider grants: ${issued.reason}, ${issued.detail}`)
  return { grant, issued, handle: handleOf(subject, grant, issued), secret: issued.secret.reveal() }
}
