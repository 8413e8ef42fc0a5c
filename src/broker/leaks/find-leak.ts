/** What a secret that somebody found is: a credential of a lease, or a token of Mayfly's own. */
import { parseToken, type TokenKind } from '../../keys/tokens.ts'
import { leaseNamedBy } from '../../scan/jwt-id.ts'
import type { LeakKind, LeaseRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { findLease } from '../credentials/find-lease.ts'
import { secretHash } from '../credentials/lease-plan.ts'
import { taskByToken } from '../tasks/task-by-token.ts'

/** What is known of the secret. Whoever has only its hash, or the id that it names, does not show it. */
export type Sighting = { token: string } | { sha256: string } | { lease: string }

export type FoundLeak = {
  kind: LeakKind
  /** Id of the lease, task, ticket, operator token or session. */
  subject: string
  /** What ends with it; absent for what is an operator's own. */
  task?: TaskRow
  lease?: LeaseRow
  /** Since when it is of no use, epoch ms; null while it may be. */
  overSince: number | null
}

/**
 * Undefined where nobody knows it.
 *
 * @param named whether the id that a broken JWT carries is enough. It is no secret (providers log it), so it is not
 * the word of whoever holds one.
 */
export async function findLeak(
  broker: Broker,
  sighting: Sighting,
  { named }: { named: boolean },
): Promise<FoundLeak | undefined> {
  const { read } = broker.ledger
  if ('lease' in sighting) return named ? ofLease(broker, await read.lease(sighting.lease)) : undefined
  if ('sha256' in sighting)
    return ofLease(
      broker,
      (await read.leaseBySecret(sighting.sha256)) ?? (await read.leaseByPrint(sighting.sha256)),
    )
  const kind = parseToken(sighting.token)?.kind
  if (kind !== undefined) return FIND[kind](broker, sighting.token)
  return ofLease(broker, await leaseOf(broker, sighting.token, named))
}

async function leaseOf(broker: Broker, token: string, named: boolean): Promise<LeaseRow | undefined> {
  const { read } = broker.ledger
  const exact = (await findLease(broker, token)) ?? (await read.leaseByPrint(secretHash(token)))
  if (exact !== undefined) return exact
  // One signature has several spellings that are all good.
  const signed = broker.verifyTaskJwt(token)?.jti
  if (typeof signed === 'string') return read.lease(signed)
  const id = named ? leaseNamedBy(token) : undefined
  return id === undefined ? undefined : read.lease(id)
}

async function ofLease(broker: Broker, lease: LeaseRow | undefined): Promise<FoundLeak | undefined> {
  // Of an intent there is no secret yet that could have leaked.
  if (lease === undefined || lease.secret_sha256 === null) return undefined
  const task = await broker.ledger.read.task(lease.task)
  if (task === undefined) return undefined
  const overSince = lease.state === 'closed' ? (lease.confirmed_dead_at ?? lease.closed_at) : null
  return { kind: 'credential', subject: lease.id, lease, task, overSince }
}

const FIND: Readonly<Record<TokenKind, (broker: Broker, token: string) => Promise<FoundLeak | undefined>>> = {
  async task(broker, token) {
    const task = await taskByToken(broker, token)
    return task && { kind: 'task_token', subject: task.id, task, overSince: task.ended_at }
  },
  /** The parent's task ends, and below it whoever redeemed the ticket. */
  async ticket({ ledger: { read }, keyring }, token) {
    const ticket = await read.ticketByToken(keyring.tokenHash(token))
    const task = ticket && (await read.task(ticket.parent_task))
    return task && { kind: 'ticket', subject: ticket.id, task, overSince: task.ended_at }
  },
  async operator({ ledger: { read }, keyring }, token) {
    const row = await read.operatorByToken(keyring.tokenHash(token))
    return row && { kind: 'operator_token', subject: row.id, overSince: null }
  },
  async session({ ledger: { read }, keyring }, token) {
    const row = await read.operatorSessionByToken(keyring.tokenHash(token))
    return row && { kind: 'operator_session', subject: row.id, overSince: row.ended_at }
  },
}
