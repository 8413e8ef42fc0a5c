/**
 * One due lease, one step nearer to closed. Nothing is ever reported revoked that was not, and revocation
 * never gives up before the provider's own expiry is past.
 */
import {
  type Issuer,
  type LeaseHandle,
  type Observation,
  observed,
  ProviderUnavailable,
} from '../../../issuers/issuer.ts'
import { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { KeyringError } from '../../keys/keyring-error.ts'
import { LedgerUnavailable } from '../../store/ledger.ts'
import type { LeaseClose, LeaseRow } from '../../store/rows.ts'
import { backoffMs, spreadMs } from '../backoff.ts'
import type { Broker } from '../broker.ts'
import { groupClaim } from '../group-claim.ts'
import { promiseDue } from './lease-plan.ts'

/** `provider_down` counts against the issuer's breaker; everything else is the provider's answer. */
export type ReapOutcome = 'closed' | 'later' | 'provider_down'

export async function reapLease(broker: Broker, claimed: LeaseRow): Promise<ReapOutcome> {
  const now = await broker.ledger.now()

  // 1. Past the life the provider gave it, it is over whatever anyone answers.
  const overWithSkew = lifeEnd(broker, claimed)
  if (now >= overWithSkew) return pastItsLife(broker, claimed, now)

  // 2. A minter that never came back may have minted: nothing can be said before `dead_by`.
  if (claimed.provider_expires_at === null) return later(broker, claimed, { due_at: overWithSkew })

  // 3. A member of a group is seen at work, so that its death can be told from a call that never worked.
  if (isFirstLook(claimed, now)) return firstLook(broker, claimed, now)

  // 4. A promise that fell due while the task goes on is kept like any other end.
  const lease = claimed.state === 'active' ? await startRevoking(broker, claimed) : claimed
  if (lease === undefined) return 'later'
  if (lease.revocability === 'expiry_only') return later(broker, lease, { due_at: overWithSkew })

  // 5. Ask the provider to end it, then to prove it.
  const issuer = broker.issuers.get(lease.issuer)
  if (issuer === undefined || (lease.revocation_group !== null && issuer.revokeGroup === undefined)) {
    const last_error = 'no issuer is configured here that can revoke it; it cannot end before it expires'
    broker.log.error({ alarm: 'issuer_missing', lease: lease.id, issuer: lease.issuer }, last_error)
    return later(broker, lease, { due_at: now + broker.limits.backoffCapMs, last_error })
  }
  try {
    return await revokeAndProve(broker, lease, issuer, now)
  } catch (cause) {
    // Neither is the provider's doing. What an outage of the ledger cut short, the next claim takes up.
    if (cause instanceof LedgerUnavailable) throw cause
    if (cause instanceof KeyringError) return unopened(broker, lease, now, cause)
    return failed(broker, lease, now, cause)
  }
}

/** The ledger's fault, not the provider's: nothing can be revoked with a secret that does not open. */
function unopened(broker: Broker, lease: LeaseRow, now: number, cause: KeyringError): Promise<ReapOutcome> {
  const { id, issuer } = lease
  broker.log.error(
    { alarm: 'sealed_secret_altered', lease: id, issuer, err: cause },
    'a sealed secret does not open',
  )
  const due_at = Math.min(now + broker.limits.backoffCapMs, lifeEnd(broker, lease))
  return later(broker, lease, { due_at, last_error: 'its sealed secret does not open' })
}

/**
 * The clock says that it has expired. Where the secret is at hand the provider is asked once all the same: a
 * clock that leapt must not let a living credential out of sight.
 */
async function pastItsLife(broker: Broker, lease: LeaseRow, now: number): Promise<ReapOutcome> {
  const closed_as = expiredAs(lease)
  const issuer = broker.issuers.get(lease.issuer)
  if (issuer === undefined || lease.sealed_secret === null || lease.revocation_group !== null)
    return close(broker, lease, { closed_as })
  try {
    const handle = handleOf(broker, lease)
    const how = lease.revoked_at === null ? await issuer.revoke(handle) : 'already_gone'
    const { proof } = observed(await issuer.probe(handle))
    if (proof === 'alive') return aliveAfterExpiry(broker, lease, now)
    if (proof === 'unknown') return close(broker, lease, { closed_as })
    const seen = { confirmed_dead_at: await broker.ledger.now() }
    if (how === 'already_gone')
      return close(broker, lease, { ...seen, closed_as: lease.revoked_at === null ? 'expired' : 'revoked' })
    return close(broker, lease, { ...seen, closed_as: 'revoked', revoked_at: seen.confirmed_dead_at })
  } catch (cause) {
    broker.log.warn({ lease: lease.id, issuer: lease.issuer, err: cause }, 'expired, and not seen dead')
    return close(broker, lease, { closed_as })
  }
}

function aliveAfterExpiry(broker: Broker, lease: LeaseRow, now: number): Promise<ReapOutcome> {
  const last_error = 'the provider says alive after its expiry: is the clock of this broker right?'
  broker.log.error({ alarm: 'alive_after_expiry', lease: lease.id, issuer: lease.issuer }, last_error)
  const attempts = lease.attempts + 1
  return later(broker, lease, { due_at: now + backoff(broker, attempts), attempts, last_error })
}

async function revokeAndProve(
  broker: Broker,
  lease: LeaseRow,
  issuer: Issuer,
  now: number,
): Promise<ReapOutcome> {
  let how: 'revoked' | 'already_gone' = 'revoked'
  if (lease.revoked_at === null) how = await issuer.revoke(handleOf(broker, lease))
  // A receipt says when: never a moment before the provider had answered.
  const revoked_at = lease.revoked_at ?? (await broker.ledger.now())
  let seen: Observation
  try {
    const handle = handleOf(broker, { ...lease, revoked_at })
    seen = observed(await issuer.probe(handle))
    // Told at an earlier look, and alive all the same: told again. A group has its document for that.
    if (seen.proof === 'alive' && lease.revoked_at !== null && lease.revocation_group === null) {
      how = await issuer.revoke(handle)
      seen = observed(await issuer.probe(handle))
    }
  } catch (cause) {
    return failed(broker, { ...lease, revoked_at }, now, cause)
  }
  const proven = { ...lease, proof: seen.remember ?? lease.proof }
  if (seen.proof === 'dead') {
    const confirmed_dead_at = await broker.ledger.now()
    const dead_after_ms = Math.max(0, (seen.deadSince ?? confirmed_dead_at) - revoked_at)
    return close(broker, proven, { closed_as: how, revoked_at, confirmed_dead_at }, { dead_after_ms })
  }
  // Told dead and yet alive: revoke again next time. Not known: only ask again.
  const attempts = lease.attempts + 1
  if (seen.proof === 'alive' && now - revoked_at > broker.limits.groupDoubtMs) await doubt(broker, lease)
  const wait = seen.lookAgainMs ?? backoff(broker, attempts)
  return later(broker, proven, {
    due_at: Math.min(now + wait, lifeEnd(broker, lease)),
    attempts,
    last_error: seen.detail ?? `the provider says ${seen.proof} after it was revoked`,
    ...(seen.proof === 'unknown' ? { revoked_at } : {}),
  })
}

/** Once nothing of it can be alive, whatever anyone answers. Epoch ms. */
export function lifeEnd(broker: Broker, lease: Pick<LeaseRow, 'provider_expires_at' | 'dead_by'>): number {
  if (lease.provider_expires_at === null) return lease.dead_by
  return lease.provider_expires_at + broker.limits.clockSkewMs
}

/** Active, in a group, and not yet due to end. */
function isFirstLook(lease: LeaseRow, now: number): boolean {
  return lease.state === 'active' && lease.revocation_group !== null && now < lease.expires_at
}

/** A few tries; what cannot be seen at work now is looked at again when it ends. Never held against the provider. */
async function firstLook(broker: Broker, lease: LeaseRow, now: number): Promise<ReapOutcome> {
  const promise = promiseDue(broker, lease.expires_at, lease.provider_expires_at ?? lease.dead_by)
  const proof = await lookAt(broker, lease)
  if (proof !== null) return later(broker, { ...lease, proof }, { due_at: promise, attempts: 0 })
  const attempts = lease.attempts + 1
  if (attempts >= broker.limits.firstLooks) return later(broker, lease, { due_at: promise, attempts: 0 })
  return later(broker, lease, { due_at: Math.min(promise, now + backoff(broker, attempts)), attempts })
}

/** What the issuer remembers of a look at a credential that was not ended; null where it saw nothing. */
export async function lookAt(broker: Broker, lease: LeaseRow): Promise<string | null> {
  const issuer = broker.issuers.get(lease.issuer)
  if (issuer === undefined) return null
  try {
    return observed(await issuer.probe(handleOf(broker, lease))).remember ?? null
  } catch (cause) {
    broker.log.debug({ lease: lease.id, issuer: lease.issuer, err: cause }, 'it could not be looked at')
    return null
  }
}

/** Ended long ago, and it still answers: perhaps the document that ends it was changed by someone else. */
async function doubt(broker: Broker, lease: LeaseRow): Promise<void> {
  const { revocation_group: group } = lease
  if (group === null) return
  broker.log.warn({ lease: lease.id, issuer: lease.issuer, group }, 'told dead, and it still answers')
  await broker.ledger.write(tx => tx.wakeClaim(groupClaim(lease.issuer, group)))
}

/** Gives a claimed lease back untried: its provider is being left alone until `until`. */
export async function postpone(broker: Broker, lease: LeaseRow, until: number): Promise<void> {
  await later(broker, lease, { due_at: until })
}

/** Undefined: somebody else moved it meanwhile. */
export async function startRevoking(broker: Broker, lease: LeaseRow): Promise<LeaseRow | undefined> {
  const row = await broker.ledger.write(async tx => {
    const revoking = await tx.revokeLease(lease.id)
    const subject = { actor: 'broker', task: lease.task, agent: lease.agent, lease: lease.id }
    if (revoking !== undefined) await record(tx, 'lease.revoking', subject, { because: 'expires_at' })
    return revoking
  })
  return row === undefined ? undefined : { ...lease, state: row.state, revoking_at: row.revoking_at }
}

async function close(
  broker: Broker,
  lease: LeaseRow,
  to: { closed_as: LeaseClose; revoked_at?: number; confirmed_dead_at?: number },
  figures: Readonly<Record<string, number>> = {},
): Promise<ReapOutcome> {
  const remembered = lease.proof === null ? {} : { proof: lease.proof }
  const closed = await broker.ledger.write(async tx => {
    const row = await tx.closeLease(lease.id, lease.fence, { ...to, ...remembered })
    if (row === undefined) return undefined
    const subject = { actor: 'broker', task: lease.task, agent: lease.agent, lease: lease.id }
    await record(tx, 'lease.closed', subject, { ...to, ...figures })
    const settled = await tx.settleTasks([lease.task])
    for (const id of settled)
      await record(tx, 'task.settled', { actor: 'broker', task: id, agent: lease.agent })
    return { row, settled: settled.length > 0 }
  })
  if (closed?.settled) broker.settled()
  if (closed?.row.confirmed_dead_at != null && closed.row.revoking_at !== null)
    broker.metrics.dead(lease.issuer, Math.max(0, closed.row.confirmed_dead_at - closed.row.revoking_at))
  if (closed?.row.closed_as === 'expired_unconfirmed')
    broker.log.error(
      { alarm: 'expired_unconfirmed', lease: lease.id, issuer: lease.issuer, task: lease.task },
      'a credential expired at its provider without a confirmed revocation',
    )
  return 'closed'
}

export async function later(
  broker: Broker,
  lease: LeaseRow,
  to: { due_at: number; attempts?: number; last_error?: string | null; revoked_at?: number },
): Promise<ReapOutcome> {
  await broker.ledger.write(tx =>
    tx.retryLease(lease.id, lease.fence, {
      attempts: lease.attempts,
      last_error: lease.last_error,
      ...(lease.proof === null ? {} : { proof: lease.proof }),
      ...to,
    }),
  )
  return 'later'
}

/** Back off with jitter, or as the provider asked; never beyond the moment the lease is over anyway. */
export async function failed(
  broker: Broker,
  lease: LeaseRow,
  now: number,
  cause: unknown,
): Promise<ReapOutcome> {
  const attempts = lease.attempts + 1
  const asked = cause instanceof ProviderUnavailable ? cause.retryAfterMs : undefined
  const wait = Math.max(backoff(broker, attempts), Math.min(asked ?? 0, broker.limits.retryAfterCapMs))
  const over = lifeEnd(broker, lease)
  broker.log.warn(
    { lease: lease.id, issuer: lease.issuer, attempts, retry_in_ms: wait, err: cause },
    'revocation did not succeed yet',
  )
  const last_error =
    cause instanceof Error ? cause.message.slice(0, broker.limits.detailChars) : 'unknown error'
  const { revoked_at } = lease
  const revoked = revoked_at === null ? {} : { revoked_at }
  await later(broker, lease, { due_at: Math.min(now + wait, over), attempts, last_error, ...revoked })
  return 'provider_down'
}

function backoff(broker: Broker, attempts: number): number {
  const { backoffBaseMs: baseMs, backoffCapMs: capMs } = broker.limits
  return spreadMs(broker, backoffMs({ baseMs, capMs }, attempts))
}

/** What never needed a revocation simply expired; what did, and was not seen dead, is an alarm. */
function expiredAs(lease: LeaseRow): LeaseClose {
  if (lease.provider_expires_at === null) return 'expired_unconfirmed'
  if (lease.revocability === 'expiry_only' || lease.revocability === 'introspected') return 'expired'
  return lease.state === 'active' ? 'expired' : 'expired_unconfirmed'
}

function handleOf(broker: Broker, lease: LeaseRow): LeaseHandle {
  const sealed = lease.sealed_secret
  return {
    lease: lease.id,
    ask: JSON.parse(lease.granted) as unknown,
    ...(lease.provider_expires_at === null ? {} : { providerExpiresAt: lease.provider_expires_at }),
    ...(lease.revoked_at === null ? {} : { revokedAt: lease.revoked_at }),
    ...(lease.proof === null ? {} : { remembered: lease.proof }),
    ...(sealed === null ? {} : { secret: openSecret(broker, lease.id, sealed) }),
  }
}

function openSecret(broker: Broker, lease: string, sealed: Uint8Array): Secret {
  const opened = broker.keyring.open(sealed, { row: lease, column: 'sealed_secret' })
  return new Secret(Buffer.from(opened).toString('utf8'))
}
