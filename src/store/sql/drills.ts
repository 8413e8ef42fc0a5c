/** Drills: one running per issuer, each finished once. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite } from '../ledger.ts'
import type { DrillRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type DrillReads = Pick<LedgerRead, 'drill' | 'drills'>
export type DrillWrites = Pick<LedgerWrite, 'startDrill' | 'finishDrill' | 'abandonDrills'>

export function drillReads({ db }: SqlDialect, run: Run): DrillReads {
  const drill = prepare((p: { id: string }) => db.selectFrom('drills').selectAll().where('id', '=', p.id))
  return {
    drill: async id => (await run(drill({ id }))).rows[0],
    async drills({ issuer }, { limit, after }) {
      let query = db.selectFrom('drills').selectAll().orderBy('started_at', 'desc').orderBy('id', 'desc')
      if (issuer !== undefined) query = query.where('issuer', '=', issuer)
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('started_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.started_at, row.id])
    },
  }
}

export function drillWrites({ db }: SqlDialect): (tx: Transaction) => DrillWrites {
  const start = prepare((row: DrillRow) =>
    db
      .insertInto('drills')
      .values(pick(row, columns.drills))
      .onConflict(conflict => conflict.column('issuer').where('state', '=', sql.lit('running')).doNothing()),
  )
  const finish = prepare(
    (p: Omit<DrillRow, 'issuer' | 'actor' | 'revocability' | 'started_at' | 'deadline'>) =>
      db
        .updateTable('drills')
        .set({
          state: p.state,
          finished_at: p.finished_at,
          task: p.task,
          lease: p.lease,
          proof: p.proof,
          mint_ms: p.mint_ms,
          revoke_ms: p.revoke_ms,
          dead_ms: p.dead_ms,
          detail: p.detail,
        })
        .where('id', '=', p.id)
        .where('state', '=', sql.lit('running')),
  )
  const abandon = prepare((p: { detail: string; now: number }) =>
    db
      .updateTable('drills')
      .set({ state: 'failed', finished_at: p.now, detail: p.detail })
      .where('state', '=', sql.lit('running'))
      .where('deadline', '<=', p.now)
      .returningAll(),
  )
  return ({ run, now }) => ({
    async startDrill(row) {
      return (await run(start(row))).changed > 0
    },
    async finishDrill(id, to) {
      return (await run(finish({ ...to, id, finished_at: now }))).changed > 0
    },
    async abandonDrills(detail) {
      return (await run(abandon({ detail, now }))).rows
    },
  })
}
