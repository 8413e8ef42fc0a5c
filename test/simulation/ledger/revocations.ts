/** What operators revoke: the runs, the leases that each reached, and the refusals that stand. */
import type { LedgerRead, LedgerWrite, RevocationProgress } from '../../../src/store/ledger.ts'
import type { LeaseRow, RevocationRow } from '../../../src/store/rows.ts'
import type { At } from './reads.ts'
import { all, by, paged } from './select.ts'
import type { Committed, StatementIo } from './transaction.ts'

type RevocationWrites = Pick<
  LedgerWrite,
  | 'insertRevocation'
  | 'blocks'
  | 'lockMintGate'
  | 'awaitMints'
  | 'noteReached'
  | 'finishRevocation'
  | 'unblockRevocation'
>

export function revocationWrites(io: StatementIo): RevocationWrites {
  const { now, statement } = io
  const gate = (mode: 'share' | 'update') => statement('mint gate', () => io.lock('mint_gate', 'gate', mode))
  return {
    insertRevocation: row => statement('insertRevocation', () => io.insert('revocations', row.id, row)),
    blocks: () =>
      statement('blocks', () => {
        const blocking = io.scan('revocations', row => row.blocking === 1).map(([, row]) => ({ ...row }))
        return blocking.sort(
          by(
            row => row.created_at,
            row => row.id,
          ),
        )
      }),
    lockMintGate: () => gate('share'),
    async awaitMints() {
      const names = () => io.scan('agents', () => true).map(([name]) => name)
      await statement('awaitMints', () => io.lockRows('agents', names().sort(), 'update'))
      await gate('update')
    },
    noteReached: (id, { tasks, leases, cursor }) =>
      statement('noteReached', async () => {
        for (const lease of leases) {
          const key = `${id} ${lease}`
          if (io.get('leases', lease) !== undefined)
            io.set('revocation_leases', key, { revocation: id, lease })
        }
        const change = (row: RevocationRow) => ({
          tasks_ended: row.tasks_ended + tasks,
          cursor: cursor ?? row.cursor,
        })
        await io.update('revocations', () => true, change, [id])
      }),
    finishRevocation: id =>
      statement('finishRevocation', async () => {
        const change = (row: RevocationRow) =>
          ({
            state: 'done',
            finished_at: now,
            blocking: row.hold === 1 && row.unblocked_at === null ? 1 : 0,
          }) as const
        return (await io.update('revocations', row => row.state === 'running', change, [id])).length > 0
      }),
    unblockRevocation: (id, actor) =>
      statement('unblockRevocation', async () => {
        const change = () => ({ blocking: 0, unblocked_at: now, unblocked_by: actor }) as const
        return (await io.update('revocations', row => row.blocking === 1, change, [id])).length > 0
      }),
  }
}

type RevocationReads = Pick<
  LedgerRead,
  'revocation' | 'revocations' | 'revocationProgress' | 'revokingBacklog'
>

export function revocationReads(rows: Committed, at: At): RevocationReads {
  return {
    revocation: id =>
      at('revocation', () => {
        const row = rows.revocations.get(id)
        return row === undefined ? undefined : { ...row }
      }),
    revocations: ({ blocking }, page) =>
      at('revocations', () => {
        const fits = all(rows, 'revocations').filter(row => blocking !== true || row.blocking === 1)
        return paged(fits, page, row => [row.created_at, row.id], 'newest')
      }),
    revocationProgress: id =>
      at('revocationProgress', () => {
        const reached = all(rows, 'revocation_leases').filter(row => row.revocation === id)
        return progressOf(reached.map(row => rows.leases.get(row.lease)!))
      }),
    revokingBacklog: () =>
      at('revokingBacklog', () => {
        const waiting = all(rows, 'leases').filter(row => row.state === 'revoking')
        return [...Map.groupBy(waiting, row => `${row.issuer} ${row.revocability}`).values()].map(of => ({
          issuer: of[0]!.issuer,
          revocability: of[0]!.revocability,
          count: of.length,
          oldest: Math.min(...of.map(row => row.revoking_at ?? 0)),
        }))
      }),
  }
}

function progressOf(leases: readonly LeaseRow[]): RevocationProgress {
  const progress: RevocationProgress = {
    ...{ reached: leases.length, confirmed_dead: 0, never_minted: 0, expired: 0 },
    ...{ expired_unconfirmed: 0, revoked: 0, waiting: 0, expiry_only: 0 },
  }
  for (const lease of leases) progress[placeOf(lease)] += 1
  return progress
}

function placeOf(lease: LeaseRow): keyof RevocationProgress {
  if (lease.confirmed_dead_at !== null) return 'confirmed_dead'
  if (lease.state !== 'closed') {
    if (lease.revocability === 'expiry_only') return 'expiry_only'
    return lease.revoked_at === null ? 'waiting' : 'revoked'
  }
  const { closed_as: as } = lease
  if (as === 'never_minted' || as === 'expired_unconfirmed' || as === 'expired') return as
  return 'confirmed_dead'
}
