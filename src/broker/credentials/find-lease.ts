import { timingSafeEqual } from 'node:crypto'
import { peekClaim } from '../../../attestors/shared/compact-jws.ts'
import type { LeaseRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { secretHash } from './lease-plan.ts'

/**
 * The lease of a credential that somebody presents, in whatever state. A JWT of an introspected issuer names its
 * lease in `jti`: that only says which row to look at, and nothing of it is believed before the whole token's
 * hash is the one in the row. Every other credential is found by its hash.
 */
export async function findLease(broker: Broker, token: string): Promise<LeaseRow | undefined> {
  const hash = secretHash(token)
  const named = peekClaim(token, 'jti')
  const lease = typeof named === 'string' ? await broker.ledger.read.lease(named) : undefined
  if (lease?.revocability !== 'introspected') return broker.ledger.read.leaseBySecret(hash)
  return lease.secret_sha256 !== null && isSame(lease.secret_sha256, hash) ? lease : undefined
}

function isSame(kept: string, presented: string): boolean {
  return kept.length === presented.length && timingSafeEqual(Buffer.from(kept), Buffer.from(presented))
}
