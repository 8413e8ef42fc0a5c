import type { LeaseRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { secretHash } from '../credentials/lease-plan.ts'
import { verifiedTask } from '../verified-rows.ts'

/** What a live task JWT says: its claims are the signature's word, that it lives is the ledger's. */
export type LiveCredential = { claims: Readonly<Record<string, unknown>>; lease: LeaseRow }

/**
 * A JWT that this broker signed for a task and that still lives. Undefined for anything unknown, ended, revoked
 * or past its time: who asks learns nothing of which it was. Nothing that is granted is read from the ledger,
 * so that writing to it makes no credential and widens none.
 */
export async function liveCredential(broker: Broker, token: string): Promise<LiveCredential | undefined> {
  const claims = broker.verifyTaskJwt(token)
  if (typeof claims?.jti !== 'string') return undefined
  const lease = await broker.ledger.read.lease(claims.jti)
  if (lease?.state !== 'active' || lease.secret_sha256 !== secretHash(token)) return undefined
  const now = await broker.ledger.now()
  if (lease.expires_at <= now || typeof claims.exp !== 'number' || claims.exp * 1_000 <= now) return undefined
  const task = await broker.ledger.read.task(lease.task)
  if (task === undefined || task.state !== 'active' || verifiedTask(broker, task).deadline <= now)
    return undefined
  return { claims, lease }
}
