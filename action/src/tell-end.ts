import type { Lease, Task, TaskStatus } from '../../src/client/index.ts'
import type { Job } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'
import { pause } from './patience.ts'
import { shown } from './plain.ts'

/** Until nothing is left that its provider ends at once, or for a bounded time. */
export async function untilQuiet(job: Job, task: Task): Promise<TaskStatus> {
  const until = job.world.now() + ACTION_LIMITS.settleMs
  for (;;) {
    const status = await task.read()
    const isBusy = status.credentials.some(
      lease => lease.state !== 'closed' && lease.revocability === 'immediate',
    )
    if (!isBusy || job.world.now() >= until) return status
    await pause(job, ACTION_LIMITS.settlePollMs)
  }
}

/** How the task ended, and how each of its credentials. */
export function tellEnd({ id, end, credentials }: TaskStatus): string {
  return [`task ${shown(id)} has ended (${shown(end ?? 'ended')})`, ...credentials.map(told)].join('\n')
}

function told({ issuer, state, closedAs, revocability, providerExpiresAt }: Lease): string {
  if (state === 'closed') return `  ${shown(issuer)}: ${shown(closedAs ?? 'closed')}`
  const last = providerExpiresAt === null ? '' : `, of no use after ${shown(providerExpiresAt)}`
  return `  ${shown(issuer)}: being ended (${shown(revocability)}${last})`
}
