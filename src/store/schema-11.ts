/** Schema step 11: what counts against budgets for as long as a task or a lease lives. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function budgetHolds({ integer, narrow }: SqlDialect['words']): readonly string[] {
  return [
    `create table budget_holds (
      holder text not null, "key" text not null, amount ${integer} not null, "until" ${integer},
      primary key (holder, "key")
    ) ${narrow}`,
    'create index budget_holds_until on budget_holds ("until") where "until" is not null',
  ]
}
