/** Whether a credential is within everything that bounds its task: ceilings and tickets, from the root down. */
import type { LeaseRow } from '../../src/store/rows.ts'
import { agentsOf } from './agents.ts'
import { ORDERS } from './issuers.ts'
import type { Committed } from './ledger/transaction.ts'

export type Scope = {
  items?: readonly string[]
  role?: string
  audience?: string
  scopes?: readonly string[]
}

const widest = agentsOf('wide')

/** @param truly what its provider gave, where that is known. */
export function scopeProblem(
  rows: Readonly<Committed>,
  lease: LeaseRow,
  truly: readonly string[] | undefined,
): string | undefined {
  const granted = JSON.parse(lease.granted) as Scope
  const extra = truly?.filter(item => !granted.items?.includes(item)) ?? []
  if (extra.length > 0) return `its provider gave ${extra.join(', ')} beside what the ledger knows`
  const task = rows.tasks.get(lease.task)
  if (task === undefined || task.system === 1) return undefined
  for (const id of [...(rows.lines.get(task.id)?.ancestors ?? []), task.id]) {
    const one = rows.tasks.get(id)!
    const ceiling = widest.get(one.agent)?.ceiling[lease.issuer] ?? []
    if (!ceiling.some(allowed => isWithin(allowed as Scope, granted)))
      return `more than the ceiling of ${one.agent} allows`
    const ticket = one.ticket === null ? undefined : rows.tickets.get(one.ticket)
    if (ticket === undefined) continue
    const allowances = JSON.parse(ticket.asks) as { issuer: string; ask: Scope }[]
    if (!allowances.some(({ issuer, ask }) => issuer === lease.issuer && isWithin(ask, granted)))
      return `more than the ticket ${ticket.id} allows`
  }
  return undefined
}

/** Written again, so that a wrong `covers` does not judge itself. */
export function isWithin(wide: Scope, narrow: Scope): boolean {
  if (narrow.audience !== undefined)
    return narrow.audience === ORDERS && (narrow.scopes ?? []).every(scope => wide.scopes?.includes(scope))
  return wide.role === narrow.role && (narrow.items ?? []).every(item => wide.items?.includes(item))
}
