/** What may be used once: evidence and tickets; and forgetting what is past. */
import { sql } from 'kysely'
import { LIMITS } from '../../limits.ts'
import type { SqlDialect } from '../dialect.ts'
import { LedgerUnavailable, type LedgerWrite } from '../ledger.ts'
import type { EvidenceRow, TicketRow } from '../rows.ts'
import { columns } from '../tables.ts'
import { pick, prepare, type Transaction } from './prepare.ts'

export type EvidenceWrites = Pick<
  LedgerWrite,
  'useEvidence' | 'reuseEvidence' | 'spendEvidence' | 'insertTicket' | 'redeemTicket' | 'passTicket' | 'prune'
>

type Taken = { id: string; from: string; task: string; used_at: number } & {
  request_digest: string | null
  until: number | null
}

/** The digest of no request. */
const SPENT = ''

export function evidenceWrites(dialect: SqlDialect): (tx: Transaction) => EvidenceWrites {
  const { use, earlier, reuse, spend, insertTicket, redeem, pass } = onceQueries(dialect)
  const prunes = pruneQueries(dialect)

  return ({ run, send, expect, now }) => ({
    async useEvidence(row) {
      if (await expect(use(row))) return undefined
      const used = (await run(earlier({ id: row.id }))).rows[0]
      // Forgotten between the two statements. Nobody may take that for a first use: this one is not recorded.
      if (used === undefined) throw new LedgerUnavailable('evidence was forgotten while it was presented')
      return used
    },
    async reuseEvidence(id, from, to) {
      const { task, used_at, request_digest = null, until = null } = to
      return (await run(reuse({ id, from: from.task, task, used_at, request_digest, until }))).changed > 0
    },
    async spendEvidence(id, except) {
      await run(spend({ id, except }))
    },
    async insertTicket(row) {
      await send(insertTicket(row))
    },
    async redeemTicket(tokenHash, by) {
      return (await run(redeem({ tokenHash, by, now }))).rows[0]
    },
    async passTicket(id, { from, to }) {
      return (await run(pass({ id, from, to }))).changed > 0
    },
    async prune(limit) {
      let gone = 0
      const delivered = now - LIMITS.deliveryKeptMs
      for (const prune of prunes) {
        if (gone < limit) gone += (await run(prune({ now, delivered, limit: limit - gone }))).changed
      }
      return gone
    },
  })
}

function onceQueries({ db }: SqlDialect) {
  return {
    use: prepare((row: EvidenceRow) =>
      db
        .insertInto('evidence')
        .values(pick(row, columns.evidence))
        .onConflict(conflict => conflict.column('id').doNothing()),
    ),
    earlier: prepare((p: { id: string }) => db.selectFrom('evidence').selectAll().where('id', '=', p.id)),
    reuse: prepare((p: Taken) =>
      db
        .updateTable('evidence')
        .set(({ fn, ref, val }) => ({
          task: p.task,
          used_at: p.used_at,
          request_digest: fn.coalesce(val(p.request_digest), ref('request_digest')),
          until: fn.coalesce(val(p.until), ref('until')),
        }))
        .where('id', '=', p.id)
        .where('task', '=', p.from)
        .where('request_digest', '<>', SPENT),
    ),
    spend: prepare((p: { id: string; except: string }) =>
      db
        .updateTable('evidence')
        .set({ request_digest: SPENT })
        .where('id', '=', p.id)
        .where('task', '<>', p.except),
    ),
    insertTicket: prepare((row: TicketRow) => db.insertInto('tickets').values(pick(row, columns.tickets))),
    redeem: prepare((p: { tokenHash: string; by: string; now: number }) =>
      db
        .updateTable('tickets')
        .set({ state: 'redeemed', redeemed_by: p.by })
        .where('token_hash', '=', p.tokenHash)
        .where('state', '=', 'open')
        .where('expires_at', '>', p.now)
        .returningAll(),
    ),
    pass: prepare((p: { id: string; from: string; to: string }) =>
      db
        .updateTable('tickets')
        .set({ redeemed_by: p.to })
        .where('id', '=', p.id)
        .where('redeemed_by', '=', p.from),
    ),
  }
}

function pruneQueries({ db }: SqlDialect) {
  type Bound = { now: number; delivered: number; limit: number }
  return [
    /** Not while tasks are still being ended on its word. */
    prepare((p: Bound) =>
      db
        .deleteFrom('works')
        .where('pending', '=', sql.lit(0))
        .where(({ eb, refTuple, selectFrom }) =>
          eb(
            refTuple('run_key', 'job'),
            'in',
            selectFrom('works as past')
              .select(['past.run_key', 'past.job'])
              .where('past.until', '<=', p.now)
              .where('past.pending', '=', sql.lit(0))
              .limit(p.limit)
              .$asTuple('run_key', 'job'),
          ),
        ),
    ),
    prepare((p: Bound) =>
      db
        .deleteFrom('evidence')
        .where('id', 'in', eb =>
          eb.selectFrom('evidence').select('id').where('until', '<=', p.now).limit(p.limit),
        ),
    ),
    prepare((p: Bound) =>
      db
        .deleteFrom('budgets')
        .where('key', 'in', eb =>
          eb.selectFrom('budgets').select('key').where('until', '<=', p.now).limit(p.limit),
        ),
    ),
    /** What is past has nothing left to give back. */
    prepare((p: Bound) =>
      db
        .deleteFrom('budget_holds')
        .where(({ eb, refTuple, selectFrom }) =>
          eb(
            refTuple('holder', 'key'),
            'in',
            selectFrom('budget_holds as past')
              .select(['past.holder', 'past.key'])
              .where('past.until', '<=', p.now)
              .limit(p.limit)
              .$asTuple('holder', 'key'),
          ),
        ),
    ),
    prepare((p: Bound) =>
      db.deleteFrom('tickets').where('id', 'in', eb =>
        eb
          .selectFrom('tickets')
          .leftJoin('tasks', 'tasks.id', 'tickets.redeemed_by')
          .select('tickets.id')
          .where('tickets.expires_at', '<=', p.now)
          // What a living child was given bounds it for as long as it lives.
          .where(one => one.or([one('tasks.id', 'is', null), one('tasks.state', '!=', sql.lit('active'))]))
          .limit(p.limit),
      ),
    ),
    prepare((p: Bound) =>
      db
        .deleteFrom('deliveries')
        .where('id', 'in', eb =>
          eb
            .selectFrom('deliveries')
            .select('id')
            .where('state', '=', sql.lit('delivered'))
            .where('done_at', '<=', p.delivered)
            .limit(p.limit),
        ),
    ),
    /** Of changes that nobody decided in their time. */
    prepare((p: Bound) =>
      db
        .updateTable('changes')
        .set({ sealed: null })
        .where('id', 'in', eb =>
          eb
            .selectFrom('changes')
            .select('id')
            .where('expires_at', '<=', p.now)
            .where('sealed', 'is not', null)
            .limit(p.limit),
        ),
    ),
  ]
}
