/** Planted in who may do what: approvals, how agents stand, and what is registered. */
import type { Ledger, LedgerWrite } from '../../../src/store/ledger.ts'
import type { Mutation } from '../mutation.ts'
import type { World } from '../world.ts'
import { overriding, reading, writing } from './wrap.ts'

/** How an agent stands is changed, and told, a while after the transaction that should have done so. */
function refusingLate(ledger: Ledger, { scheduler, clients }: World): Ledger {
  return {
    ...ledger,
    async write(body) {
      const late: ((tx: LedgerWrite) => Promise<unknown>)[] = []
      const value = await ledger.write(tx =>
        body(
          overriding(tx, {
            async moveAgent(...move) {
              late.push(next => next.moveAgent(...move))
              return true
            },
            async appendAudit(row) {
              if (row.event.startsWith('agent.')) late.push(next => next.appendAudit(row))
              else await tx.appendAudit(row)
            },
          }),
        ),
      )
      const move = async (tx: LedgerWrite) => {
        for (const one of late) await one(tx)
      }
      if (late.length > 0)
        scheduler.after(clients, 4_000, 'an agent is refused', () => void ledger.write(move).catch(() => {}))
      return value
    },
  }
}

/** Windows are found whatever became of them, and none is used up. */
function windowsForEver(ledger: Ledger): Ledger {
  const found = reading(read => ({
    preapprovals: ({ agent }, page) => read.preapprovals(agent === undefined ? {} : { agent }, page),
  }))
  const used = writing(tx => ({
    async usePreapproval(id) {
      await tx.usePreapproval(id)
      return true
    },
  }))
  return used(found(ledger))
}

export const authorityBugs: readonly Mutation[] = [
  {
    name: 'a quarantine misses what is below',
    ledger: reading(read => ({
      leases({ below, ...filter }, page) {
        return read.leases(below === undefined ? filter : { ...filter, agent: below }, page)
      },
    })),
  },
  {
    name: 'a mint does not look how an agent stands',
    ledger: writing(tx => ({
      async shareAgent(name) {
        const row = await tx.shareAgent(name)
        return row && { ...row, standing: 'active' }
      },
    })),
  },
  { name: 'an agent is refused after what it has was ended', ledger: refusingLate },
  {
    name: 'an agent on its way out is forgotten',
    ledger: reading(read => ({
      claimsDue: async (prefix, now, limit) =>
        prefix === 'offboarding/' ? [] : read.claimsDue(prefix, now, limit),
    })),
  },
  {
    name: 'one human is counted twice',
    ledger: writing(tx => ({
      votesOf: async approval =>
        (await tx.votesOf(approval)).flatMap(vote => [vote, { ...vote, human: `${vote.human}/again` }]),
    })),
  },
  {
    name: 'an approval is counted only where there is something to count',
    ledger: writing(tx => ({
      async spendApproval(id, digest) {
        await tx.spendApproval(id, digest)
        return true
      },
    })),
  },
  {
    name: 'an end leaves humans to be asked',
    ledger: writing(() => ({ cancelApprovals: async () => [] })),
  },
  {
    name: 'nobody is too late to approve',
    ledger: writing(() => ({ expireApprovals: async () => [] })),
  },
  { name: 'a window stays open', ledger: windowsForEver },
  {
    name: 'no task is missed by a human',
    ledger: reading(() => ({ tasksUnattended: async () => [] })),
  },
  {
    name: 'a human who looks after a task is not asked under the lock',
    ledger: writing(() => ({ isUnattended: async () => true })),
  },
  {
    name: 'a mint of something new is not counted for those who are judged beside it',
    ledger: writing(tx => ({ raiseTurn: (key, seen) => tx.turnStands(key, seen, false) })),
  },
  {
    name: 'a mint does not look whether what it was judged by still is all',
    ledger: writing(() => ({ turnStands: async () => true })),
  },
  {
    name: 'a mint is judged by an older generation',
    broker: ({ ledger, generation }) => ({
      ledger: writing(() => ({ registryGeneration: async () => generation() }))(ledger),
    }),
  },
  {
    name: 'other policies reach nothing that is out',
    ledger: writing(tx => ({
      setMeta: async (key, value) =>
        key === 'agents_to_reassess' && value !== '[]' ? undefined : tx.setMeta(key, value),
    })),
  },
  {
    name: 'a broker whose files are not in force goes on',
    broker: () => ({ stale: () => undefined }),
  },
  {
    name: 'a broker that was left behind puts its files back',
    ledger: reading(() => ({ fileSet: async () => undefined })),
  },
]
