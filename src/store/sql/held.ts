/** What rules look back at: which phases were given, and by whom more was given meanwhile. */
import { type RawBuilder, sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { HeldPhase, LedgerRead, LedgerWrite } from '../ledger.ts'
import { prepare, prepareList, type Run, type Transaction } from './prepare.ts'

export type TurnWrites = Pick<LedgerWrite, 'raiseTurn' | 'turnStands'>

type Query = { turn: string; other: string; root: string; since: number }
/** `at`: of a turn its number; of a phase the moment of the last that stays, 0 where none certainly does. */
type Seen = {
  kind: 'turn' | 'agent' | 'line'
  name: string
  phase: HeldPhase['phase'] | null
  at: number | null
}

/** One statement, so that turns and phases are of one snapshot. */
export function heldReads(dialect: SqlDialect, run: Run): Pick<LedgerRead, 'held'> {
  const ofAgents = heldQuery(dialect, 'agents')
  const ofLine = heldQuery(dialect, 'agents and line')
  return {
    async held({ agents, root, turns: [turn = '', other = turn], since }) {
      const query = root === null ? ofAgents : ofLine
      const rows: Seen[] = []
      for (const one of query(agents, { turn, other, root: root ?? '', since }))
        rows.push(...(await run(one)).rows)
      const turns = new Map<string, number>()
      const phases: HeldPhase[] = []
      for (const { kind, name, phase, at } of rows) {
        // Of several statements the first saw the least.
        if (kind === 'turn') turns.set(name, turns.get(name) ?? at ?? 0)
        else if (phase !== null && at !== null)
          phases.push({ agent: kind === 'agent' ? name : null, phase, lasting: at === 0 ? null : at })
      }
      return { turns, phases }
    },
  }
}

const PHASES = sql<{ phase: HeldPhase['phase'] }>`(select 'read' as phase union all select 'propose'
  union all select 'execute' union all select 'deploy' union all select 'transact')`

const isMeant = sql<boolean>`(closed_as is null or closed_as <> 'never_minted')`

/**
 * Of one agent and phase, one step into their index: in its order the last at or before them, which is of another
 * agent or phase where these have none. Asked for as theirs alone, PostgreSQL may think the moments' index as good,
 * and read a whole window for a phase that was never given.
 */
const last = (since: number, which: RawBuilder<unknown>, told: RawBuilder<unknown>) => sql`(
  select case when given.agent = agents.name and given.phase = phases.phase and intended_at > ${since}
    then ${told} end
  from leases as given
  where (given.agent, given.phase, intended_at) <= (agents.name, phases.phase, ${sql.lit(Number.MAX_SAFE_INTEGER)})
    and ${isMeant} and ${which}
  order by given.agent desc, given.phase desc, intended_at desc limit 1)`

/** The last of all, and behind it, only where that is still being minted, the last that was. */
const lasting = (since: number) =>
  last(
    since,
    sql`true`,
    sql`case when active_at is not null then intended_at
      else coalesce(${last(since, sql`active_at is not null`, sql`intended_at`)}, 0) end`,
  )

function heldQuery({ db }: SqlDialect, what: 'agents' | 'agents and line') {
  return prepareList((agents, p: Query) => {
    const line = sql<boolean>`task in (select ${p.root} union all select task from task_ancestors where ancestor = ${p.root})`
    const turns = db
      .selectFrom('budgets')
      .select([
        sql<Seen['kind']>`'turn'`.as('kind'),
        'key as name',
        sql<Seen['phase']>`null`.as('phase'),
        sql<number | null>`used`.as('at'),
      ])
      .where('key', 'in', [p.turn, p.other])
    const ofAgents = db
      .selectFrom('agents')
      .crossJoin(PHASES.as('phases'))
      .select([
        sql<Seen['kind']>`'agent'`.as('kind'),
        'agents.name',
        'phases.phase',
        sql<number | null>`${lasting(p.since)}`.as('at'),
      ])
      .where('agents.name', 'in', agents)
    if (what === 'agents') return turns.unionAll(ofAgents)
    const ofLine = db
      .selectFrom('leases')
      .select([
        sql<Seen['kind']>`'line'`.as('kind'),
        sql<string>`''`.as('name'),
        'phase',
        sql<number | null>`coalesce(max(case when active_at is null then null else intended_at end), 0)`.as(
          'at',
        ),
      ])
      .where('intended_at', '>', p.since)
      .where(isMeant)
      .where(line)
      .groupBy('phase')
    return turns.unionAll(ofAgents).unionAll(ofLine)
  })
}

export function turnWrites({ db, lock, rowLocks }: SqlDialect): (tx: Transaction) => TurnWrites {
  // It begins with the time, so that a turn that was forgotten and began anew is never taken for the former.
  const begin = prepare((p: { key: string; used: number; until: number }) =>
    db
      .insertInto('budgets')
      .values({ key: p.key, used: p.used, until: p.until })
      .onConflict(conflict => conflict.column('key').doNothing()),
  )
  const raise = prepare((p: { key: string; seen: number; until: number }) =>
    db
      .updateTable('budgets')
      .set(eb => ({ used: eb('used', '+', sql.lit(1)), until: p.until }))
      .where('key', '=', p.key)
      .where('used', '=', p.seen),
  )
  const look = prepare((p: { key: string; seen: number }) =>
    db
      .selectNoFrom(sql.lit(1).as('stands'))
      .where(
        eb => eb.fn.coalesce(eb.selectFrom('budgets').select('used').where('key', '=', p.key), sql.lit(0)),
        '=',
        p.seen,
      ),
  )
  const hold = prepare((p: { key: string; seen: number }) =>
    lock(
      db.selectFrom('budgets').select('used').where('key', '=', p.key).where('used', '=', p.seen),
      'share',
      'budgets',
    ),
  )
  return ({ expect, now }) => ({
    raiseTurn: (key, seen, until) =>
      expect(seen === 0 ? begin({ key, used: now, until }) : raise({ key, seen, until })),
    turnStands: (key, seen, isHeld) => expect((isHeld && rowLocks ? hold : look)({ key, seen })),
  })
}
