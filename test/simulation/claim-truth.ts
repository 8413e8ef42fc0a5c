/** Whose a lease is that a reaper is at: of two brokers that claim it one after the other, the first has no more to say. */
import type { Change } from './ledger/tables.ts'
import type { Facts } from './oracle.ts'

export function* claimChecks({ claims }: Facts, changes: readonly Change[], by: string): Generator<string> {
  for (const { table, before, after } of changes) {
    if (table !== 'leases' || after === undefined) continue
    const isClaimed = after.claimed_until !== null
    if (isClaimed && after.fence !== before?.fence) claims.set(after.id, by)
    if (isClaimed || before?.claimed_until == null || after.fence !== before.fence) continue
    // A minter closes what nobody was given, without a claim.
    if (after.state !== 'closed' && claims.get(after.id) !== by)
      yield `${by} gives back ${after.id}, which ${claims.get(after.id)} has claimed since`
  }
}
