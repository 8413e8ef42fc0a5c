/** How agents stand: refused first, ended after, and nothing of it left. */
import type { KnownAgentRow } from '../../src/store/rows.ts'
import type { Change } from './ledger/tables.ts'
import type { Committed } from './ledger/transaction.ts'
import type { Facts } from './oracle.ts'
import { agentsInLine } from './registered.ts'

export function* standingChecks(
  { rows, tally }: Facts,
  changes: readonly Change[],
  events: ReadonlySet<string>,
): Generator<string> {
  let isToBeLookedAt = false
  for (const change of changes) {
    if (change.table === 'revocations') isToBeLookedAt ||= change.after?.state === 'done'
    if (change.table !== 'agents' || change.before === undefined || change.after === undefined) continue
    const [from, to] = [change.before.standing, change.after.standing]
    if (from === to) continue
    isToBeLookedAt = true
    if (!tally.edge(`agent ${from} > ${to}`)) yield `${change.key} went from ${from} to ${to}`
    if (!events.has(`agent.${to === 'active' ? 'activated' : to} `))
      yield `${change.key} became ${to}, and the audit says nothing`
  }
  if (!isToBeLookedAt) return
  // What is refused before it is ended is not there any more when its end is said to be done.
  for (const agent of rows.agents.values())
    if (agent.standing_run !== null && rows.revocations.get(agent.standing_run)?.state === 'done')
      yield* standingProblems(rows, agent)
}

/** What an agent has that it may not have as it stands. */
export function* standingProblems(
  rows: Readonly<Committed>,
  { name, standing }: KnownAgentRow,
): Generator<string> {
  if (standing === 'active') return
  if (standing !== 'quarantined') {
    for (const task of rows.tasks.values())
      if (task.agent === name && task.state === 'active')
        yield `${name} is ${standing}, and ${task.id} goes on`
    return
  }
  for (const lease of rows.leases.values()) {
    if ((lease.state !== 'intended' && lease.state !== 'active') || lease.phase === 'read') continue
    if (agentsInLine(rows, lease.task).has(name))
      yield `${name} is quarantined, and ${lease.id} (${lease.phase}) is ${lease.state}`
  }
}
