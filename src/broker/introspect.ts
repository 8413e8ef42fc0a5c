import type { LeaseRow, TaskRow } from '../store/rows.ts'
import type { Broker } from './broker.ts'
import { secretHash } from './lease-plan.ts'

/**
 * A live credential as the ledger knows it, found by the credential itself. Undefined for anything unknown,
 * ended, revoked or past its time: an introspecting resource server learns nothing of which it was.
 */
export async function liveCredential(
  broker: Broker,
  token: string,
): Promise<{ lease: LeaseRow; task: TaskRow } | undefined> {
  const lease = await broker.ledger.read.leaseBySecret(secretHash(token))
  if (lease === undefined || lease.state !== 'active') return undefined
  const now = await broker.ledger.now()
  if (lease.expires_at <= now) return undefined
  const task = await broker.ledger.read.task(lease.task)
  return task === undefined || task.state !== 'active' || task.deadline <= now ? undefined : { lease, task }
}
