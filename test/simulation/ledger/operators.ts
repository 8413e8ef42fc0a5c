/** Humans as operators: sessions that end once, and changes that are decided once. */
import type { LedgerRead, LedgerWrite } from '../../../src/store/ledger.ts'
import type { ChangeRow, OperatorSessionRow } from '../../../src/store/rows.ts'
import { all, paged } from './select.ts'
import type { Committed, StatementIo } from './transaction.ts'

/** Runs a look at the committed rows after and before the time it takes. */
type At = <T>(name: string, look: () => T) => Promise<T>

type OperatorWrites = Pick<
  LedgerWrite,
  'insertOperatorSession' | 'endOperatorSession' | 'insertChange' | 'lockChange' | 'decideChange'
>

export function operatorWrites(io: StatementIo): OperatorWrites {
  const { now, statement } = io
  return {
    async insertOperatorSession(row, forgetBefore) {
      await statement('insertOperatorSession', async () => {
        for (const [key] of io.scan('operator_sessions', one => one.expires_at < forgetBefore)) {
          await io.lock('operator_sessions', key, 'update')
          io.set('operator_sessions', key, undefined)
        }
      })
      await statement('insertOperatorSession', () => io.insert('operator_sessions', row.id, row))
    },
    endOperatorSession: (id, by) =>
      statement('endOperatorSession', async () => {
        const isOpen = (row: OperatorSessionRow) => row.ended_at === null
        const change = () => ({ ended_at: now, ended_by: by })
        return (await io.update('operator_sessions', isOpen, change, [id])).length > 0
      }),
    insertChange: row => statement('insertChange', () => io.insert('changes', row.id, row)),
    lockChange: id => statement('lockChange', async () => (await io.lockRows('changes', [id], 'update'))[0]),
    decideChange: (id, { state, by, detail }) =>
      statement('decideChange', async () => {
        const isOpen = (row: ChangeRow) => row.state === 'pending' && row.expires_at > now
        const change = () => ({ state, decided_at: now, decided_by: by, detail, sealed: null })
        return (await io.update('changes', isOpen, change, [id])).length > 0
      }),
  }
}

type OperatorReads = Pick<
  LedgerRead,
  'operatorSession' | 'operatorSessionByToken' | 'operatorSessions' | 'change' | 'changes'
>

export function operatorReads(rows: Committed, at: At): OperatorReads {
  const copy = <Row extends object>(row: Row | undefined) => (row === undefined ? undefined : { ...row })
  return {
    operatorSession: id => at('operatorSession', () => copy(rows.operator_sessions.get(id))),
    operatorSessionByToken: hash =>
      at('operatorSessionByToken', () =>
        copy(all(rows, 'operator_sessions').find(row => row.token_hash === hash)),
      ),
    operatorSessions: ({ open }, page) =>
      at('operatorSessions', () =>
        paged(
          all(rows, 'operator_sessions').filter(
            row => open === undefined || (row.ended_at === null && row.expires_at > open),
          ),
          page,
          row => [row.created_at, row.id],
          'newest',
        ),
      ),
    change: id => at('change', () => copy(rows.changes.get(id))),
    changes: ({ state }, page) =>
      at('changes', () =>
        paged(
          all(rows, 'changes').filter(row => state === undefined || row.state === state),
          page,
          row => [row.created_at, row.id],
          'newest',
        ),
      ),
  }
}
