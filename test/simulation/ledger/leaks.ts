/** Prints of secrets, reports of leaks, and alerts that wait, in memory. */
import type { LedgerRead, LedgerWrite } from '../../../src/store/ledger.ts'
import type { At } from './reads.ts'
import { all, by, paged } from './select.ts'
import type { Committed, StatementIo } from './transaction.ts'

type LeakReads = Pick<
  LedgerRead,
  'leaseByPrint' | 'printsOf' | 'leak' | 'leaks' | 'alertsDue' | 'nextAlertDue'
>
type LeakWrites = Pick<
  LedgerWrite,
  'insertPrint' | 'noteLeak' | 'forgetOperatorToken' | 'noteAlert' | 'deferAlert' | 'closeAlert'
>

export function leakReads(rows: Committed, at: At): LeakReads {
  const soonest = by<{ due_at: number; id: string }>(
    row => row.due_at,
    row => row.id,
  )
  return {
    leaseByPrint: sha256 =>
      at('leaseByPrint', () => {
        const named = new Set(
          all(rows, 'secret_prints')
            .filter(row => row.sha256 === sha256)
            .map(row => row.lease),
        )
        return all(rows, 'leases')
          .filter(row => named.has(row.id))
          .sort(
            by(
              row => row.intended_at,
              row => row.id,
            ),
          )
          .at(-1)
      }),
    printsOf: task =>
      at('printsOf', () =>
        all(rows, 'secret_prints')
          .filter(row => rows.leases.get(row.lease)?.task === task)
          .sort(
            by(
              row => row.lease,
              row => row.part,
            ),
          ),
      ),
    leak: subject =>
      at('leak', () => {
        const row = rows.leaks.get(subject)
        return row === undefined ? undefined : { ...row }
      }),
    leaks: page =>
      at('leaks', () => paged(all(rows, 'leaks'), page, row => [row.reported_at, row.subject], 'newest')),
    alertsDue: (now, limit) =>
      at('alertsDue', () =>
        all(rows, 'secret_alerts')
          .filter(row => row.due_at <= now)
          .sort(soonest)
          .slice(0, limit),
      ),
    nextAlertDue: () => at('nextAlertDue', () => all(rows, 'secret_alerts').sort(soonest)[0]?.due_at ?? null),
  }
}

export function leakWrites(io: StatementIo): LeakWrites {
  const { now, statement } = io
  const forget = async (table: 'operator_tokens' | 'secret_alerts', id: string) => {
    if (io.get(table, id) === undefined) return false
    await io.lock(table, id, 'update')
    if (io.get(table, id) === undefined) return false
    io.set(table, id, undefined)
    return true
  }
  return {
    insertPrint: row =>
      statement('insertPrint', () => io.insert('secret_prints', `${row.lease}/${row.part}`, row)),
    noteLeak: leak =>
      statement('noteLeak', async () => {
        await io.lock('leaks', leak.subject, 'update')
        const stands = io.get('leaks', leak.subject)
        io.set(
          'leaks',
          leak.subject,
          stands === undefined
            ? { ...leak, reported_at: now, last_at: now, times: 1 }
            : { ...stands, times: stands.times + 1, last_at: now },
        )
        return stands === undefined
      }),
    forgetOperatorToken: id => statement('forgetOperatorToken', () => forget('operator_tokens', id)),
    noteAlert: (alert, most) =>
      statement('noteAlert', async () => {
        await io.lock('secret_alerts', alert.id, 'update')
        const stands = io.get('secret_alerts', alert.id)
        if (stands === undefined && io.scan('secret_alerts', () => true).length >= most) return false
        const fresh = { ...alert, created_at: now, last_error: null }
        io.set('secret_alerts', alert.id, { ...(stands ?? fresh), due_at: now, attempts: 0 })
        return true
      }),
    deferAlert: (id, to) =>
      statement('deferAlert', async () => {
        const changed = await io.update(
          'secret_alerts',
          () => true,
          () => to,
          [id],
        )
        return changed.length > 0
      }),
    closeAlert: id => statement('closeAlert', () => forget('secret_alerts', id)),
  }
}
