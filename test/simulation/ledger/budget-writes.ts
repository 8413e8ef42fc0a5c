/** Whose turn it is, and what is counted for as long as somebody holds it. */
import type { LedgerWrite } from '../../../src/store/ledger.ts'
import type { BudgetHoldRow } from '../../../src/store/rows.ts'
import type { StatementIo } from './transaction.ts'

export function budgetWrites(
  io: StatementIo,
): Pick<LedgerWrite, 'raiseTurn' | 'turnStands' | 'holdBudget' | 'cutHolds'> {
  const { now, statement } = io
  const keyOf = ({ holder, key }: BudgetHoldRow) => `${holder} ${key}`
  return {
    raiseTurn: (key, seen, until) =>
      statement('raiseTurn', async () => {
        await io.lock('budgets', key, 'update')
        const stands = io.get('budgets', key)
        if ((stands?.used ?? 0) !== seen) return false
        io.set('budgets', key, { key, used: seen === 0 ? now : seen + 1, until })
        return true
      }),
    turnStands: (key, seen, isHeld) =>
      statement('turnStands', async () => {
        if (isHeld) await io.lock('budgets', key, 'share')
        return (io.get('budgets', key)?.used ?? 0) === seen
      }),
    holdBudget: (row, limit, until) =>
      statement('holdBudget', async () => {
        await io.lock('budgets', row.key, 'update')
        const stands = io.get('budgets', row.key)
        const used = stands === undefined || stands.until <= now ? 0 : stands.used
        if (used + row.amount > limit) return false
        const counter = {
          key: row.key,
          used: used + row.amount,
          until: Math.max(until, stands?.until ?? until),
        }
        io.set('budgets', row.key, counter)
        await io.insert('budget_holds', keyOf(row), row)
        return true
      }),
    cutHolds: (holders, at) =>
      statement('cutHolds', async () => {
        const held = await io.lockRows(
          'budget_holds',
          io.scan('budget_holds', row => holders.includes(row.holder)).map(([key]) => key),
          'update',
        )
        for (const row of held.toSorted((a, b) => (a.key < b.key ? -1 : 1))) {
          const back = row.until === null ? row.amount : Math.max(0, Math.min(row.amount, row.until - at))
          await io.update(
            'budgets',
            () => back > 0,
            ({ used }) => ({ used: Math.max(0, used - back) }),
            [row.key],
          )
          const isHeldOn = row.until !== null && at > now && row.amount > back
          const rest = { ...row, amount: row.amount - back, until: Math.min(row.until ?? at, at) }
          io.set('budget_holds', keyOf(row), isHeldOn ? rest : undefined)
        }
      }),
  }
}
