/** What drills say, against what became of their canaries. */
import type { DrillRow } from '../../src/store/rows.ts'
import { sureDrills } from './drills.ts'
import type { Change } from './ledger/tables.ts'
import type { Facts } from './oracle.ts'

const DAY_MS = 86_400_000

export function* drillChecks(
  facts: Facts,
  changes: readonly Change[],
  events: ReadonlySet<string>,
): Generator<string> {
  for (const change of changes) {
    if (change.table !== 'drills' || change.after === undefined) continue
    const { before, after } = change
    const isStart = before === undefined
    const isAbandoned = after.detail?.startsWith('abandoned') === true
    facts.tally.edge(`drill ${isStart ? 'new' : before.state} > ${isAbandoned ? 'abandoned' : after.state}`)
    if (isStart) yield* startProblems(facts, after, events)
    if (isAbandoned && after.deadline > facts.scheduler.now())
      yield `${after.id} was given up for lost, and is not past its deadline`
    if (after.state === 'passed') yield* passProblems(facts, after)
  }
}

function* startProblems(
  { rows, scheduler, began }: Facts,
  { id, issuer }: DrillRow,
  events: ReadonlySet<string>,
): Generator<string> {
  const others = [...rows.drills.values()].filter(drill => drill.issuer === issuer)
  const running = others.filter(({ state }) => state === 'running')
  if (running.length > 1) yield `${running.length} drills of ${issuer} are running`
  const days = Math.floor(scheduler.now() / DAY_MS) - Math.floor(began / DAY_MS) + 1
  const daily = others.filter(({ actor }) => actor === 'schedule').length
  if (daily > days) yield `${issuer} had ${daily} drills by the calendar in ${days} days`
  if (!events.has('drill.started ')) yield `${id} was started, and the audit says nothing`
}

/** It was minted, worked, was ended by somebody before it was over, and was dead when that was said. */
function* passProblems(
  { rows, providers }: Facts,
  { id, issuer, lease: name, task: of, dead_ms }: DrillRow,
): Generator<string> {
  const lease = rows.leases.get(name ?? '')
  const task = rows.tasks.get(of ?? '')
  if (lease === undefined || task === undefined || lease.task !== of || lease.issuer !== issuer)
    return yield `${id} passed, and there is no canary of it`
  const { state, closed_as, active_at } = lease
  if (task.state === 'active' || task.ended_at === null || active_at === null || state !== 'closed')
    return yield `${id} passed, and ${name} is ${state}`
  // The ledger itself is what decides of a JWT.
  if (issuer === 'jwt') return
  const [canary] = providers.of(lease.id)
  if (canary === undefined) return yield `${id} passed, and ${name} was never minted`
  if (!canary.hasWorked) yield `${id} passed, and nobody has seen ${name} at work`
  if (providers.isAlive(canary)) yield `${id} passed, and ${name} is alive`
  else if (providers.isAlive(canary, canary.expiresAt - 1))
    yield `${id} passed, and ${name} was not ended by anybody (${closed_as})`
  else if (dead_ms === null || providers.isAlive(canary, task.ended_at + dead_ms))
    yield `${id} says that ${name} was dead after ${dead_ms} ms, and it was alive`
}

/** The last drill of each of these was asked for when nothing failed any more. */
export function* drillsThatDidNotPass({ rows }: Facts): Generator<string> {
  const drills = [...rows.drills.values()]
  for (const { id, state } of drills) if (state === 'running') yield `${id} never ends`
  for (const issuer of sureDrills) {
    const last = drills.filter(drill => drill.issuer === issuer).at(-1)
    if (last?.state !== 'passed')
      yield `nothing fails any more, and a drill of ${issuer} is ${last?.state}: ${last?.detail}`
  }
}
