import { isOfTasks, type RevocationFilter } from '../../policy/revocation-filter.ts'
import type { LeaseRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { leasesFrom, tasksOf } from './revocations.ts'

/** `complete`: false where there is more than is listed. */
export type RevocationPreview = { tasks: TaskRow[]; leases: LeaseRow[]; complete: boolean }

/** What a revocation with this filter would end, as the ledger stands; changes nothing. */
export async function previewRevocation(
  broker: Broker,
  filter: RevocationFilter,
): Promise<RevocationPreview> {
  const tasks = new Map<string, TaskRow>()
  const leases = new Map<string, LeaseRow>()
  const { previewRows: limit } = broker.limits
  const isFull = () => tasks.size >= limit || leases.size >= limit
  const { read } = broker.ledger

  if (isOfTasks(filter)) {
    // Those above come last in a page: what is below them was perhaps taken in already.
    const page = await read.tasks(tasksOf(filter), { limit })
    for (const found of page.items) {
      if (tasks.has(found.id)) continue
      for (const task of (await read.tasks({ state: 'active', within: found.id }, { limit })).items)
        tasks.set(task.id, task)
      const held = await read.leases({ state: 'outstanding', within: found.id }, { limit })
      for (const lease of held.items) leases.set(lease.id, lease)
      if (isFull()) break
    }
  }
  let after: string | null = null
  let scanned = 0
  do {
    const page: { items: LeaseRow[]; next: string | null } = await leasesFrom(broker, filter, after)
    for (const lease of page.items) leases.set(lease.id, lease)
    after = page.next
    scanned += 1
  } while (after !== null && !isFull() && scanned < broker.limits.previewPages)
  return {
    tasks: [...tasks.values()].slice(0, limit),
    leases: [...leases.values()].slice(0, limit),
    complete: after === null && !isFull(),
  }
}
