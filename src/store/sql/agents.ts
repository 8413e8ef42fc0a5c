/** Agents: the declared ones, how each stands, and the row that opening and suspending contend for. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite, Lock } from '../ledger.ts'
import type { AgentRow, AgentStanding, AgentUse, Standing } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, type Run, type Transaction } from './prepare.ts'

export type AgentWrites = Pick<
  LedgerWrite,
  'putAgent' | 'lockAgent' | 'shareAgent' | 'moveAgent' | 'certifyAgent'
>
export type AgentReads = Pick<LedgerRead, 'agent' | 'agents' | 'agentUse'>

type Moved = Parameters<LedgerWrite['moveAgent']>[2]
type Certified = Parameters<LedgerWrite['certifyAgent']>[1]

export function agentWrites(dialect: SqlDialect): (tx: Transaction) => AgentWrites {
  const { put, move, certify } = changeQueries(dialect)
  const { db, lock } = dialect
  const locked = (mode: Lock) =>
    prepare((p: { name: string }) =>
      lock(db.selectFrom('agents').selectAll().where('name', '=', p.name), mode, 'agents'),
    )
  const byLock = { share: locked('share'), update: locked('update') }
  const share = prepare((p: { name: string }) =>
    lock(
      db
        .selectFrom('agents')
        .select(['name', 'digest', 'mac', 'status', 'standing'])
        .where('name', '=', p.name),
      'share',
      'agents',
    ),
  )

  return ({ run, recall, now }) => ({
    async putAgent(row) {
      await run(put(row))
    },
    async lockAgent(name, mode) {
      return (await run(byLock[mode]({ name }))).rows[0]
    },
    async shareAgent(name) {
      return (await recall(share({ name })))[0]
    },
    async moveAgent(name, from, to) {
      return (await run(move({ ...to, name, from, now }))).changed > 0
    },
    async certifyAgent(name, to) {
      await run(certify({ ...to, name, now }))
    },
  })
}

function changeQueries({ db }: SqlDialect) {
  return {
    put: prepare((row: AgentRow) =>
      db
        .insertInto('agents')
        .values(pick(row, columns.agents))
        .onConflict(conflict =>
          conflict.column('name').doUpdateSet({
            digest: row.digest,
            document: row.document,
            status: row.status,
            updated_at: row.updated_at,
            mac: row.mac,
          }),
        ),
    ),
    move: prepare((p: Moved & { name: string; from: Standing; now: number }) =>
      db
        .updateTable('agents')
        .set({
          standing: p.standing,
          standing_cause: p.standing_cause,
          standing_reason: p.standing_reason,
          standing_by: p.standing_by,
          standing_run: p.standing_run,
          standing_at: p.now,
        } satisfies { [Key in Extract<keyof AgentStanding, `standing${string}`>]: unknown })
        .where('name', '=', p.name)
        .where('standing', '=', p.from),
    ),
    certify: prepare((p: Certified & { name: string; now: number }) =>
      db
        .updateTable('agents')
        .set({
          certified_build: p.certified_build,
          certified_until: p.certified_until,
          certified_by: p.certified_by,
          certified_mac: p.certified_mac,
          certified_at: p.now,
        })
        .where('name', '=', p.name),
    ),
  }
}

export function agentReads({ db }: SqlDialect, run: Run): AgentReads {
  const one = prepare((p: { name: string }) => db.selectFrom('agents').selectAll().where('name', '=', p.name))
  const every = prepare((_: object) => db.selectFrom('agents').selectAll().orderBy('name'))
  return {
    agent: async name => (await run(one({ name }))).rows[0],
    agents: async () => (await run(every({}))).rows,
    async agentUse(agent) {
      // The words of the partial indexes; and for each agent one step into the index of its tasks.
      let query = db
        .selectFrom('agents')
        .select(({ selectFrom }) => [
          'agents.name as agent',
          selectFrom('tasks')
            .select(sql<number>`count(*)`.as('count'))
            .whereRef('tasks.agent', '=', 'agents.name')
            .where('tasks.state', '<>', sql.lit('settled'))
            .where('tasks.state', '=', sql.lit('active'))
            .as('active_tasks'),
          selectFrom('leases')
            .select(sql<number>`count(*)`.as('count'))
            .whereRef('leases.agent', '=', 'agents.name')
            .where('leases.state', '<>', sql.lit('closed'))
            .as('outstanding_leases'),
          selectFrom('tasks')
            .select(eb => eb.fn.max('opened_at').as('last'))
            .whereRef('tasks.agent', '=', 'agents.name')
            .as('last_opened_at'),
        ])
        .orderBy('agents.name')
      if (agent !== undefined) query = query.where('agents.name', '=', agent)
      const { rows } = await run(query.compile())
      return rows.map(
        (row): AgentUse => ({
          agent: row.agent,
          active_tasks: row.active_tasks ?? 0,
          outstanding_leases: row.outstanding_leases ?? 0,
          last_opened_at: row.last_opened_at,
        }),
      )
    },
  }
}
