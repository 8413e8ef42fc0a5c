/** Leases: every transition from intent to closed, each one conditional update. */
import type { LedgerWrite } from '../../../src/store/ledger.ts'
import type { LeaseRow, LeaseState } from '../../../src/store/rows.ts'
import type { StatementIo } from './transaction.ts'

type LeaseWrites = Pick<
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

export function leaseWrites(io: StatementIo): LeaseWrites {
  const { now, statement } = io
  const isOpen = ({ state }: LeaseRow) => state === 'intended' || state === 'active'
  const isUntold = (row: LeaseRow) => row.state === 'revoking' && row.revoked_at === null
  /** Whoever holds a claim was told of a lease without a secret: the claim is taken back with its fence. */
  const unclaimed = (row: LeaseRow) => ({
    fence: row.claimed_until === null ? row.fence : row.fence + 1,
    claimed_until: null,
  })
  const revoking = (row: LeaseRow) =>
    ({ state: 'revoking', revoking_at: now, due_at: revocationDue(row, now) }) as const

  return {
    insertLease: row => statement('insertLease', () => io.insert('leases', row.id, row)),
    activateLease: (id, to) =>
      statement('activateLease', async () => {
        const isIntended = (row: LeaseRow) => row.state === 'intended'
        const change = (row: LeaseRow) =>
          ({ ...picked(to), ...unclaimed(row), state: 'active', active_at: now }) as const
        return (await io.update('leases', isIntended, change, [id])).length > 0
      }),
    attachSecret: (id, secret) =>
      statement('attachSecret', async () => {
        const { granted, provider_expires_at, sealed_secret, secret_sha256 } = secret
        const minted = { granted, provider_expires_at, sealed_secret, secret_sha256 }
        const change = (row: LeaseRow) => ({ ...minted, ...unclaimed(row), due_at: now })
        return (await io.update('leases', row => row.state === 'revoking', change, [id])).length > 0
      }),
    revokeLeasesOf: tasks =>
      statement('revokeLeasesOf', () =>
        io.update('leases', row => isOpen(row) && tasks.includes(row.task), revoking),
      ),
    revokeLease: id =>
      statement('revokeLease', async () => (await io.update('leases', isOpen, revoking, [id]))[0]),
    claimDue: (issuer, limit, claimedUntil) =>
      statement('claimDue', async () => {
        const isDue = (row: LeaseRow) =>
          row.issuer === issuer &&
          row.state !== 'closed' &&
          row.due_at !== null &&
          row.due_at <= now &&
          (row.claimed_until === null || row.claimed_until <= now)
        const due = io.scan('leases', isDue).map(([, row]) => row)
        const ids = due.sort(longestLifeFirst).map(row => row.id)
        const keys = io.skipLocked('leases', ids, limit)
        const claim = (row: LeaseRow) => ({ fence: row.fence + 1, claimed_until: claimedUntil })
        return io.update('leases', isDue, claim, keys)
      }),
    closeLease: (id, fence, to) =>
      statement('closeLease', async () => {
        const from: readonly LeaseState[] = to.from ?? ['intended', 'active', 'revoking']
        const isOurs = (row: LeaseRow) => from.includes(row.state) && (fence === null || row.fence === fence)
        const closed = (row: LeaseRow) =>
          ({
            state: 'closed',
            closed_as: to.closed_as,
            closed_at: now,
            ...{ due_at: null, claimed_until: null, sealed_secret: null },
            revoked_at: to.revoked_at ?? row.revoked_at,
            confirmed_dead_at: to.confirmed_dead_at ?? row.confirmed_dead_at,
            proof: to.proof ?? row.proof,
          }) as const
        return (await io.update('leases', isOurs, closed, [id]))[0]
      }),
    retryLease: (id, fence, to) =>
      statement('retryLease', async () => {
        const isOurs = (row: LeaseRow) => row.state !== 'closed' && row.fence === fence
        const change = (row: LeaseRow) => ({
          ...{ due_at: to.due_at, attempts: to.attempts, last_error: to.last_error, claimed_until: null },
          revoked_at: to.revoked_at ?? row.revoked_at,
          proof: to.proof ?? row.proof,
        })
        return (await io.update('leases', isOurs, change, [id])).length > 0
      }),
    noteRevoked: (ids, at) =>
      statement('noteRevoked', () =>
        io.update('leases', isUntold, () => ({ revoked_at: at, due_at: now }), ids),
      ),
    deferLeases: (ids, { due_at, last_error }) =>
      statement('deferLeases', async () => {
        const isFree = (row: LeaseRow) => row.claimed_until === null || row.claimed_until <= now
        await io.update(
          'leases',
          row => isUntold(row) && isFree(row),
          () => ({ due_at, last_error }),
          ids,
        )
      }),
  }
}

type Activated = Parameters<LedgerWrite['activateLease']>[1]

/** These columns, whatever else the object carries. */
function picked(to: Activated): Activated {
  const { granted, may_leave_access, expires_at, provider_expires_at, sealed_secret, secret_sha256, due_at } =
    to
  return { granted, may_leave_access, expires_at, provider_expires_at, sealed_secret, secret_sha256, due_at }
}

function revocationDue(row: LeaseRow, now: number): number {
  if (row.revocability === 'expiry_only') return row.provider_expires_at ?? row.dead_by
  return row.state === 'intended' && row.revocation_group === null ? row.dead_by : now
}

function longestLifeFirst(a: LeaseRow, b: LeaseRow): number {
  const life = (lease: LeaseRow) => lease.provider_expires_at ?? lease.dead_by
  return life(b) - life(a) || (a.due_at ?? 0) - (b.due_at ?? 0) || (a.id < b.id ? -1 : 1)
}
