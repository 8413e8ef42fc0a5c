/** What the broker keeps for itself: signing keys, the operator's token, named values. */
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite } from '../ledger.ts'
import type { OperatorTokenRow, SigningKeyRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, type Transaction } from './prepare.ts'

export type KeyWrites = Pick<
  LedgerWrite,
  'insertSigningKey' | 'moveSigningKey' | 'replaceOperatorToken' | 'setMeta' | 'initMeta' | 'swapMeta'
>

export function keyWrites({ db }: SqlDialect): (tx: Transaction) => KeyWrites {
  const insertKey = prepare((row: SigningKeyRow) =>
    db.insertInto('signing_keys').values(pick(row, columns.signing_keys)),
  )
  const deleteOperators = prepare((_: object) => db.deleteFrom('operator_tokens'))
  const insertOperator = prepare((row: OperatorTokenRow) =>
    db.insertInto('operator_tokens').values(pick(row, columns.operator_tokens)),
  )
  const setMeta = prepare((p: { key: string; value: string }) =>
    db
      .insertInto('meta')
      .values({ key: p.key, value: p.value })
      .onConflict(conflict => conflict.column('key').doUpdateSet({ value: p.value })),
  )
  const initMeta = prepare((p: { key: string; value: string }) =>
    db
      .insertInto('meta')
      .values({ key: p.key, value: p.value })
      .onConflict(conflict => conflict.column('key').doNothing()),
  )
  const swapMeta = prepare((p: { key: string; from: string; to: string }) =>
    db.updateTable('meta').set({ value: p.to }).where('key', '=', p.key).where('value', '=', p.from),
  )
  const getMeta = prepare((p: { key: string }) =>
    db.selectFrom('meta').select('value').where('key', '=', p.key),
  )

  return ({ run }) => ({
    async insertSigningKey(row) {
      await run(insertKey(row))
    },
    async moveSigningKey(kid, from, to) {
      const { state, signing_from, superseded_at, retire_at } = to
      const move = db
        .updateTable('signing_keys')
        .set({ state })
        .$if(signing_from !== undefined, query => query.set({ signing_from: signing_from ?? null }))
        .$if(superseded_at !== undefined, query => query.set({ superseded_at: superseded_at ?? null }))
        .$if(retire_at !== undefined, query => query.set({ retire_at: retire_at ?? null }))
        .where('kid', '=', kid)
        .where('state', '=', from)
      return (await run(move.compile())).changed > 0
    },
    async replaceOperatorToken(row) {
      await run(deleteOperators({}))
      await run(insertOperator(row))
    },
    async setMeta(key, value) {
      await run(setMeta({ key, value }))
    },
    async initMeta(key, value) {
      await run(initMeta({ key, value }))
      return (await run(getMeta({ key }))).rows[0]?.value ?? value
    },
    async swapMeta(key, from, to) {
      return (await run(swapMeta({ key, from, to }))).changed > 0
    },
  })
}
