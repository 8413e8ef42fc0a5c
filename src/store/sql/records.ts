/** What is written once and never changed: decisions, asks, audit rows. */
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite, NewAudit } from '../ledger.ts'
import type { AskRow, AskState, DecisionRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, prepareList, type Transaction } from './prepare.ts'

export type RecordWrites = Pick<
  LedgerWrite,
  'insertDecision' | 'insertAsk' | 'lockAsk' | 'moveAsk' | 'appendAudit'
>

export function recordWrites({ db, lock }: SqlDialect): (tx: Transaction) => RecordWrites {
  const insertDecision = prepare((row: DecisionRow) =>
    db.insertInto('decisions').values(pick(row, columns.decisions)),
  )
  const insertAsk = prepare((row: AskRow) => db.insertInto('asks').values(pick(row, columns.asks)))
  const lockAsk = prepare((p: { id: string }) =>
    lock(db.selectFrom('asks').selectAll().where('id', '=', p.id), 'update', 'asks'),
  )
  const moveAsk = prepareList((from, p: { id: string; to: AskState }) =>
    db
      .updateTable('asks')
      .set({ state: p.to })
      .where('id', '=', p.id)
      // The list is one of texts; they are states.
      .where('state', 'in', from as AskState[]),
  )
  const append = prepare((row: NewAudit & { at: number }) =>
    db.insertInto('audit').values({
      at: row.at,
      event: row.event,
      actor: row.actor,
      task: row.task,
      agent: row.agent,
      lease: row.lease,
      data: row.data,
    }),
  )

  return ({ run, send, now }) => ({
    async insertDecision(row) {
      await send(insertDecision(row))
    },
    async insertAsk(row) {
      await send(insertAsk(row))
    },
    async lockAsk(id) {
      return (await run(lockAsk({ id }))).rows[0]
    },
    async moveAsk(id, from, to) {
      let moved = false
      for (const query of moveAsk(from, { id, to })) moved = (await run(query)).changed > 0 || moved
      return moved
    },
    async appendAudit(row) {
      await send(append({ ...row, at: now }))
    },
  })
}
