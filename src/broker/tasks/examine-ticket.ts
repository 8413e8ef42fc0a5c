import type { Secret } from '../../../issuers/shared/secret.ts'
import type { Broker } from '../broker.ts'
import { verifiedTicket } from '../verified-rows.ts'
import type { Parent } from './new-task.ts'

export type ExaminedTicket = { ok: true; parent: Parent } | { ok: false; detail: string }

/**
 * Whose child the bearer of a ticket would be, with nothing used up. Whether it was redeemed, or is past its time, is
 * for whoever redeems it: where its answer was lost it may come again.
 *
 * @param agent who comes with it
 */
export async function examineTicket(broker: Broker, ticket: Secret, agent: string): Promise<ExaminedTicket> {
  const { read } = broker.ledger
  const row = await read.ticketByToken(broker.keyring.tokenHash(ticket.reveal()))
  if (row === undefined) return { ok: false, detail: 'it is not known' }
  if (row.agent !== agent) return { ok: false, detail: `it is for another agent than ${agent}` }
  verifiedTicket(broker, row)
  const parent = await read.task(row.parent_task)
  if (parent === undefined || parent.state !== 'active')
    return { ok: false, detail: 'the task that gave it has ended' }
  return { ok: true, parent: { ticket: row, line: [...(await read.ancestors(parent.id)), parent] } }
}
