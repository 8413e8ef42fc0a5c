/** Bugs that the simulation must find, each within 1,000 seeds. */
import type { Mutation } from './mutation.ts'
import { authorityBugs } from './planted/authority.ts'
import { deliveryBugs } from './planted/deliveries.ts'
import { drillBugs } from './planted/drills.ts'
import { leaseBugs } from './planted/leases.ts'
import { observerBugs } from './planted/observers.ts'
import { taskBugs } from './planted/tasks.ts'

export const planted: readonly Mutation[] = [
  ...taskBugs,
  ...leaseBugs,
  ...authorityBugs,
  ...deliveryBugs,
  ...drillBugs,
  ...observerBugs,
]
