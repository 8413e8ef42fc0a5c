/**
 * At the COMMIT that makes a mint possible: everything that bounds it, as the ledger has it at that instant, judged
 * once more from the rows alone.
 */
import type { ApprovalRow, LeaseRow, TaskRow } from '../../src/store/rows.ts'
import { approvalProblems } from './approval-truth.ts'
import type { Change } from './ledger/tables.ts'
import type { Facts } from './oracle.ts'
import { agentsInLine, keptApart, verdictOf } from './registered.ts'
import { isWithin, type Scope } from './scope.ts'

export function* mintChecks(facts: Facts, changes: readonly Change[], by: string): Generator<string> {
  const { rows, spent } = facts
  for (const change of changes) {
    if (change.table !== 'leases' || change.after === undefined) continue
    const { before, after } = change
    if (before === undefined) {
      yield* generationChecks(facts, after, by)
      yield* boundChecks(facts, after, changes)
    } else if (before.state === 'intended' && after.state === 'active') yield* agentChecks(facts, after)
    if (after.closed_as === 'never_minted' && before?.state !== 'closed')
      for (const leases of spent.values()) leases.delete(after.id)
  }
  for (const task of opened(changes))
    for (const name of agentsInLine(rows, task.id)) {
      const row = rows.agents.get(name)
      if (row?.status !== 'active' || (row.standing !== 'active' && row.standing !== 'quarantined'))
        yield `${task.id} was opened, and ${name} is ${row?.status} and ${row?.standing}`
    }
}

const opened = (changes: readonly Change[]): TaskRow[] =>
  changes.flatMap(one =>
    one.table === 'tasks' && one.before === undefined && one.after?.system === 0 ? [one.after] : [],
  )

/** Whoever mints has installed what was registered when it began, by files that are in force. */
function* generationChecks({ generations, hostOf }: Facts, lease: LeaseRow, by: string): Generator<string> {
  const host = hostOf(by)
  const inForce = generations.findLast(one => one.at < lease.intended_at)
  if (host === undefined || inForce === undefined) return
  if (host.broker.generation() < inForce.generation)
    yield `${lease.id} was minted by generation ${host.broker.generation()} under ${inForce.generation}`
  if (inForce.files !== null && !host.files.has(inForce.files) && generations.at(-1)?.files === inForce.files)
    yield `${lease.id} was minted by a broker whose files are not in force`
}

function* boundChecks(facts: Facts, lease: LeaseRow, changes: readonly Change[]): Generator<string> {
  const { rows, spent } = facts
  if (rows.tasks.get(lease.task)?.system !== 0) return
  yield* agentChecks(facts, lease)
  const { forbids, asks } = verdictOf(rows, lease)
  for (const rule of forbids) yield `${lease.id} was minted, and ${rule.id} forbids it`
  for (const { rule, given } of keptApart(rows, lease))
    yield `${lease.id} (${lease.phase}) was minted after ${given}, and ${rule} keeps them apart`
  const used = spending(lease, changes)
  if (used === undefined) {
    if (asks.length > 0) yield `${lease.id} was minted without the approval that ${asks[0]?.id} demands`
    return
  }
  yield* approvalProblems(facts, lease, used, asks)
  const leases = spent.get(used.id) ?? new Set()
  spent.set(used.id, leases.add(lease.id))
  if (leases.size > used.mints)
    yield `${used.id} is good for ${used.mints} mints, and ${leases.size} were made`
}

/** The agent and every one above it are registered, may work, and may have this. */
function* agentChecks({ rows }: Facts, lease: LeaseRow): Generator<string> {
  if (rows.tasks.get(lease.task)?.system !== 0) return
  for (const name of agentsInLine(rows, lease.task)) {
    const row = rows.agents.get(name)
    const mayWork = row?.standing === 'active' || (row?.standing === 'quarantined' && lease.phase === 'read')
    if (row === undefined || row.status !== 'active' || !mayWork) {
      yield `${lease.id} (${lease.phase}) was minted, and ${name} is ${row?.status} and ${row?.standing}`
      continue
    }
    const { ceiling } = JSON.parse(row.document) as { ceiling: Record<string, Scope[]> }
    const granted = JSON.parse(lease.granted) as Scope
    if (lease.state !== 'active' && !ceiling[lease.issuer]?.some(allowed => isWithin(allowed, granted)))
      yield `${lease.id} was minted, and ${name} may not have it`
  }
}

/** The approval that was counted for this ask with it. */
function spending(lease: LeaseRow, changes: readonly Change[]): ApprovalRow | undefined {
  for (const { table, before, after } of changes)
    if (table === 'approvals' && after?.ask === lease.ask_id && after.minted === (before?.minted ?? 0) + 1)
      return after
  return undefined
}
