import assert from 'node:assert/strict'
import { activeLease, holding, ids, lease, minute, revokingLease, type StoreCheck, start } from './subject.ts'

export const reapChecks: StoreCheck[] = [
  {
    name: 'a claim takes what is due of one issuer, longest remaining provider life first, within the limit',
    async run({ ledger }) {
      await holding(
        ledger,
        revokingLease('short', 't', { provider_expires_at: start + minute, due_at: start - 9 }),
        revokingLease('long', 't', { provider_expires_at: start + 90 * minute }),
        revokingLease('unknown', 't', { provider_expires_at: null, dead_by: start + 80 * minute }),
        revokingLease('middle', 't', { provider_expires_at: start + 50 * minute }),
        revokingLease('later', 't', { due_at: start + 1 }),
        revokingLease('elsewhere', 't', { issuer: 'aws' }),
      )
      const claim = () => ledger.write(tx => tx.claimDue('github', 3, start + minute))
      assert.deepEqual(ids(await claim()), ['long', 'unknown', 'middle'])
      assert.deepEqual(ids(await claim()), ['short'])
      assert.deepEqual(ids(await claim()), [])
    },
  },
  {
    name: 'a claim is for whoever is due, in any open state, and never for a closed lease',
    async run({ ledger }) {
      await holding(
        ledger,
        lease('intended', 't', { due_at: start }),
        activeLease('active', 't', { due_at: start }),
        revokingLease('revoking', 't'),
        revokingLease('closed', 't'),
      )
      await ledger.write(tx => tx.closeLease('closed', null, { closed_as: 'revoked' }))
      const claimed = await ledger.write(tx => tx.claimDue('github', 9, start + minute))
      assert.deepEqual(ids(claimed).sort(), ['active', 'intended', 'revoking'])
    },
  },
  {
    name: 'a claim raises the fence and holds until its time, then another takes it with a higher one',
    async run({ ledger, setNow }) {
      await holding(ledger, revokingLease('l', 't', { fence: 4 }))
      const claim = () => ledger.write(tx => tx.claimDue('github', 9, start + minute))
      const [first] = await claim()
      assert.deepEqual([first?.fence, first?.claimed_until], [5, start + minute])
      assert.deepEqual({ ...(await ledger.read.lease('l')) }, { ...first })
      setNow(start + minute - 1)
      assert.deepEqual(await claim(), [])
      setNow(start + minute)
      const [second] = await ledger.write(tx => tx.claimDue('github', 9, start + 2 * minute))
      assert.equal(second?.fence, 6)
      const closing = { closed_as: 'revoked' } as const
      assert.equal(await ledger.write(tx => tx.closeLease('l', 5, closing)), undefined, 'the older fence')
      const retry = { due_at: start, attempts: 9, last_error: 'x' }
      assert.equal(await ledger.write(tx => tx.retryLease('l', 5, retry)), false, 'the older fence')
      assert.equal((await ledger.read.lease('l'))?.state, 'revoking')
      assert.equal((await ledger.write(tx => tx.closeLease('l', 6, closing)))?.state, 'closed')
    },
  },
  {
    name: 'two who claim at once share nothing',
    async run({ ledger }) {
      const due = Array.from({ length: 20 }, (_, index) => revokingLease(`l${index}`, 't'))
      await holding(ledger, ...due)
      const claims = await Promise.all(
        [1, 2, 3].map(() => ledger.write(tx => tx.claimDue('github', 8, start + minute))),
      )
      const claimed = claims.flatMap(ids)
      assert.equal(new Set(claimed).size, claimed.length)
      assert.equal(claimed.length, 20)
    },
  },
  {
    name: 'closing deletes the secret and what made the lease due, and keeps how it ended',
    async run({ ledger, setNow }) {
      await holding(ledger, revokingLease('l', 't'))
      await ledger.write(tx => tx.claimDue('github', 1, start + minute))
      setNow(start + 8)
      const to = { closed_as: 'already_gone', revoked_at: start + 6, confirmed_dead_at: start + 7 } as const
      const closed = await ledger.write(tx => tx.closeLease('l', 1, to))
      const expected = revokingLease('l', 't', {
        ...to,
        state: 'closed',
        closed_at: start + 8,
        due_at: null,
        fence: 1,
        claimed_until: null,
        sealed_secret: null,
      })
      assert.deepEqual({ ...closed }, expected)
      assert.deepEqual({ ...(await ledger.read.lease('l')) }, expected)
      assert.equal((await ledger.read.leaseBySecret('sha of l'))?.state, 'closed')
    },
  },
  {
    name: 'a lease closes once, from the states that were named',
    async run({ ledger }) {
      await holding(
        ledger,
        lease('intended', 't'),
        activeLease('active', 't'),
        revokingLease('revoking', 't'),
      )
      const never = { closed_as: 'never_minted', from: ['intended'] } as const
      assert.equal(await ledger.write(tx => tx.closeLease('active', null, never)), undefined)
      assert.equal(await ledger.write(tx => tx.closeLease('revoking', null, never)), undefined)
      const both = await Promise.all([
        ledger.write(tx => tx.closeLease('intended', null, never)),
        ledger.write(tx => tx.closeLease('intended', null, { closed_as: 'expired' })),
      ])
      assert.equal(both.filter(row => row !== undefined).length, 1)
      const either = { closed_as: 'expired', from: ['active', 'revoking'] } as const
      for (const id of ['active', 'revoking']) {
        assert.equal((await ledger.write(tx => tx.closeLease(id, null, either)))?.closed_as, 'expired')
        assert.equal(await ledger.write(tx => tx.closeLease(id, null, { closed_as: 'revoked' })), undefined)
        assert.equal((await ledger.read.lease(id))?.closed_as, 'expired')
      }
    },
  },
  {
    name: 'the moment a provider was told stays when a later close does not name it',
    async run({ ledger }) {
      await holding(ledger, revokingLease('l', 't'))
      await ledger.write(tx => tx.claimDue('github', 1, start + minute))
      const told = { due_at: start, attempts: 1, last_error: null, revoked_at: start + 2 }
      await ledger.write(tx => tx.retryLease('l', 1, told))
      await ledger.write(tx => tx.retryLease('l', 1, { due_at: start, attempts: 2, last_error: null }))
      const closed = await ledger.write(tx => tx.closeLease('l', 1, { closed_as: 'revoked' }))
      assert.deepEqual([closed?.revoked_at, closed?.confirmed_dead_at], [start + 2, null])
    },
  },
  {
    name: 'a retry gives the claim back with a new due time',
    async run({ ledger, setNow }) {
      await holding(ledger, revokingLease('l', 't'))
      await ledger.write(tx => tx.claimDue('github', 1, start + minute))
      const retry = { due_at: start + 10, attempts: 3, last_error: 'provider_down' }
      assert.equal(await ledger.write(tx => tx.retryLease('l', 1, retry)), true)
      const row = await ledger.read.lease('l')
      assert.deepEqual(
        [row?.due_at, row?.attempts, row?.last_error, row?.claimed_until],
        [start + 10, 3, 'provider_down', null],
      )
      assert.deepEqual(await ledger.write(tx => tx.claimDue('github', 1, start + minute)), [])
      setNow(start + 10)
      const [again] = await ledger.write(tx => tx.claimDue('github', 1, start + minute))
      assert.equal(again?.fence, 2)
      await ledger.write(tx => tx.closeLease('l', 2, { closed_as: 'revoked' }))
      assert.equal(await ledger.write(tx => tx.retryLease('l', 2, retry)), false, 'closed')
    },
  },
]
