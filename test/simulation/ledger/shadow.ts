/** Differences of a candidate set of policies, in memory. */
import type { LedgerRead, LedgerWrite } from '../../../src/store/ledger.ts'
import type { At } from './reads.ts'
import { all, paged } from './select.ts'
import type { Committed, StatementIo } from './transaction.ts'

export function shadowReads(rows: Committed, at: At): Pick<LedgerRead, 'shadowDifferences'> {
  return {
    shadowDifferences: (shadowHash, page) =>
      at('shadowDifferences', () =>
        paged(
          all(rows, 'shadow_differences').filter(row => row.shadow_hash === shadowHash),
          page,
          row => [row.first_at, row.id],
          'newest',
        ),
      ),
  }
}

export function shadowWrites(io: StatementIo): Pick<LedgerWrite, 'noteDifference'> {
  const { now, statement } = io
  return {
    noteDifference: (row, most) =>
      statement('noteDifference', async () => {
        const count = () => io.scan('shadow_differences', () => true).length
        await io.lock('shadow_differences', row.id, 'update')
        const stands = io.get('shadow_differences', row.id)
        if (stands === undefined && count() >= most) {
          const former = io.scan('shadow_differences', one => one.shadow_hash !== row.shadow_hash)
          for (const [key] of former) {
            await io.lock('shadow_differences', key, 'update')
            io.set('shadow_differences', key, undefined)
          }
          if (count() >= most) return false
        }
        io.set(
          'shadow_differences',
          row.id,
          stands === undefined
            ? { ...row, first_at: now, last_at: now }
            : { ...stands, times: stands.times + row.times, last_at: now },
        )
        return true
      }),
  }
}
