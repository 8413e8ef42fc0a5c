/** Leases: every transition from intent to closed, each one conditional UPDATE. */
import { type ExpressionBuilder, sql } from 'kysely'
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite } from '../ledger.ts'
import type { LeaseClose, LeaseRow, LeaseState } from '../rows.ts'
import { columns, type Tables } from '../tables.ts'
import { gather, pick, prepare, prepareList, type Transaction } from './prepare.ts'

export type LeaseWrites = Pick<
  LedgerWrite,
  | 'insertLease'
  | 'activateLease'
  | 'attachSecret'
  | 'revokeLeasesOf'
  | 'revokeLease'
  | 'claimDue'
  | 'closeLease'
  | 'retryLease'
  | 'noteRevoked'
  | 'deferLeases'
>

const openStates: readonly LeaseState[] = ['intended', 'active', 'revoking']

export function leaseWrites(dialect: SqlDialect): (tx: Transaction) => LeaseWrites {
  const { insert, activate, attach } = mintQueries(dialect)
  const { revokeOf, revokeOne } = revokeQueries(dialect)
  const { claim, close, closeFenced, retry } = reapQueries(dialect)
  const { note, defer } = groupQueries(dialect)

  return ({ run, send, now }) => ({
    async insertLease(row) {
      await send(insert(row))
    },
    async activateLease(id, to) {
      return (await run(activate({ ...to, id, now }))).changed > 0
    },
    async attachSecret(id, secret) {
      return (await run(attach({ ...secret, id, now }))).changed > 0
    },
    async revokeLeasesOf(tasks) {
      return gather(run, revokeOf(tasks, { now }))
    },
    async revokeLease(id) {
      return (await run(revokeOne({ id, now }))).rows[0]
    },
    async claimDue(issuer, limit, claimedUntil) {
      const { rows } = await run(claim({ issuer, limit, claimedUntil, now }))
      return rows.sort(longestLifeFirst)
    },
    async closeLease(id, fence, to) {
      const change = {
        id,
        now,
        closedAs: to.closed_as,
        revokedAt: to.revoked_at ?? null,
        confirmedDeadAt: to.confirmed_dead_at ?? null,
        proof: to.proof ?? null,
      }
      const from = to.from ?? openStates
      const queries = fence === null ? close(from, change) : closeFenced(from, { ...change, fence })
      return (await gather(run, queries))[0]
    },
    async retryLease(id, fence, to) {
      const change = {
        id,
        fence,
        dueAt: to.due_at,
        attempts: to.attempts,
        lastError: to.last_error,
        revokedAt: to.revoked_at ?? null,
        proof: to.proof ?? null,
      }
      return (await run(retry(change))).changed > 0
    },
    async noteRevoked(ids, at) {
      return gather(run, note(ids, { at, now }))
    },
    async deferLeases(ids, to) {
      await gather(run, defer(ids, { dueAt: to.due_at, lastError: to.last_error, now }))
    },
  })
}

type Minted = Pick<LeaseRow, 'granted' | 'provider_expires_at' | 'sealed_secret' | 'secret_sha256'>
type Activated = Minted & Pick<LeaseRow, 'may_leave_access' | 'expires_at'> & { due_at: number }

function mintQueries({ db }: SqlDialect) {
  /** Whoever holds a claim was told of a lease without a secret: the claim is taken back with its fence. */
  const unclaim = (eb: ExpressionBuilder<Tables, 'leases'>) => ({
    fence: eb
      .case()
      .when('claimed_until', 'is', null)
      .then(eb.ref('fence'))
      .else(eb('fence', '+', sql.lit(1)))
      .end(),
    claimed_until: null,
  })
  return {
    insert: prepare((row: LeaseRow) => db.insertInto('leases').values(pick(row, columns.leases))),
    activate: prepare((p: Activated & { id: string; now: number }) =>
      db
        .updateTable('leases')
        .set(eb => ({
          ...unclaim(eb),
          state: 'active',
          active_at: p.now,
          granted: p.granted,
          may_leave_access: p.may_leave_access,
          expires_at: p.expires_at,
          provider_expires_at: p.provider_expires_at,
          sealed_secret: p.sealed_secret,
          secret_sha256: p.secret_sha256,
          due_at: p.due_at,
        }))
        .where('id', '=', p.id)
        .where('state', '=', 'intended'),
    ),
    attach: prepare((p: Minted & { id: string; now: number }) =>
      db
        .updateTable('leases')
        .set(eb => ({
          ...unclaim(eb),
          granted: p.granted,
          provider_expires_at: p.provider_expires_at,
          sealed_secret: p.sealed_secret,
          secret_sha256: p.secret_sha256,
          due_at: p.now,
        }))
        .where('id', '=', p.id)
        .where('state', '=', 'revoking'),
    ),
  }
}

function revokeQueries({ db }: SqlDialect) {
  const revoking = (now: number) =>
    db
      .updateTable('leases')
      .set(eb => ({
        state: 'revoking',
        revoking_at: now,
        due_at: eb
          .case()
          .when('revocability', '=', 'expiry_only')
          .then(eb.fn.coalesce('provider_expires_at', 'dead_by'))
          .when(eb.and([eb('state', '=', 'intended'), eb('revocation_group', 'is', null)]))
          .then(eb.ref('dead_by'))
          .else(now)
          .end(),
      }))
      .where('state', 'in', ['intended', 'active'])
      .returningAll()
  return {
    revokeOf: prepareList((tasks, p: { now: number }) => revoking(p.now).where('task', 'in', tasks)),
    revokeOne: prepare((p: { id: string; now: number }) => revoking(p.now).where('id', '=', p.id)),
  }
}

function reapQueries({ db, skipLocked }: SqlDialect) {
  const closing = (p: {
    id: string
    now: number
    closedAs: LeaseClose
    revokedAt: number | null
    confirmedDeadAt: number | null
    proof: string | null
  }) =>
    db
      .updateTable('leases')
      .set(eb => ({
        state: 'closed',
        closed_as: p.closedAs,
        closed_at: p.now,
        due_at: null,
        claimed_until: null,
        sealed_secret: null,
        revoked_at: eb.fn.coalesce(eb.val(p.revokedAt), 'revoked_at'),
        confirmed_dead_at: eb.fn.coalesce(eb.val(p.confirmedDeadAt), 'confirmed_dead_at'),
        proof: eb.fn.coalesce(eb.val(p.proof), 'proof'),
      }))
      .where('id', '=', p.id)
      .returningAll()

  return {
    claim: prepare((p: { issuer: string; limit: number; claimedUntil: number; now: number }) =>
      db
        .with('due', cte =>
          skipLocked(
            cte
              .selectFrom('leases')
              .select('id')
              .where('issuer', '=', p.issuer)
              // A literal: a partial index is used only where the statement itself says what it covers.
              .where('state', '<>', sql.lit('closed'))
              .where('due_at', '<=', p.now)
              .where(eb => eb.or([eb('claimed_until', 'is', null), eb('claimed_until', '<=', p.now)]))
              .orderBy(eb => eb.fn.coalesce('provider_expires_at', 'dead_by'), 'desc')
              .orderBy('due_at')
              .orderBy('id')
              .limit(p.limit),
          ),
        )
        .updateTable('leases')
        .set(eb => ({ fence: eb('fence', '+', sql.lit(1)), claimed_until: p.claimedUntil }))
        .where('id', 'in', eb => eb.selectFrom('due').select('due.id'))
        .returningAll(),
    ),
    close: prepareList((from, p: Parameters<typeof closing>[0]) =>
      closing(p).where('state', 'in', from as LeaseState[]),
    ),
    closeFenced: prepareList((from, p: Parameters<typeof closing>[0] & { fence: number }) =>
      closing(p)
        .where('state', 'in', from as LeaseState[])
        .where('fence', '=', p.fence),
    ),
    retry: prepare(
      (p: {
        id: string
        fence: number
        dueAt: number
        attempts: number
        lastError: string | null
        revokedAt: number | null
        proof: string | null
      }) =>
        db
          .updateTable('leases')
          .set(eb => ({
            due_at: p.dueAt,
            attempts: p.attempts,
            last_error: p.lastError,
            claimed_until: null,
            revoked_at: eb.fn.coalesce(eb.val(p.revokedAt), 'revoked_at'),
            proof: eb.fn.coalesce(eb.val(p.proof), 'proof'),
          }))
          .where('id', '=', p.id)
          .where('state', '<>', 'closed')
          .where('fence', '=', p.fence),
    ),
  }
}

function groupQueries({ db }: SqlDialect) {
  const untold = (ids: string[]) =>
    db
      .updateTable('leases')
      .where('id', 'in', ids)
      .where('state', '=', 'revoking')
      .where('revoked_at', 'is', null)
  return {
    note: prepareList((ids, p: { at: number; now: number }) =>
      untold(ids).set({ revoked_at: p.at, due_at: p.now }).returningAll(),
    ),
    defer: prepareList((ids, p: { dueAt: number; lastError: string; now: number }) =>
      untold(ids)
        .set({ due_at: p.dueAt, last_error: p.lastError })
        .where(eb => eb.or([eb('claimed_until', 'is', null), eb('claimed_until', '<=', p.now)])),
    ),
  }
}

/** RETURNING promises no order, so that of the claim is made again. */
function longestLifeFirst(a: LeaseRow, b: LeaseRow): number {
  const life = (lease: LeaseRow) => lease.provider_expires_at ?? lease.dead_by
  return life(b) - life(a) || (a.due_at ?? 0) - (b.due_at ?? 0) || (a.id < b.id ? -1 : 1)
}
