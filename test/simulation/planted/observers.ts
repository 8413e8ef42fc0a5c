/** Planted in how the end of a job is noticed without anybody's word. */
import type { WorkWatch } from '../../../issuers/shared/work.ts'
import type { Mutation } from '../mutation.ts'
import { issuing, reading, writing } from './wrap.ts'

const watching = (change: (watch: WorkWatch) => Partial<WorkWatch>) =>
  issuing(({ watch }) => (watch === undefined ? {} : { watch: { ...watch, ...change(watch) } }))

export const observerBugs: readonly Mutation[] = [
  {
    name: 'a job that goes on is taken for one that is over',
    broker: watching(watch => ({
      async jobs(run, secret, lease) {
        const { seen } = await watch.jobs(run, secret, lease)
        const over = { state: 'ended', outcome: 'completed' } as const
        return { seen: seen && new Map([...seen.keys()].map(job => [job, over])) }
      },
    })),
  },
  {
    name: 'the end of a whole run is not asked for',
    broker: watching(() => ({ run: async () => ({ seen: undefined }) })),
  },
  {
    name: 'the last run is left out',
    ledger: reading(read => ({
      activeRuns: async (after, limit) => (await read.activeRuns(after, limit)).slice(0, -1),
    })),
  },
  {
    name: 'a turn to look at runs is never over',
    ledger: writing(tx => ({
      takeBudget: (key, limit, until) =>
        tx.takeBudget(key, limit, key.startsWith('poll/') ? Number.MAX_SAFE_INTEGER : until),
    })),
  },
  {
    name: 'the end of one job is noted as that of its run',
    ledger: writing(tx => ({ endWork: row => tx.endWork({ ...row, job: '' }) })),
  },
]
