/** Where a candidate set of policies would have decided otherwise: kinds of differences, counted. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { ShadowDifferenceRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export function shadowWrites({ db }: SqlDialect): (tx: Transaction) => Pick<LedgerWrite, 'noteDifference'> {
  const add = prepare((p: Pick<ShadowDifferenceRow, 'id' | 'times' | 'last_at'>) =>
    db
      .updateTable('shadow_differences')
      .set(eb => ({ times: eb('times', '+', p.times), last_at: p.last_at }))
      .where('id', '=', p.id),
  )
  const total = prepare((_: object) =>
    db.selectFrom('shadow_differences').select(sql<number>`count(*)`.as('count')),
  )
  const forget = prepare((p: { shadow_hash: string }) =>
    db.deleteFrom('shadow_differences').where('shadow_hash', '<>', p.shadow_hash),
  )
  const insert = prepare((row: ShadowDifferenceRow) =>
    db
      .insertInto('shadow_differences')
      .values(pick(row, columns.shadow_differences))
      .onConflict(conflict =>
        conflict.column('id').doUpdateSet(eb => ({
          times: eb('shadow_differences.times', '+', eb.ref('excluded.times')),
          last_at: eb.ref('excluded.last_at'),
        })),
      ),
  )
  return ({ run, now }) => ({
    async noteDifference(difference, most) {
      const row = { ...difference, first_at: now, last_at: now }
      if ((await run(add(row))).changed > 0) return true
      const count = async () => (await run(total({}))).rows[0]?.count ?? 0
      if ((await count()) >= most) {
        await run(forget(row))
        if ((await count()) >= most) return false
      }
      await run(insert(row))
      return true
    },
  })
}

export function shadowReads({ db }: SqlDialect, run: Run): Pick<LedgerRead, 'shadowDifferences'> {
  return {
    async shadowDifferences(shadowHash, { limit, after }) {
      let query = db
        .selectFrom('shadow_differences')
        .selectAll()
        .where('shadow_hash', '=', shadowHash)
        .orderBy('first_at', 'desc')
        .orderBy('id', 'desc')
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('first_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.first_at, row.id])
    },
  }
}
