/** Counters against a limit, and what is counted for as long as somebody holds it. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { BudgetHoldRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { gather, pick, prepare, prepareList, type Run, type Transaction } from './prepare.ts'

export type BudgetWrites = Pick<LedgerWrite, 'takeBudget' | 'giveBudget' | 'holdBudget' | 'cutHolds'>

export function budgetWrites(dialect: SqlDialect): (tx: Transaction) => BudgetWrites {
  const { take, give } = counterQueries(dialect)
  const { hold, release } = holdQueries(dialect)

  return ({ run, send, expect, now }) => {
    const taken = async (key: string, limit: number, until: number, amount: number) => {
      const room = limit - amount
      return room >= 0 && (await expect(take({ key, amount, room, until, now })))
    }
    return {
      takeBudget: (key, limit, until) => taken(key, limit, until, 1),
      async giveBudget(key) {
        await send(give({ key, amount: 1 }))
      },
      async holdBudget(row, limit, until) {
        if (!(await taken(row.key, limit, until, row.amount))) return false
        await send(hold(row))
        return true
      },
      async cutHolds(holders, at) {
        const held = await gather(run, release(holders, {}))
        // The same order whoever asks, so that two of them wait for each other and never cross.
        for (const [key, amount] of [...givenBack(held, at)].sort(byKey)) await send(give({ key, amount }))
        for (const row of held) {
          const amount = row.amount - beyond(row, at)
          if (row.until !== null && at > now && amount > 0)
            await send(hold({ ...row, amount, until: Math.min(row.until, at) }))
        }
      },
    }
  }
}

/** What of a hold lies after `at`: all of one that has no end. */
function beyond({ amount, until }: BudgetHoldRow, at: number): number {
  return until === null ? amount : Math.max(0, Math.min(amount, until - at))
}

function givenBack(held: readonly BudgetHoldRow[], at: number): Map<string, number> {
  const amounts = new Map<string, number>()
  for (const row of held) {
    const amount = beyond(row, at)
    if (amount > 0) amounts.set(row.key, (amounts.get(row.key) ?? 0) + amount)
  }
  return amounts
}

const byKey = ([a]: [string, number], [b]: [string, number]) => (a < b ? -1 : 1)

export function budgetReads({ db }: SqlDialect, run: Run): Pick<LedgerRead, 'budgets'> {
  const budgets = prepareList((keys, _: object) =>
    db.selectFrom('budgets').selectAll().where('key', 'in', keys),
  )
  return { budgets: keys => gather(run, budgets(keys, {})) }
}

type Take = { key: string; amount: number; room: number; until: number; now: number }

function counterQueries({ db }: SqlDialect) {
  return {
    /**
     * A counter past its `until` counts as forgotten even before it is pruned, so that what is allowed does
     * not depend on when pruning ran.
     */
    take: prepare((p: Take) =>
      db
        .insertInto('budgets')
        .values({ key: p.key, used: p.amount, until: p.until })
        .onConflict(conflict =>
          conflict
            .column('key')
            .doUpdateSet(eb => ({
              used: eb
                .case()
                .when('budgets.until', '<=', p.now)
                .then(eb.ref('excluded.used'))
                .else(eb('budgets.used', '+', eb.ref('excluded.used')))
                .end(),
              until: eb
                .case()
                .when('budgets.until', '<', eb.ref('excluded.until'))
                .then(eb.ref('excluded.until'))
                .else(eb.ref('budgets.until'))
                .end(),
            }))
            .where(eb => eb.or([eb('budgets.used', '<=', p.room), eb('budgets.until', '<=', p.now)])),
        ),
    ),
    /** Never below nothing. */
    give: prepare((p: { key: string; amount: number }) =>
      db
        .updateTable('budgets')
        .set(eb => ({
          used: eb
            .case()
            .when('used', '>', p.amount)
            .then(eb('used', '-', p.amount))
            .else(sql.lit(0))
            .end(),
        }))
        .where('key', '=', p.key)
        .where('used', '>', sql.lit(0)),
    ),
  }
}

function holdQueries({ db }: SqlDialect) {
  return {
    hold: prepare((row: BudgetHoldRow) =>
      db.insertInto('budget_holds').values(pick(row, columns.budget_holds)),
    ),
    release: prepareList((holders, _: object) =>
      db.deleteFrom('budget_holds').where('holder', 'in', holders).returningAll(),
    ),
  }
}
