/** Named claims: one holder at a time, whoever else is awake. Rows stay, so that a fence never begins again. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite } from '../ledger.ts'
import { prepare, type Transaction } from './prepare.ts'

export type ClaimWrites = Pick<LedgerWrite, 'takeClaim' | 'giveClaim' | 'wakeClaim'>

export function claimWrites(dialect: SqlDialect): (tx: Transaction) => ClaimWrites {
  const { take, give, wake } = claimQueries(dialect)
  return ({ run, now }) => ({
    async takeClaim(name, until) {
      return (await run(take({ name, until, now }))).rows[0]
    },
    async giveClaim(name, fence, to) {
      return (await run(give({ name, fence, pausedUntil: to.pausedUntil, dueAt: to.due_at }))).changed > 0
    },
    async wakeClaim(name) {
      await run(wake({ name, now }))
    },
  })
}

function claimQueries({ db }: SqlDialect) {
  return {
    take: prepare((p: { name: string; until: number; now: number }) =>
      db
        .insertInto('claims')
        .values({ name: p.name, fence: 1, claimed_until: p.until, due_at: p.now })
        .onConflict(conflict =>
          conflict
            .column('name')
            .doUpdateSet(eb => ({
              fence: eb('claims.fence', '+', sql.lit(1)),
              claimed_until: eb.ref('excluded.claimed_until'),
              due_at: eb.fn.coalesce('claims.due_at', 'excluded.due_at'),
            }))
            .where(eb =>
              eb.or([eb('claims.claimed_until', 'is', null), eb('claims.claimed_until', '<=', p.now)]),
            ),
        )
        .returningAll(),
    ),
    give: prepare((p: { name: string; fence: number; pausedUntil: number | null; dueAt: number | null }) =>
      db
        .updateTable('claims')
        .set({ claimed_until: p.pausedUntil, due_at: p.dueAt })
        .where('name', '=', p.name)
        .where('fence', '=', p.fence),
    ),
    wake: prepare((p: { name: string; now: number }) =>
      db.updateTable('claims').set({ due_at: p.now }).where('name', '=', p.name),
    ),
  }
}
