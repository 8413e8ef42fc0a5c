/** What one credential counts against: so many an hour and a day, and the minutes for which it lets its holder write. */
import type { Issued } from '../../../issuers/issuer.ts'
import { MINUTE_MS } from '../../limits.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { LeaseRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type Budget, budgetsOf, exhausted, type Scope, scopesOf } from './budgets.ts'

/** Fixed when the mint is planned, so that what is given back is what was taken. */
export type CredentialBudgets = {
  scopes: readonly Scope[]
  /** Whether its minutes count: those of a credential that only reads do not. */
  writes: boolean
  /** Epoch ms: no later can the credential live, by Mayfly's promise. */
  until: number
}

export function credentialBudgets(
  broker: Broker,
  task: Pick<TaskRow, 'agent' | 'root'>,
  lease: Pick<LeaseRow, 'phase' | 'expires_at' | 'dead_by'>,
): CredentialBudgets {
  return {
    scopes: scopesOf(broker, task),
    writes: lease.phase !== 'read',
    until: Math.min(lease.expires_at, lease.dead_by),
  }
}

type Plan = { row: Pick<LeaseRow, 'id'>; budgets: CredentialBudgets }

/**
 * Last in the transaction that records the intent, whose moment the lease's `intended_at` is.
 * @param local what was signed already, whose end is known.
 * @throws BrokerError `budget_exhausted`
 */
export async function takeCredential(
  broker: Broker,
  tx: LedgerWrite,
  { row, budgets }: Plan,
  local: Pick<Issued<unknown>, 'providerExpiresAt'> | undefined,
): Promise<void> {
  for (const budget of counted(budgets, tx.now))
    if (!(await tx.takeBudget(budget.key, budget.limit, budget.until)))
      throw exhausted(broker, budget, tx.now)
  const until = Math.min(budgets.until, local?.providerExpiresAt ?? budgets.until)
  const amount = Math.max(0, until - tx.now)
  for (const budget of written(budgets, tx.now)) {
    if (amount > budget.limit) throw neverFits(budget, amount)
    const hold = { holder: row.id, key: budget.key, amount, until }
    if (!(await tx.holdBudget(hold, budget.limit, budget.until))) throw exhausted(broker, budget, tx.now)
  }
}

/** It was refused, or never minted: all of it is there again. @param at its `intended_at`. */
export async function giveCredential(tx: LedgerWrite, { row, budgets }: Plan, at: number): Promise<void> {
  for (const { key } of counted(budgets, at)) await tx.giveBudget(key)
  if (written(budgets, at).length > 0) await tx.cutHolds([row.id], at)
}

function counted({ scopes }: CredentialBudgets, at: number): Budget[] {
  return budgetsOf(scopes, ['credentials_per_hour', 'credentials_per_day'], at)
}

function written({ scopes, writes }: CredentialBudgets, at: number): Budget[] {
  return writes ? budgetsOf(scopes, ['write_minutes_per_day'], at) : []
}

/** It lives shorter than it might have: the minutes beyond are there again. */
export async function cutCredential(
  tx: LedgerWrite,
  { row, budgets }: Plan,
  expiresAt: number,
): Promise<void> {
  if (written(budgets, tx.now).length > 0) await tx.cutHolds([row.id], expiresAt)
}

/**
 * Those of these leases whose end gives back the minutes that they had left. Not what nobody can end, and not
 * what may still be minted: it lives on, as far as anybody knows.
 */
export function endedEarly(leases: readonly LeaseRow[]): string[] {
  return leases
    .filter(
      row => row.phase !== 'read' && row.revocability !== 'expiry_only' && row.provider_expires_at !== null,
    )
    .map(row => row.id)
}

function neverFits({ name, of, limit }: Budget, amount: number): BrokerError {
  const wanted = Math.ceil(amount / MINUTE_MS)
  const bound = `${name} of ${of}`
  return new BrokerError(
    'budget_exhausted',
    `${bound}: there are ${limit / MINUTE_MS}, and a credential of ${wanted} minutes never fits; open a shorter task`,
    { bound },
  )
}
