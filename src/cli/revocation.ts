import type { RevocationTarget } from '../broker/revoke.ts'
import { count } from './print.ts'
import { CommandError } from './terminal.ts'

export type Target = RevocationTarget

export function tellReached({
  tasks,
  leases,
}: {
  tasks: readonly string[]
  leases: readonly string[]
}): string {
  const ended = tasks.map(id => `  ${id}\n`).join('')
  return `${count(tasks.length, 'task')} ended, ${count(leases.length, 'credential')} being revoked\n${ended}`.trimEnd()
}

/** One id that reached nothing is perhaps a mistyped one; an agent without tasks is a fine answer. */
export function refuseNothing(
  target: Target,
  reached: { tasks: readonly string[]; leases: readonly string[] },
): void {
  if (reached.tasks.length > 0 || reached.leases.length > 0 || !('task' in target || 'lease' in target))
    return
  const [what, id] = 'task' in target ? ['task', target.task] : ['lease', target.lease]
  throw new CommandError(
    `nothing was revoked: ${what} ${JSON.stringify(id.slice(0, 60))} has ended already, or there is none.\n` +
      `  See it with: mayfly leases --${what === 'task' ? 'task ID' : 'state outstanding'}`,
  )
}
