/** Planted in how tasks are opened, kept and ended. */

import { taskMac } from '../../../src/broker/verified-rows.ts'
import type { Ledger } from '../../../src/store/ledger.ts'
import type { TaskRow } from '../../../src/store/rows.ts'
import type { Mutation } from '../mutation.ts'
import { reading, writing } from './wrap.ts'

/** A task's line, read and not locked. */
async function lineOf({ read }: Ledger, task: string): Promise<TaskRow[]> {
  const self = await read.task(task)
  return self === undefined ? [] : [...(await read.ancestors(task)), self]
}

export const taskBugs: readonly Mutation[] = [
  {
    name: 'a mint takes no lock on its line',
    ledger: writing((_, ledger) => ({ lockLineage: task => lineOf(ledger, task) })),
  },
  {
    name: 'an end misses a child that is being opened',
    ledger: writing((tx, ledger) => ({
      async lockDescent(task) {
        const { items } = await ledger.read.tasks({ within: task }, { limit: 1_000 })
        const known = new Set(items.map(row => row.id))
        return (await tx.lockDescent(task)).filter(row => known.has(row.id))
      },
    })),
  },
  {
    name: 'the cascade misses a grandchild',
    ledger: writing(tx => ({
      async lockDescent(task) {
        const [top, ...below] = await tx.lockDescent(task)
        return top === undefined ? [] : [top, ...below.filter(row => row.depth <= top.depth + 1)]
      },
    })),
  },
  {
    name: 'an end forgets mints that are under way',
    ledger: writing((tx, ledger) => ({
      async revokeLeasesOf(tasks) {
        const rows = []
        for (const task of tasks)
          for (const lease of (await ledger.read.leases({ task, state: 'active' }, { limit: 100 })).items) {
            const row = await tx.revokeLease(lease.id)
            if (row !== undefined) rows.push(row)
          }
        return rows
      },
    })),
  },
  {
    name: 'the deadline is not capped by the parent',
    broker: ({ ledger, keyring }) => ({
      ledger: writing(tx => ({
        insertTask(row, ancestors) {
          const longer = { ...row, deadline: row.opened_at + 10 * 60_000 }
          return tx.insertTask({ ...longer, mac: taskMac({ keyring }, longer) }, ancestors)
        },
      }))(ledger),
    }),
  },
  {
    name: 'an extension passes the parent',
    broker: ({ ledger, keyring }) => ({
      ledger: writing((tx, inner) => ({
        async extendTask(id, deadline) {
          const row = await inner.read.task(id)
          if (row === undefined) return false
          const later = deadline + 5 * 60_000
          return tx.extendTask(id, later, taskMac({ keyring }, { ...row, deadline: later }))
        },
      }))(ledger),
    }),
  },
  {
    name: 'evidence is good twice',
    ledger: writing(tx => ({
      async useEvidence(row) {
        await tx.useEvidence(row)
        return undefined
      },
    })),
  },
  {
    name: 'a task whose token was used is opened again',
    ledger: writing(tx => ({
      lockDescent: async task => (await tx.lockDescent(task)).map(row => ({ ...row, token_used_at: null })),
    })),
  },
  {
    name: 'a ticket is good twice',
    ledger: writing((_, ledger) => ({ redeemTicket: hash => ledger.read.ticketByToken(hash) })),
  },
  {
    name: 'a budget is not counted',
    ledger: writing(() => ({ takeBudget: async () => true })),
  },
  {
    name: 'a budget is counted before it is locked',
    ledger: writing((tx, ledger) => ({
      async takeBudget(key, limit, until) {
        const { items } = await ledger.read.tasks({ state: 'active' }, { limit: 1_000 })
        const used = items.filter(row => key === `active_tasks/${row.agent}` && row.system === 0).length
        return key.startsWith('active_tasks/') ? used < limit : tx.takeBudget(key, limit, until)
      },
    })),
  },
  {
    name: 'a budget is never given back',
    ledger: writing(() => ({ giveBudget: async () => {} })),
  },
  {
    name: 'what is held is not counted',
    ledger: writing(() => ({ holdBudget: async () => true })),
  },
  {
    name: 'what was held is never given back',
    ledger: writing(() => ({ cutHolds: async () => {} })),
  },
  {
    name: 'narrower agents reach nothing that is out',
    ledger: reading(read => ({
      meta: key => (key === 'agents_to_reassess' ? Promise.resolve('[]') : read.meta(key)),
    })),
  },
  {
    name: 'a silence counts over an outage',
    ledger: reading(read => ({ tasksLapsed: (now, _, limit) => read.tasksLapsed(now, 0, limit) })),
  },
  {
    name: 'a heartbeat is answered and not kept',
    ledger: writing(() => ({ setHeartbeat: async () => true })),
  },
  {
    name: 'the end of a task leaves no trace',
    ledger: writing(tx => ({
      appendAudit: async row => (row.event === 'task.ended' ? undefined : tx.appendAudit(row)),
    })),
  },
]
