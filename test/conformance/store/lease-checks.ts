import assert from 'node:assert/strict'
import type { LedgerWrite } from '../../../src/store/ledger.ts'
import {
  activeLease,
  family,
  holding,
  ids,
  lease,
  minute,
  revokingLease,
  type StoreCheck,
  start,
} from './subject.ts'

const minted = {
  granted: '{"given":true}',
  may_leave_access: 1,
  expires_at: start + 20 * minute,
  provider_expires_at: start + 60 * minute,
  sealed_secret: new Uint8Array([0, 7, 255]),
  secret_sha256: 'sha',
  due_at: start + 20 * minute,
} as const

export const leaseChecks: StoreCheck[] = [
  {
    name: 'a lease comes back as it was put, its bytes too',
    async run({ ledger }) {
      const row = activeLease('l', 't', { may_leave_access: 1, last_error: 'timeout', attempts: 2, fence: 5 })
      await holding(ledger, row)
      assert.deepEqual({ ...(await ledger.read.lease('l')) }, row)
      assert.deepEqual({ ...(await ledger.read.leaseBySecret('sha of l')) }, row)
      assert.equal(await ledger.read.lease('other'), undefined)
      assert.equal(await ledger.read.leaseBySecret('l'), undefined)
    },
  },
  {
    name: 'an introspected lease is found by its id alone, others by the hash of their secret too',
    async run({ ledger }) {
      const named = activeLease('named', 't', { revocability: 'introspected', secret_sha256: 'same' })
      await holding(ledger, named)
      assert.equal(await ledger.read.leaseBySecret('same'), undefined)
      assert.deepEqual({ ...(await ledger.read.lease('named')) }, named)
    },
  },
  {
    name: 'intended becomes active with what the provider gave',
    async run({ ledger, setNow }) {
      await holding(ledger, lease('l', 't'))
      setNow(start + 3)
      assert.equal(await ledger.write(tx => tx.activateLease('l', minted)), true)
      const expected = lease('l', 't', { ...minted, state: 'active', active_at: start + 3 })
      assert.deepEqual({ ...(await ledger.read.lease('l')) }, expected)
    },
  },
  {
    name: 'only an intended lease becomes active',
    async run({ ledger }) {
      await holding(ledger, activeLease('active', 't'), revokingLease('revoking', 't'), lease('closed', 't'))
      await ledger.write(tx => tx.closeLease('closed', null, { closed_as: 'never_minted' }))
      for (const id of ['active', 'revoking', 'closed', 'nobody']) {
        const before = await ledger.read.lease(id)
        assert.equal(await ledger.write(tx => tx.activateLease(id, minted)), false, id)
        assert.deepEqual(await ledger.read.lease(id), before, id)
      }
    },
  },
  {
    name: 'of mint and end one wins, and the loser changes nothing',
    async run({ ledger }) {
      await holding(ledger, lease('first', 't'), lease('second', 't'))
      const race = (...bodies: ((tx: LedgerWrite) => Promise<unknown>)[]) =>
        Promise.all(bodies.map(body => ledger.write(body)))
      const [active, revoked] = await race(
        tx => tx.activateLease('first', minted),
        tx => tx.revokeLease('first'),
      )
      // Either order is right: activated and then revoked, or revoked and not activated.
      const first = await ledger.read.lease('first')
      assert.equal(first?.state, 'revoking')
      assert.notEqual(revoked, undefined)
      assert.equal(first?.sealed_secret !== null, active)
      const twice = await race(
        tx => tx.activateLease('second', minted),
        tx => tx.activateLease('second', { ...minted, secret_sha256: 'other' }),
      )
      assert.deepEqual(twice.toSorted(), [false, true])
      assert.equal((await ledger.read.lease('second'))?.secret_sha256, twice[0] ? 'sha' : 'other')
    },
  },
  {
    name: 'a late secret is attached to a revoking lease only, which is then due at once',
    async run({ ledger, setNow }) {
      await holding(ledger, lease('l', 't'), activeLease('active', 't'))
      const late = {
        granted: '{"given":true}',
        provider_expires_at: start + 60 * minute,
        sealed_secret: new Uint8Array([5]),
        secret_sha256: 'late',
      }
      assert.equal(await ledger.write(tx => tx.attachSecret('l', late)), false, 'intended')
      assert.equal(await ledger.write(tx => tx.attachSecret('active', late)), false, 'active')
      await ledger.write(tx => tx.revokeLease('l'))
      setNow(start + 4)
      assert.equal(await ledger.write(tx => tx.attachSecret('l', late)), true)
      const row = await ledger.read.lease('l')
      assert.deepEqual([row?.due_at, row?.granted, row?.secret_sha256], [start + 4, '{"given":true}', 'late'])
      assert.deepEqual(row?.sealed_secret, new Uint8Array([5]))
      assert.deepEqual(ids(await ledger.write(tx => tx.claimDue('github', 9, start + minute))), ['l'])
      await ledger.write(tx => tx.closeLease('l', null, { closed_as: 'revoked' }))
      assert.equal(await ledger.write(tx => tx.attachSecret('l', late)), false, 'closed')
      assert.equal((await ledger.read.lease('l'))?.sealed_secret, null)
    },
  },
  {
    name: 'a late secret takes the lease from whoever claimed it without one',
    async run({ ledger, setNow }) {
      await holding(ledger, revokingLease('l', 't', { sealed_secret: null, secret_sha256: null }))
      const [claimed] = await ledger.write(tx => tx.claimDue('github', 1, start + minute))
      const late = {
        granted: '{}',
        provider_expires_at: null,
        sealed_secret: new Uint8Array([5]),
        secret_sha256: 's',
      }
      setNow(start + 1)
      assert.equal(await ledger.write(tx => tx.attachSecret('l', late)), true)
      const retry = { due_at: start + 60 * minute, attempts: 1, last_error: null }
      assert.equal(await ledger.write(tx => tx.retryLease('l', claimed!.fence, retry)), false)
      const closing = { closed_as: 'never_minted' } as const
      assert.equal(await ledger.write(tx => tx.closeLease('l', claimed!.fence, closing)), undefined)
      assert.deepEqual(ids(await ledger.write(tx => tx.claimDue('github', 1, start + minute))), ['l'])
    },
  },
  {
    name: 'revoking is due now, at dead_by where it was intended, at the provider’s expiry where only that helps',
    async run({ ledger, setNow }) {
      await holding(
        ledger,
        activeLease('active', 't'),
        lease('intended', 't'),
        activeLease('expiry', 't', { revocability: 'expiry_only' }),
        lease('both', 't', { revocability: 'expiry_only' }),
      )
      setNow(start + 11)
      const rows = await ledger.write(tx => tx.revokeLeasesOf(['t']))
      const due = Object.fromEntries(rows.map(row => [row.id, row.due_at]))
      assert.deepEqual(due, {
        active: start + 11,
        intended: start + 70 * minute,
        expiry: start + 60 * minute,
        both: start + 70 * minute,
      })
      for (const row of rows) {
        assert.deepEqual([row.state, row.revoking_at], ['revoking', start + 11])
        assert.deepEqual(await ledger.read.lease(row.id), row)
      }
    },
  },
  {
    name: 'revoking takes the open leases of the named tasks, and no others',
    async run({ ledger }) {
      await family(ledger)
      await ledger.write(async tx => {
        await tx.insertLease(activeLease('of a', 'a'))
        await tx.insertLease(lease('of b', 'b'))
        await tx.insertLease(revokingLease('already', 'b', { revoking_at: start - 5 }))
        await tx.insertLease(lease('gone', 'b'))
        await tx.closeLease('gone', null, { closed_as: 'never_minted' })
        await tx.insertLease(activeLease('of d', 'd'))
      })
      const rows = await ledger.write(tx => tx.revokeLeasesOf(['a', 'b', 'c']))
      assert.deepEqual(ids(rows).sort(), ['of a', 'of b'])
      assert.equal((await ledger.read.lease('already'))?.revoking_at, start - 5)
      assert.equal((await ledger.read.lease('gone'))?.state, 'closed')
      assert.equal((await ledger.read.lease('of d'))?.state, 'active')
      assert.deepEqual(await ledger.write(tx => tx.revokeLeasesOf([])), [])
    },
  },
  {
    name: 'one lease is revoked once',
    async run({ ledger }) {
      await holding(ledger, activeLease('l', 't'))
      const both = await Promise.all([
        ledger.write(tx => tx.revokeLease('l')),
        ledger.write(tx => tx.revokeLease('l')),
      ])
      assert.equal(both.filter(row => row?.state === 'revoking' && row.due_at === start).length, 1)
      assert.equal(await ledger.write(tx => tx.revokeLease('nobody')), undefined)
    },
  },
]
