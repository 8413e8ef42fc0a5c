import type { KeepOthers, KeptLease } from '../../../issuers/issuer.ts'
import type { Broker } from '../broker.ts'
import { mayHaveForgotten } from '../tasks/restored.ts'
import { lifeEnd } from './reap-lease.ts'

/**
 * Who stays ended by the document of a group though a restored ledger does not say so: whom it has forgotten, and
 * whom it has as they were before their end. Whoever it knows to be past their life goes. Undefined: it has
 * forgotten nobody.
 */
export async function keepForgotten(broker: Broker): Promise<KeepOthers | undefined> {
  const { ledger } = broker
  const announcedAt = await mayHaveForgotten(broker)
  if (announcedAt === undefined) return undefined
  return async leases => {
    const now = await ledger.now()
    const forgotten: KeptLease[] = []
    const alive: KeptLease[] = []
    for (const lease of leases) {
      const row = await ledger.read.lease(lease)
      if (row === undefined) forgotten.push({ lease, issuedBy: announcedAt })
      else if (now < lifeEnd(broker, row))
        alive.push({ lease, issuedBy: row.active_at ?? row.mint_not_after })
    }
    return [...forgotten, ...alive]
  }
}
