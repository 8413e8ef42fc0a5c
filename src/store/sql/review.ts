/** What a period held, counted by the database. Asked for by people, so built as it is asked. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead } from '../ledger.ts'
import type { Run } from './prepare.ts'

export type ReviewReads = Pick<LedgerRead, 'mintedBetween' | 'decidedBetween' | 'openedBetween'>

export function reviewReads({ db }: SqlDialect, run: Run): ReviewReads {
  return {
    async mintedBetween({ from, to }, agent) {
      const over = sql<number>`coalesce(leases.confirmed_dead_at, leases.closed_at, ${to})`
      const life = sql<number>`case when leases.active_at is null then 0 else ${over} - leases.active_at end`
      const pastEnd = sql<number>`case when tasks.ended_at is null or leases.active_at is null then 0
        when ${over} > tasks.ended_at then ${over} - tasks.ended_at else 0 end`
      let query = db
        .selectFrom('leases')
        .innerJoin('tasks', 'tasks.id', 'leases.task')
        .select(['leases.agent', 'leases.issuer', 'leases.granted', 'leases.phase', 'leases.closed_as'])
        .select(['leases.revocability', 'leases.may_leave_access'])
        .select([
          eb => eb.fn.countAll<number>().as('count'),
          sql<number>`cast(sum(${life}) as bigint)`.as('life_ms'),
          sql<number>`max(${life})`.as('longest_life_ms'),
          sql<number>`max(${pastEnd})`.as('longest_past_end_ms'),
        ])
        .where('leases.intended_at', '>=', from)
        .where('leases.intended_at', '<', to)
        .where('tasks.system', '=', 0)
        .groupBy(['leases.agent', 'leases.issuer', 'leases.granted', 'leases.phase', 'leases.closed_as'])
        .groupBy(['leases.revocability', 'leases.may_leave_access'])
      if (agent !== undefined) query = query.where('leases.agent', '=', agent)
      return (await run(query.compile())).rows
    },

    async decidedBetween({ from, to }, agent) {
      let query = db
        .selectFrom('decisions')
        .select(['agent', 'outcome', eb => eb.fn.countAll<number>().as('count')])
        .where('decided_at', '>=', from)
        .where('decided_at', '<', to)
        .groupBy(['agent', 'outcome'])
      if (agent !== undefined) query = query.where('agent', '=', agent)
      return (await run(query.compile())).rows
    },

    async openedBetween({ from, to }, agent) {
      let query = db
        .selectFrom('tasks')
        .leftJoin('receipts', 'receipts.task', 'tasks.id')
        .select(['agent', 'end', eb => eb.fn.countAll<number>().as('count')])
        .select(eb => eb.fn.count<number>('receipts.sha256').as('receipts'))
        .where('opened_at', '>=', from)
        .where('opened_at', '<', to)
        .where('system', '=', 0)
        .groupBy(['agent', 'end'])
      if (agent !== undefined) query = query.where('agent', '=', agent)
      return (await run(query.compile())).rows
    },
  }
}
