/** What a period held, counted over committed rows. */
import type { LedgerRead, MintedGroup, Period } from '../../../src/store/ledger.ts'
import type { At } from './reads.ts'
import { all } from './select.ts'
import type { Committed } from './transaction.ts'

type ReviewReads = Pick<LedgerRead, 'mintedBetween' | 'decidedBetween' | 'openedBetween'>

export function reviewReads(rows: Committed, at: At): ReviewReads {
  const isFor = (one: string | null, wanted: string | undefined) => wanted === undefined || one === wanted
  const isIn = (time: number, { from, to }: Period) => time >= from && time < to
  return {
    mintedBetween: (period, agent) =>
      at('mintedBetween', () => {
        const groups = new Map<string, MintedGroup>()
        for (const row of all(rows, 'leases')) {
          const task = rows.tasks.get(row.task)
          if (task === undefined || task.system === 1) continue
          if (!isIn(row.intended_at, period) || !isFor(row.agent, agent)) continue
          const { issuer, granted, phase, closed_as, revocability, may_leave_access } = row
          const alike = {
            agent: row.agent,
            issuer,
            granted,
            phase,
            closed_as,
            revocability,
            may_leave_access,
          }
          const over = row.confirmed_dead_at ?? row.closed_at ?? period.to
          const life = row.active_at === null ? 0 : over - row.active_at
          const past =
            task.ended_at === null || row.active_at === null ? 0 : Math.max(0, over - task.ended_at)
          const key = JSON.stringify(Object.values(alike))
          const sum = groups.get(key) ?? {
            ...alike,
            ...{ count: 0, life_ms: 0, longest_life_ms: 0, longest_past_end_ms: 0 },
          }
          groups.set(key, {
            ...sum,
            count: sum.count + 1,
            life_ms: sum.life_ms + life,
            longest_life_ms: Math.max(sum.longest_life_ms, life),
            longest_past_end_ms: Math.max(sum.longest_past_end_ms, past),
          })
        }
        return [...groups.values()]
      }),
    decidedBetween: (period, agent) =>
      at('decidedBetween', () =>
        counted(
          all(rows, 'decisions')
            .filter(row => isIn(row.decided_at, period) && isFor(row.agent, agent))
            .map(row => ({ agent: row.agent, outcome: row.outcome })),
        ).map(({ row, count }) => ({ ...row, count })),
      ),
    openedBetween: (period, agent) =>
      at('openedBetween', () => {
        const opened = all(rows, 'tasks').filter(
          row => row.system === 0 && isIn(row.opened_at, period) && isFor(row.agent, agent),
        )
        const isSigned = (task: string) => (rows.receipts.get(task)?.sha256 ?? null) !== null
        return counted(opened.map(row => ({ agent: row.agent, end: row.end }))).map(({ row, count }) => ({
          ...row,
          count,
          receipts: opened.filter(one => one.agent === row.agent && one.end === row.end && isSigned(one.id))
            .length,
        }))
      }),
  }
}

function counted<Row extends object>(rows: readonly Row[]): { row: Row; count: number }[] {
  const counts = new Map<string, { row: Row; count: number }>()
  for (const row of rows) {
    const key = JSON.stringify(Object.values(row))
    const known = counts.get(key)
    if (known === undefined) counts.set(key, { row, count: 1 })
    else known.count += 1
  }
  return [...counts.values()]
}
