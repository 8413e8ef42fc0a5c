/**
 * What waits for time to pass. Each costs the same however many leases wait further off: an index says which
 * rows are due, and issuers are found by hopping from one to the next in it, never by reading their leases.
 */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead } from '../ledger.ts'
import { prepare, type Run } from './prepare.ts'

export type DueReads = Pick<
  LedgerRead,
  'tasksPastDeadline' | 'tasksLapsed' | 'issuersDue' | 'nextDue' | 'claimsDue'
>

/** The issuers that have an open lease, one index search each. */
const openIssuers = sql`
  with recursive open_issuers(issuer) as (
    select min(issuer) from leases where state <> 'closed'
    union all
    select (select min(issuer) from leases where state <> 'closed' and issuer > open_issuers.issuer)
    from open_issuers where open_issuers.issuer is not null
  )`

export function dueReads(dialect: SqlDialect, run: Run): DueReads {
  const { pastDeadline, lapsed } = taskQueries(dialect)
  const { issuersDue, nextDue } = leaseQueries(dialect)
  const claimsDue = claimsDueQuery(dialect)
  return {
    async tasksPastDeadline(now, limit) {
      return (await run(pastDeadline({ now, limit }))).rows.map(row => row.id)
    },
    async tasksLapsed(now, writableSince, limit) {
      return (await run(lapsed({ now, writable: now - writableSince, limit }))).rows.map(row => row.id)
    },
    async issuersDue(now) {
      return (await run(issuersDue({ now }))).rows.map(row => row.issuer)
    },
    async nextDue(now) {
      return (await run(nextDue({ now }))).rows[0]?.at ?? null
    },
    async claimsDue(prefix, now, limit) {
      // Names are ASCII; the first text after all that begin with the prefix.
      const beyond = `${prefix}\u007f`
      return (await run(claimsDue({ prefix, beyond, now, limit }))).rows
    },
  }
}

function taskQueries({ db }: SqlDialect) {
  const active = () => db.selectFrom('tasks').select('id').where('state', '=', sql.lit('active'))
  return {
    pastDeadline: prepare((p: { now: number; limit: number }) =>
      active().where('deadline', '<=', p.now).orderBy('deadline').limit(p.limit),
    ),
    /** Silent beyond the agreed time, and the ledger was there to be told for as long as was agreed. */
    lapsed: prepare((p: { now: number; writable: number; limit: number }) =>
      active()
        .where('heartbeat_due', '<=', p.now)
        .where('heartbeat_ms', '<=', p.writable)
        .orderBy('heartbeat_due')
        .limit(p.limit),
    ),
  }
}

function claimsDueQuery({ db }: SqlDialect) {
  return prepare((p: { prefix: string; beyond: string; now: number; limit: number }) =>
    db
      .selectFrom('claims')
      .selectAll()
      .where('name', '>=', p.prefix)
      .where('name', '<', p.beyond)
      .where('due_at', '<=', p.now)
      .where(eb => eb.or([eb('claimed_until', 'is', null), eb('claimed_until', '<=', p.now)]))
      .orderBy('due_at')
      .orderBy('name')
      .limit(p.limit),
  )
}

function leaseQueries({ db }: SqlDialect) {
  return {
    issuersDue: prepare((p: { now: number }) => ({
      compile: () =>
        sql<{ issuer: string }>`${openIssuers}
          select issuer from open_issuers where issuer is not null and exists (
            select 1 from leases
            where leases.issuer = open_issuers.issuer and state <> 'closed' and due_at <= ${p.now}
              and (claimed_until is null or claimed_until <= ${p.now})
          ) order by issuer`.compile(db),
    })),
    /** A claimed lease is due again when its claim ends. */
    nextDue: prepare((p: { now: number }) => ({
      compile: () =>
        sql<{ at: number | null }>`${openIssuers}
          select min(moment) as at from (
            select (select min(due_at) from leases
              where leases.issuer = open_issuers.issuer and state <> 'closed' and due_at > ${p.now}) as moment
            from open_issuers where issuer is not null
            union all select min(case when due_at > claimed_until then due_at else claimed_until end)
              from leases where claimed_until > ${p.now} and due_at is not null
            union all select min(case when claimed_until > due_at then claimed_until else due_at end)
              from claims where due_at is not null
                and (case when claimed_until > due_at then claimed_until else due_at end) > ${p.now}
            union all select min(deadline) from tasks where state = 'active' and deadline > ${p.now}
            union all select min(heartbeat_due) from tasks where state = 'active' and heartbeat_due > ${p.now}
          ) as moments`.compile(db),
    })),
  }
}
