/**
 * Lists, a page at a time. They are asked for by people, so their queries are built as they are asked. What is
 * over is by far the most, so whoever asks for the rest says so in words that a partial index knows.
 */
import { type SelectQueryBuilder, sql } from 'kysely'
import type { Phase } from '../../../issuers/issuer.ts'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead } from '../ledger.ts'
import type { Tables } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import type { Run } from './prepare.ts'

export type ListReads = Pick<LedgerRead, 'tasks' | 'leases' | 'audit' | 'minted'>

export function listReads({ db }: SqlDialect, run: Run): ListReads {
  return {
    async tasks({ state, agent, within, human }, { limit, after }) {
      let query = db.selectFrom('tasks').selectAll().orderBy('opened_at', 'desc').orderBy('id', 'desc')
      if (state !== undefined) query = query.where('state', '=', state)
      if (state === 'active' || state === 'ended') query = query.where('state', '<>', sql.lit('settled'))
      if (agent !== undefined) query = query.where('agent', '=', agent)
      if (within !== undefined) query = query.where(isWithin('id', within))
      if (human !== undefined) query = query.where('human', '=', human)
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('opened_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.opened_at, row.id])
    },

    async leases({ state, task, agent, issuer, within, below, human, revocation }, { limit, after }) {
      let query = db.selectFrom('leases')
      if (state !== undefined && state !== 'outstanding') query = query.where('state', '=', state)
      if (state !== undefined && state !== 'closed') query = query.where('state', '<>', sql.lit('closed'))
      if (task !== undefined) query = query.where('task', '=', task)
      if (issuer !== undefined) query = query.where('issuer', '=', issuer)
      if (within !== undefined) query = query.where(isWithin('task', within))
      if (below !== undefined) query = query.where(isBelow(below))
      if (human !== undefined)
        query = query.where('task', 'in', eb =>
          eb.selectFrom('tasks').select('id').where('human', '=', human),
        )
      if (revocation !== undefined)
        query = query.where('id', 'in', eb =>
          eb.selectFrom('revocation_leases').select('lease').where('revocation', '=', revocation),
        )
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('intended_at', 'id'), '<', eb.tuple(...key)))
      }
      const latest = <Row>(of: SelectQueryBuilder<Tables, 'leases', Row>) =>
        of
          .orderBy('intended_at', 'desc')
          .orderBy('id', 'desc')
          .limit(limit + 1)
      if (agent !== undefined) {
        const ofAgent = query.where('agent', '=', agent).select('id')
        const latestOf = (phase: Phase | null) =>
          latest(ofAgent.where('phase', phase === null ? 'is' : '=', phase))
        query = db.selectFrom('leases').where(
          'id',
          'in',
          ofEachPhase(phase => latestOf(phase)),
        )
      }
      const { rows } = await run(latest(query.selectAll()).compile())
      return toPage(rows, limit, row => [row.intended_at, row.id])
    },

    async minted(of, since, before) {
      let query = db
        .selectFrom('leases')
        .select(['phase', eb => eb.fn.countAll<number>().as('count')])
        .where('intended_at', '>', since)
        .where(eb => eb.or([eb('closed_as', 'is', null), eb('closed_as', '<>', 'never_minted')]))
        .where('agents' in of ? isOf(of.agents) : isWithin('task', of.root))
        .groupBy('phase')
      if (before !== undefined) query = query.where('intended_at', '<', before)
      if ('agents' in of)
        query = query.where('phase', 'in', [...PHASES]).unionAll(query.where('phase', 'is', null))
      return (await run(query.compile())).rows
    },

    async audit({ task, agent, lease }, { limit, after }) {
      let query = db.selectFrom('audit').selectAll().orderBy('seq')
      if (task !== undefined) query = query.where('task', '=', task)
      if (agent !== undefined) query = query.where('agent', '=', agent)
      if (lease !== undefined) query = query.where('lease', '=', lease)
      if (after !== undefined) query = query.where('seq', '>', decodeCursor(after)[0])
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.seq, ''])
    },
  }
}

const PHASES = ['read', 'propose', 'execute', 'deploy', 'transact'] as const

/**
 * Ids of what an agent was given: its leases are in order within a phase (schema 20), so that a page takes as many of each
 * as it holds, however many there are.
 */
function ofEachPhase(ids: (phase: Phase | null) => SelectQueryBuilder<Tables, 'leases', { id: string }>) {
  const each = [...PHASES, null].map(phase => sql`select id from (${ids(phase)}) as of_phase`)
  return sql<string>`(${sql.join(each, sql` union all `)})`
}

/** The column names this task, or one below it. */
function isWithin(column: 'id' | 'task', task: string) {
  const at = sql.ref(column)
  return sql<boolean>`(${at} = ${task} or ${at} in (select task from task_ancestors where ancestor = ${task}))`
}

/** A task of the agent, or one below such a task. */
function isBelow(agent: string) {
  return sql<boolean>`(agent = ${agent} or task in (
    select task_ancestors.task from task_ancestors join tasks on tasks.id = task_ancestors.ancestor
    where tasks.agent = ${agent}))`
}

/** No agents are none of them. */
function isOf(agents: readonly string[]) {
  return agents.length === 0 ? sql<boolean>`1 = 0` : sql<boolean>`agent in (${sql.join(agents)})`
}
