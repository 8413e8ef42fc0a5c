/** What each commit must leave true. Pure: facts and changes in, problems out. */
import type { LeaseRow, TaskRow } from '../../src/store/rows.ts'
import { agentsOf } from './agents.ts'
import { approvalChecks } from './approval-truth.ts'
import { SIM_BUDGETS } from './budgets.ts'
import { claimChecks } from './claim-truth.ts'
import { deliveryChecks } from './delivery-truth.ts'
import { drillChecks } from './drill-truth.ts'
import type { Change } from './ledger/tables.ts'
import { mintChecks } from './mint-truth.ts'
import type { Facts } from './oracle.ts'
import { receiptProblems } from './receipt-truth.ts'
import { registryChecks } from './registry-truth.ts'
import { standingChecks } from './standing-truth.ts'
import { workChecks } from './work-truth.ts'

const widest = agentsOf('wide')
const hour = 3_600_000
const minute = 60_000
/** An outage longer than this cannot be missed by a broker, however it stood still meanwhile. */
const NOTICED_OUTAGE_MS = 70_000

export function* commitChecks(facts: Facts, changes: readonly Change[], by: string): Generator<string> {
  const events = new Set<string>()
  for (const { table, after } of changes)
    if (table === 'audit' && after !== undefined)
      events.add(`${after.event} ${after.lease ?? after.task ?? ''}`)
  for (const change of changes) {
    if (change.table === 'tasks' && change.after !== undefined)
      yield* taskChecks(facts, change.before, change.after, events)
    if (change.table === 'leases' && change.after !== undefined)
      yield* leaseChecks(facts, change.before, change.after, events)
    if (
      change.table === 'tickets' &&
      change.after !== undefined &&
      change.before?.state !== change.after.state
    )
      facts.tally.edge(`ticket ${change.before?.state ?? 'new'} > ${change.after.state}`)
    if (change.table === 'receipts' && change.after?.jws != null && change.before?.jws == null) {
      facts.tally.edge('receipt owed > signed')
      yield* receiptProblems(facts, change.after.jws)
    }
  }
  for (const lease of secretsThatCame(events)) {
    const row = facts.rows.leases.get(lease)
    if (row?.state !== 'closed' && row?.secret_sha256 == null)
      yield `the secret of ${lease} came, and the ledger did not keep it`
  }
  yield* registryChecks(facts, changes, by)
  yield* mintChecks(facts, changes, by)
  yield* approvalChecks(facts, changes)
  yield* standingChecks(facts, changes, events)
  yield* claimChecks(facts, changes, by)
  yield* deliveryChecks(facts, changes, events, by)
  yield* workChecks(facts, changes)
  yield* drillChecks(facts, changes, events)
  yield* budgetChecks(facts, changes)
}

function secretsThatCame(events: ReadonlySet<string>): string[] {
  const came = ['lease.activated', 'lease.answered_wider', 'lease.minted_after_end']
  return [...events]
    .map(one => one.split(' '))
    .flatMap(([event = '', lease = '']) => (came.includes(event) ? [lease] : []))
}

function* taskChecks(
  facts: Facts,
  before: TaskRow | undefined,
  after: TaskRow,
  events: ReadonlySet<string>,
): Generator<string> {
  const { rows, tally } = facts
  const line = rows.lines.get(after.id)?.ancestors ?? []
  for (const id of line)
    if (after.deadline > rows.tasks.get(id)!.deadline)
      yield `task ${after.id} outlives ${id}, which is above it`
  if (before?.state === after.state) return

  const ends = before?.state !== 'ended' && after.state !== 'active'
  if (ends && !tally.edge(`task ${before?.state ?? 'new'} > ended ${after.end}`))
    yield `task ${after.id} went from ${before?.state} to ended`
  if (!ends && !tally.edge(`task ${before?.state ?? 'new'} > ${after.state}`))
    yield `task ${after.id} went from ${before?.state} to ${after.state}`
  if (ends && after.state === 'settled') tally.edge('task ended > settled')
  if (
    before === undefined &&
    !events.has(`task.opened ${after.id}`) &&
    !events.has(`task.reissued ${after.id}`)
  )
    yield `task ${after.id} was opened, and the audit says nothing`
  if (ends && !events.has(`task.ended ${after.id}`))
    yield `task ${after.id} ended, and the audit says nothing`
  if (after.state === 'settled' && !events.has(`task.settled ${after.id}`))
    yield `task ${after.id} settled, and the audit says nothing`

  if (before === undefined) yield* openingChecks(facts, after, line)
  if (ends && before !== undefined) yield* endChecks(facts, before, after)
}

function* openingChecks({ rows }: Facts, task: TaskRow, line: readonly string[]): Generator<string> {
  for (const id of line)
    if (rows.tasks.get(id)?.state !== 'active')
      yield `task ${task.id} was opened below ${id}, which has ended`
  for (const other of rows.tasks.values()) {
    if (other.id === task.id) continue
    // A retry after a lost answer takes the place of a task that nobody had used; what comes later is too late.
    const wasUsed =
      other.token_used_at !== null && other.token_used_at < (other.ended_at ?? Number.POSITIVE_INFINITY)
    const isPassedOn = other.state !== 'active' && !wasUsed && other.evidence === task.evidence
    if (task.ticket !== null && other.ticket === task.ticket && !isPassedOn)
      yield `ticket ${task.ticket} opened ${other.id} and ${task.id}`
    if (task.evidence === null || other.evidence !== task.evidence) continue
    if (other.state === 'active')
      yield `evidence ${task.evidence} opened ${other.id} and ${task.id}, and both are active`
    if (wasUsed) yield `evidence ${task.evidence} opened ${task.id} after the token of ${other.id} was used`
  }
  const ticket = task.ticket === null ? undefined : rows.tickets.get(task.ticket)
  if (ticket !== undefined && task.parent !== ticket.parent_task)
    yield `task ${task.id} is not below the task that gave its ticket`
}

function* endChecks(
  { rows, beats, outages, tally }: Facts,
  before: TaskRow,
  after: TaskRow,
): Generator<string> {
  const at = after.ended_at ?? 0
  for (const { task, ancestors } of rows.lines.values())
    if (ancestors.includes(after.id) && rows.tasks.get(task)?.state === 'active')
      yield `${after.id} ended, and ${task} below it goes on`
  for (const lease of rows.leases.values())
    if (lease.task === after.id && (lease.state === 'intended' || lease.state === 'active'))
      yield `${after.id} ended, and its lease ${lease.id} is ${lease.state}`
  if (after.end === 'expired' && before.deadline > at) yield `${after.id} expired before its deadline`
  for (const approval of rows.approvals.values())
    if (approval.task === after.id && approval.state === 'pending')
      yield `${after.id} ended, and its approval ${approval.id} waits`
  if (after.end !== 'lapsed') return
  if (after.end_detail === 'no human checked in') {
    tally.edge('check-in missed')
    if ((rows.check_ins.get(after.id)?.due_at ?? 0) > at)
      yield `${after.id} lapsed, and a human had looked after it`
    return
  }
  if ((beats.get(after.id) ?? 0) > at && (before.heartbeat_due ?? 0) <= at)
    yield `${after.id} lapsed, and its heartbeat had been taken`
  const silence = before.heartbeat_ms ?? 0
  for (const { from, to } of outages)
    if (to - from > NOTICED_OUTAGE_MS && to > at - silence + 1_000)
      yield `${after.id} lapsed for a silence in which nobody could be told`
}

function* leaseChecks(
  facts: Facts,
  before: LeaseRow | undefined,
  after: LeaseRow,
  events: ReadonlySet<string>,
): Generator<string> {
  const { rows, providers, tally } = facts
  const { id } = after
  if (after.last_error?.includes('unknown after it was revoked') && after.revoked_at === null)
    yield `the provider of ${id} was told, and the ledger did not keep it`
  if (before?.state === after.state) return
  const as = after.state === 'closed' ? `closed ${after.closed_as}` : after.state
  if (!tally.edge(`lease ${before?.state ?? 'new'} > ${as}`))
    yield `lease ${id} went from ${before?.state ?? 'nothing'} to ${as}`

  const minted = providers.of(id)
  const task = rows.tasks.get(after.task)
  if (after.state === 'intended' || after.state === 'active') {
    if (task?.state !== 'active') yield `lease ${id} is ${after.state}, and its task is ${task?.state}`
    if (after.expires_at > (task?.deadline ?? 0)) yield `lease ${id} is promised beyond its task`
    if (before === undefined && !events.has(`lease.intended ${id}`) && !events.has(`lease.activated ${id}`))
      yield `lease ${id} came, and the audit says nothing`
  }
  if (after.state !== 'closed') return
  for (const one of minted) {
    if (providers.isAlive(one))
      yield `lease ${id} was closed as ${after.closed_as}, and its credential is alive`
    if (after.closed_as === 'never_minted') yield `lease ${id} was closed as never minted, and it was`
  }
  const told = ['lease.closed', 'lease.refused', 'lease.never_minted'].some(event =>
    events.has(`${event} ${id}`),
  )
  if (!told) yield `lease ${id} was closed, and the audit says nothing`
}

function* budgetChecks({ rows }: Facts, changes: readonly Change[]): Generator<string> {
  const opened = changes.filter(
    ({ table, before, after }) => table === 'tasks' && before === undefined && after !== undefined,
  )
  if (opened.length > 0)
    for (const [name, { limits }] of widest) {
      const active = [...rows.tasks.values()].filter(
        task => task.agent === name && task.state === 'active' && task.system === 0,
      )
      if (active.length > limits.active_tasks) yield `${name} has ${active.length} active tasks`
    }
  if (opened.length > 0) yield* sharedChecks(rows)
  for (const change of changes) {
    if (change.before !== undefined || change.after === undefined) continue
    if (change.table === 'tickets') {
      const parent = rows.tasks.get(change.after.parent_task)
      const given = [...rows.tickets.values()].filter(ticket => ticket.parent_task === parent?.id)
      if (given.length > (widest.get(parent?.agent ?? '')?.limits.children ?? 0))
        yield `${parent?.id} gave ${given.length} tickets`
    }
    if (change.table !== 'leases') continue
    const { agent } = change.after
    const limit = widest.get(agent)?.limits.credentials_per_hour
    if (limit === undefined) continue
    // Audit rows carry the moment by which the budget was judged.
    const at = (lease: string) => intendedAt(rows, lease)
    const thisHour = Math.floor(at(change.after.id) / hour)
    const minted = [...rows.leases.values()].filter(
      one =>
        one.agent === agent && one.closed_as !== 'never_minted' && Math.floor(at(one.id) / hour) === thisHour,
    )
    if (minted.length > limit) yield `${agent} was minted ${minted.length} credentials in one hour`
  }
  for (const { table, after } of changes)
    if (table === 'budgets' && after !== undefined && after.used > mostOf(after.key))
      yield `${after.key} counts ${after.used}`
}

/** What owners and lineages may use up, by the names of their counters. */
function mostOf(key: string): number {
  const [word, kind] = key.split('/')
  const { owners, lineages } = SIM_BUDGETS
  const limits = kind === 'lineage' ? lineages : kind === 'owner' ? owners.default : {}
  const name = word === 'credentials' ? 'credentials_per_hour' : word
  if (name !== 'credentials_per_hour' && name !== 'write_minutes_per_day') return Number.POSITIVE_INFINITY
  return (limits[name] ?? Number.POSITIVE_INFINITY) * (name === 'write_minutes_per_day' ? minute : 1)
}

/** Both agents have one owner. */
function* sharedChecks(rows: Facts['rows']): Generator<string> {
  const active = [...rows.tasks.values()].filter(task => task.state === 'active' && task.system === 0)
  const { owners, lineages } = SIM_BUDGETS
  if (active.length > (owners.default.active_tasks ?? 0)) yield `the owner has ${active.length} active tasks`
  for (const [root, tasks] of Map.groupBy(active, task => task.root))
    if (tasks.length > (lineages.active_tasks ?? 0)) yield `${root} has a lineage of ${tasks.length}`
}

function intendedAt(rows: Facts['rows'], lease: string): number {
  for (const row of rows.audit.values())
    if (row.lease === lease && (row.event === 'lease.intended' || row.event === 'lease.activated'))
      return row.at
  return 0
}
