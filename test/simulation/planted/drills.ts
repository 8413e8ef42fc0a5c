/** Planted in drills. */
import type { Mutation } from '../mutation.ts'
import { writing } from './wrap.ts'

export const drillBugs: readonly Mutation[] = [
  {
    name: 'a drill passes whatever it saw',
    ledger: writing(tx => ({ finishDrill: (id, to) => tx.finishDrill(id, { ...to, state: 'passed' }) })),
  },
  {
    name: 'a drill whose broker is gone runs for ever',
    ledger: writing(() => ({ abandonDrills: async () => [] })),
  },
  {
    name: 'a drill under way is taken for lost',
    ledger: writing((tx, { read }) => ({
      async startDrill(row) {
        for (const { id, state } of (await read.drills({ issuer: row.issuer }, { limit: 1 })).items) {
          const nothing = { ...row, state: 'failed', detail: 'abandoned' } as const
          if (state === 'running') await tx.finishDrill(id, nothing)
        }
        return tx.startDrill(row)
      },
    })),
  },
  {
    name: 'every broker drills every day',
    ledger: writing(tx => ({
      takeBudget: async (key, limit, until) =>
        (await tx.takeBudget(key, limit, until)) || key.startsWith('drill/'),
    })),
  },
]
