/** Leases that are ended together, what is remembered of proof, and named claims. */
import assert from 'node:assert/strict'
import {
  activeLease,
  holding,
  ids,
  lease,
  minute,
  revokingLease,
  type StoreCheck,
  start,
  task,
} from './subject.ts'

const grouped = { issuer: 'aws', revocation_group: 'role' } as const

export const groupChecks: StoreCheck[] = [
  {
    name: 'a group is whoever was taken back and may still be alive, the told first, then the latest issued',
    async run({ ledger }) {
      const told = { ...grouped, revoked_at: start }
      await holding(
        ledger,
        revokingLease('early', 't', { ...grouped, active_at: start - 9 }),
        revokingLease('late', 't', { ...grouped, active_at: start - 1 }),
        revokingLease('told', 't', { ...told, active_at: start - 8 }),
        revokingLease('closed', 't', { ...told, active_at: start - 7 }),
        revokingLease('gone', 't', { ...told, active_at: start - 6 }),
        revokingLease('nameless', 't', { ...grouped, active_at: null, provider_expires_at: null }),
        revokingLease('over', 't', { ...told, provider_expires_at: start }),
        revokingLease('expired', 't', grouped),
        revokingLease('never', 't', grouped),
        activeLease('active', 't', grouped),
        lease('intended', 't', grouped),
        revokingLease('neighbour', 't', { ...grouped, revocation_group: 'other' }),
        revokingLease('elsewhere', 't', { ...grouped, issuer: 'zone' }),
        revokingLease('alone', 't', { issuer: 'aws' }),
      )
      await ledger.write(async tx => {
        await tx.closeLease('closed', null, { closed_as: 'revoked' })
        await tx.closeLease('gone', null, { closed_as: 'already_gone' })
        await tx.closeLease('expired', null, { closed_as: 'expired' })
        await tx.closeLease('never', null, { closed_as: 'never_minted' })
      })
      const members = await ledger.read.revokedInGroup('aws', 'role', start, 9)
      assert.deepEqual(ids(members), ['gone', 'closed', 'told', 'nameless', 'late', 'early'])
      assert.deepEqual(ids(await ledger.read.revokedInGroup('aws', 'role', start, 2)), ['gone', 'closed'])
      assert.deepEqual(ids(await ledger.read.revokedInGroup('aws', 'role', start + 70 * minute, 9)), [])
    },
  },
  {
    name: 'what was being minted is due at once where its group ends it by name',
    async run({ ledger }) {
      await holding(
        ledger,
        lease('named', 't', grouped),
        lease('alone', 't'),
        lease('only expires', 't', { ...grouped, revocability: 'expiry_only' }),
      )
      const rows = await ledger.write(tx => tx.revokeLeasesOf(['t']))
      const due = Object.fromEntries(rows.map(row => [row.id, row.due_at]))
      const deadBy = start + 70 * minute
      assert.deepEqual(due, { named: start, alone: deadBy, 'only expires': deadBy })
    },
  },
  {
    name: 'that the provider was told is noted once, of what is being revoked, whoever holds it, and makes it due',
    async run({ ledger }) {
      await holding(
        ledger,
        revokingLease('held', 't', { ...grouped, due_at: start - 1 }),
        revokingLease('free', 't', { ...grouped, due_at: start + minute }),
        revokingLease('told', 't', { ...grouped, revoked_at: start - 5 }),
        activeLease('active', 't', grouped),
        revokingLease('closed', 't', grouped),
      )
      await ledger.write(tx => tx.closeLease('closed', null, { closed_as: 'expired' }))
      await ledger.write(tx => tx.claimDue('aws', 1, start + minute))
      const all = ['held', 'free', 'told', 'active', 'closed', 'nobody']
      const noted = await ledger.write(tx => tx.noteRevoked(all, start + 2))
      assert.deepEqual(ids(noted).sort(), ['free', 'held'])
      assert.deepEqual(
        noted.map(row => [row.revoked_at, row.due_at, row.state]),
        [
          [start + 2, start, 'revoking'],
          [start + 2, start, 'revoking'],
        ],
      )
      assert.equal((await ledger.read.lease('held'))?.fence, 1, 'the claim stays whose it is')
      assert.deepEqual(await ledger.write(tx => tx.noteRevoked(all, start + 3)), [])
      assert.deepEqual(await ledger.write(tx => tx.noteRevoked([], start)), [])
      assert.equal((await ledger.read.lease('told'))?.revoked_at, start - 5)
    },
  },
  {
    name: 'those who wait for room are put off, but not who is held, told or not being revoked',
    async run({ ledger }) {
      await holding(
        ledger,
        revokingLease('held', 't', { ...grouped, due_at: start - 1 }),
        revokingLease('free', 't', grouped),
        revokingLease('told', 't', { ...grouped, revoked_at: start }),
        activeLease('active', 't', grouped),
      )
      await ledger.write(tx => tx.claimDue('aws', 1, start + minute))
      const to = { due_at: start + 5, last_error: 'no room' }
      await ledger.write(tx => tx.deferLeases(['held', 'free', 'told', 'active'], to))
      const due = async (id: string) => (await ledger.read.lease(id))?.due_at
      assert.deepEqual(
        [await due('held'), await due('free'), await due('told'), await due('active')],
        [start - 1, start + 5, start, start + 30 * minute],
      )
      assert.equal((await ledger.read.lease('free'))?.last_error, 'no room')
    },
  },
  {
    name: 'what an issuer remembers of proof stays until it says otherwise, and when the lease is closed',
    async run({ ledger, setNow }) {
      await holding(ledger, revokingLease('l', 't', grouped))
      const claim = async () => (await ledger.write(tx => tx.claimDue('aws', 1, start + minute)))[0]!
      const again = { due_at: start, attempts: 1, last_error: null }
      const first = await claim()
      assert.equal(first.proof, null)
      await ledger.write(tx => tx.retryLease('l', first.fence, { ...again, proof: '{"denied":1}' }))
      const second = await claim()
      assert.equal(second.proof, '{"denied":1}')
      await ledger.write(tx => tx.retryLease('l', second.fence, again))
      assert.equal((await ledger.read.lease('l'))?.proof, '{"denied":1}')
      setNow(start + 1)
      const third = await claim()
      const closing = { closed_as: 'revoked', proof: '{"denied":3}' } as const
      const closed = await ledger.write(tx => tx.closeLease('l', third.fence, closing))
      assert.equal(closed?.proof, '{"denied":3}')
    },
  },
  {
    name: 'a named claim has one holder until its time, and a fence that only goes up',
    async run({ ledger, setNow }) {
      const take = (until: number) => ledger.write(tx => tx.takeClaim('group/a', until))
      const takers = await Promise.all([take(start + minute), take(start + minute)])
      const [held] = takers.filter(row => row !== undefined)
      assert.equal(takers.filter(row => row !== undefined).length, 1, 'two hold one claim')
      assert.deepEqual(
        { ...held },
        { name: 'group/a', fence: 1, claimed_until: start + minute, due_at: start },
      )
      assert.deepEqual({ ...(await ledger.read.claim('group/a')) }, { ...held })
      assert.equal((await ledger.write(tx => tx.takeClaim('group/b', start + minute)))?.fence, 1)
      setNow(start + minute)
      assert.equal((await take(start + 2 * minute))?.fence, 2)
      const back = { pausedUntil: null, due_at: null }
      assert.equal(await ledger.write(tx => tx.giveClaim('group/a', 1, back)), false, 'the older fence')
      assert.equal(await take(start + 9 * minute), undefined)
      assert.equal(await ledger.write(tx => tx.giveClaim('group/a', 2, back)), true)
      assert.equal((await take(start + 9 * minute))?.fence, 3)
      assert.equal(await ledger.read.claim('group/c'), undefined)
    },
  },
  {
    name: 'the work of a claim is due from the first take on until it is given back as done',
    async run({ ledger, setNow }) {
      const due = async (now: number) =>
        (await ledger.read.claimsDue('group/', now, 9)).map(({ name }) => name)
      const take = (name: string) => ledger.write(tx => tx.takeClaim(name, start + minute))
      await take('group/a')
      await take('group/b')
      await take('other/a')
      assert.deepEqual(await due(start), [], 'held')
      assert.deepEqual(await due(start + minute), ['group/a', 'group/b'], 'the holder never came back')
      assert.equal(await ledger.read.nextDue(start), start + minute)
      const give = (name: string, pausedUntil: number | null, due_at: number | null) =>
        ledger.write(tx => tx.giveClaim(name, 1, { pausedUntil, due_at }))
      await give('group/a', start + 5, start)
      await give('group/b', null, null)
      await give('other/a', null, null)
      assert.deepEqual(await due(start + 4), [], 'paused')
      assert.equal(await ledger.read.nextDue(start), start + 5)
      assert.deepEqual(await due(start + 5), ['group/a'])
      setNow(start + 9)
      await ledger.write(tx => tx.wakeClaim('group/b'))
      assert.deepEqual(await due(start + 9), ['group/a', 'group/b'])
      assert.deepEqual((await ledger.read.claimsDue('group/', start + 9, 1)).length, 1)
    },
  },
  {
    name: 'a claim is taken, and work noted, with the transaction or not at all',
    async run({ ledger }) {
      await ledger.write(tx => tx.insertTask(task('t'), []))
      const broken = ledger.write(async tx => {
        await tx.takeClaim('group/a', start + minute)
        throw new Error('no')
      })
      await assert.rejects(broken, /no/)
      assert.equal(await ledger.read.claim('group/a'), undefined)
    },
  },
]
