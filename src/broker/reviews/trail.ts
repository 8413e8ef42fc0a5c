/** Everything the ledger knows of one task: who asked, why, by which rule, what was minted, what ended it. */
import type { AskRow, AuditRow, DecisionRow, LeaseRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

export type Trail = {
  task: TaskRow
  /** The tasks above, root first. */
  ancestors: TaskRow[]
  /** The tasks below, each of them; newest first. */
  descendants: TaskRow[]
  asks: AskRow[]
  /** In the order in which they were made. */
  decisions: DecisionRow[]
  leases: LeaseRow[]
  /** In the order in which it happened. */
  events: AuditRow[]
  /** Whether there is more than a trail shows; the lists of the API have the rest. */
  complete: boolean
}

/** @throws BrokerError `not_found` */
export async function trailOf(broker: Broker, id: string): Promise<Trail> {
  const { read } = broker.ledger
  const task = await read.task(id)
  if (task === undefined) throw new BrokerError('not_found', 'no such task')
  const page = { limit: broker.limits.trailItems }
  const [ancestors, below, asks, leases, events] = await Promise.all([
    read.ancestors(id),
    read.tasks({ within: id }, page),
    read.asks(id),
    read.leases({ task: id }, page),
    read.audit({ task: id }, page),
  ])
  const ids = new Set([...asks.map(ask => ask.decision), ...events.items.flatMap(decisionIn)])
  const decisions = (await Promise.all([...ids].map(one => read.decision(one)))).filter(
    row => row !== undefined,
  )
  return {
    task,
    ancestors,
    descendants: below.items.filter(one => one.id !== id),
    asks,
    decisions: decisions.sort((a, b) => a.decided_at - b.decided_at),
    leases: leases.items,
    events: events.items,
    complete: [below, leases, events].every(({ next }) => next === null),
  }
}

/** The decision that an audit row names. */
function decisionIn({ data }: AuditRow): string[] {
  const { decision } = JSON.parse(data) as { decision?: unknown }
  return typeof decision === 'string' ? [decision] : []
}
