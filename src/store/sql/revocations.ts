/** What operators revoke: the runs, the leases that each reached, and the refusals that stand. */
import { sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerRead, LedgerWrite, RevocationProgress } from '../ledger.ts'
import type { LeaseRow, RevocationRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { decodeCursor, toPage } from './cursor.ts'
import { gather, pick, prepare, prepareList, type Run, type Transaction } from './prepare.ts'

export type RevocationWrites = Pick<
  LedgerWrite,
  | 'insertRevocation'
  | 'blocks'
  | 'lockMintGate'
  | 'awaitMints'
  | 'noteReached'
  | 'finishRevocation'
  | 'unblockRevocation'
>

export function revocationWrites(dialect: SqlDialect): (tx: Transaction) => RevocationWrites {
  const { insert, blocks, reach, note, finish, unblock } = revocationQueries(dialect)
  const { gate, agents } = lockQueries(dialect)
  return ({ run, recall, now }) => ({
    async insertRevocation(row) {
      await run(insert(row))
    },
    async blocks() {
      return recall(blocks({}))
    },
    async lockMintGate() {
      if (dialect.rowLocks) await run(gate.share({}))
    },
    async awaitMints() {
      if (!dialect.rowLocks) return
      await run(agents({}))
      await run(gate.update({}))
    },
    async noteReached(id, { tasks, leases, cursor }) {
      await gather(run, reach(leases, { id }))
      await run(note({ id, tasks, cursor: cursor ?? null }))
    },
    async finishRevocation(id) {
      return (await run(finish({ id, now }))).changed > 0
    },
    async unblockRevocation(id, by) {
      return (await run(unblock({ id, by, now }))).changed > 0
    },
  })
}

function revocationQueries({ db }: SqlDialect) {
  return {
    insert: prepare((row: RevocationRow) =>
      db.insertInto('revocations').values(pick(row, columns.revocations)),
    ),
    blocks: prepare((_: object) =>
      db
        .selectFrom('revocations')
        .selectAll()
        // A literal: see the partial index.
        .where('blocking', '=', sql.lit(1 as const))
        .orderBy('created_at')
        .orderBy('id'),
    ),
    reach: prepareList((leases, p: { id: string }) =>
      db
        .insertInto('revocation_leases')
        .columns(['revocation', 'lease'])
        .expression(eb =>
          eb
            .selectFrom('leases')
            .select([sql<string>`${p.id}`.as('revocation'), 'id'])
            .where('id', 'in', leases),
        )
        .onConflict(conflict => conflict.doNothing()),
    ),
    note: prepare((p: { id: string; tasks: number; cursor: string | null }) =>
      db
        .updateTable('revocations')
        .set(eb => ({
          tasks_ended: eb('tasks_ended', '+', p.tasks),
          cursor: eb.fn.coalesce(eb.val(p.cursor), 'cursor'),
        }))
        .where('id', '=', p.id),
    ),
    finish: prepare((p: { id: string; now: number }) =>
      db
        .updateTable('revocations')
        .set(eb => ({
          state: 'done',
          finished_at: p.now,
          blocking: eb
            .case()
            .when(eb.and([eb('hold', '=', sql.lit(1 as const)), eb('unblocked_at', 'is', null)]))
            .then(sql.lit(1 as const))
            .else(sql.lit(0 as const))
            .end(),
        }))
        .where('id', '=', p.id)
        .where('state', '=', 'running'),
    ),
    unblock: prepare((p: { id: string; by: string; now: number }) =>
      db
        .updateTable('revocations')
        .set({ blocking: 0, unblocked_at: p.now, unblocked_by: p.by })
        .where('id', '=', p.id)
        .where('blocking', '=', 1),
    ),
  }
}

function lockQueries({ db, lock }: SqlDialect) {
  const gate = (mode: 'share' | 'update') =>
    prepare((_: object) =>
      lock(db.selectFrom('meta').select('key').where('key', '=', 'mint_gate'), mode, 'meta'),
    )
  return {
    gate: { share: gate('share'), update: gate('update') },
    agents: prepare((_: object) =>
      lock(db.selectFrom('agents').select('name').orderBy('name'), 'update', 'agents'),
    ),
  }
}

export type RevocationReads = Pick<
  LedgerRead,
  'revocation' | 'revocations' | 'revocationProgress' | 'revokingBacklog'
>

export function revocationReads({ db }: SqlDialect, run: Run): RevocationReads {
  const one = prepare((p: { id: string }) => db.selectFrom('revocations').selectAll().where('id', '=', p.id))
  const count = sql<number>`count(*)`.as('count')
  const progress = prepare((p: { id: string }) =>
    db
      .selectFrom('revocation_leases')
      .innerJoin('leases', 'leases.id', 'revocation_leases.lease')
      .select([
        'state',
        'closed_as',
        'revocability',
        sql<0 | 1>`case when revoked_at is null then 0 else 1 end`.as('told'),
        sql<0 | 1>`case when confirmed_dead_at is null then 0 else 1 end`.as('dead'),
        count,
      ])
      .where('revocation', '=', p.id)
      .groupBy(['state', 'closed_as', 'revocability', sql`told`, sql`dead`]),
  )
  const backlog = prepare((_: object) =>
    db
      .selectFrom('leases')
      .select(['issuer', 'revocability', count, eb => eb.fn.min('revoking_at').as('oldest')])
      .where('state', '=', sql.lit('revoking'))
      .groupBy(['issuer', 'revocability']),
  )
  return {
    revocation: async id => (await run(one({ id }))).rows[0],
    async revocations({ blocking }, { limit, after }) {
      let query = db.selectFrom('revocations').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc')
      if (blocking === true) query = query.where('blocking', '=', sql.lit(1 as const))
      if (after !== undefined) {
        const key = decodeCursor(after)
        query = query.where(eb => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(...key)))
      }
      const { rows } = await run(query.limit(limit + 1).compile())
      return toPage(rows, limit, row => [row.created_at, row.id])
    },
    revocationProgress: async id => counted((await run(progress({ id }))).rows),
    revokingBacklog: async () =>
      (await run(backlog({}))).rows.map(row => ({ ...row, oldest: row.oldest ?? 0 })),
  }
}

type Group = Pick<LeaseRow, 'state' | 'closed_as' | 'revocability'> & {
  told: 0 | 1
  dead: 0 | 1
  count: number
}

function counted(groups: readonly Group[]): RevocationProgress {
  const progress: RevocationProgress = {
    reached: 0,
    confirmed_dead: 0,
    never_minted: 0,
    expired: 0,
    expired_unconfirmed: 0,
    revoked: 0,
    waiting: 0,
    expiry_only: 0,
  }
  for (const group of groups) {
    progress.reached += group.count
    progress[placeOf(group)] += group.count
  }
  return progress
}

function placeOf({ state, closed_as, revocability, told, dead }: Group): keyof RevocationProgress {
  if (dead === 1) return 'confirmed_dead'
  if (state !== 'closed') {
    if (revocability === 'expiry_only') return 'expiry_only'
    return told === 1 ? 'revoked' : 'waiting'
  }
  if (closed_as === 'never_minted' || closed_as === 'expired_unconfirmed') return closed_as
  return closed_as === 'expired' ? 'expired' : 'confirmed_dead'
}
