import type { Allowance, Bounds } from '../../policy/judge-ask.ts'
import type { TaskRow, TicketRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { verifiedTicket } from '../verified-rows.ts'
import type { Parent } from './new-task.ts'

/** What bounds a task that is being opened or asks for more: every ceiling and ticket from the root down. */
export async function boundsOf(
  broker: Broker,
  lineage: readonly Pick<TaskRow, 'agent' | 'ticket'>[],
): Promise<Bounds> {
  const bounds: { name: string; allows: readonly Allowance[] }[] = []
  for (const task of lineage) {
    bounds.push({ name: `the ceiling of ${task.agent}`, allows: ceilingOf(broker, task.agent) })
    if (task.ticket === null) continue
    const ticket = await broker.ledger.read.ticket(task.ticket)
    if (ticket === undefined) throw new BrokerError('ticket_rejected', 'the ticket is no longer known')
    bounds.push(ticketBound(verifiedTicket(broker, ticket)))
  }
  return bounds
}

/** What bounds a task that is about to be: its agent's ceiling, and where it is a child all that bounds its parent. */
export async function openingBounds(
  broker: Broker,
  agent: string,
  parent: Parent | undefined,
): Promise<Bounds> {
  const own = await boundsOf(broker, [{ agent, ticket: null }])
  if (parent === undefined) return own
  return [...(await boundsOf(broker, parent.line)), ticketBound(parent.ticket), ...own]
}

function ticketBound(ticket: TicketRow): Bounds[number] {
  return { name: 'the ticket', allows: JSON.parse(ticket.asks) as Allowance[] }
}

function ceilingOf(broker: Broker, agent: string): Allowance[] {
  const ceiling = broker.agents().get(agent)?.ceiling ?? {}
  return Object.entries(ceiling).flatMap(([issuer, asks]) => asks.map(ask => ({ issuer, ask })))
}
