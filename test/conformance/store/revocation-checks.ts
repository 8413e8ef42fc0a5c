import assert from 'node:assert/strict'
import type { RevocationRow } from '../../../src/store/rows.ts'
import {
  activeLease,
  agent,
  family,
  ids,
  lease,
  revokingLease,
  type StoreCheck,
  start,
  task,
} from './subject.ts'

function revocation(id: string, over: Partial<RevocationRow> = {}): RevocationRow {
  return {
    id,
    filter: '{}',
    actor: 'operator:first',
    reason: 'leaked',
    hold: 0,
    state: 'running',
    blocking: 1,
    created_at: start,
    cursor: null,
    tasks_ended: 0,
    finished_at: null,
    unblocked_at: null,
    unblocked_by: null,
    ...over,
  }
}

export const revocationChecks: StoreCheck[] = [
  {
    name: 'a revocation comes back as it was put, is listed, and refuses until its run is done',
    async run({ ledger, setNow }) {
      const first = revocation('r1', { filter: '{"agent":"builder"}' })
      await ledger.write(tx => tx.insertRevocation(first))
      await ledger.write(tx => tx.insertRevocation(revocation('r2', { created_at: start + 1, hold: 1 })))
      assert.deepEqual({ ...(await ledger.read.revocation('r1')) }, first)
      assert.equal(await ledger.read.revocation('r'), undefined)
      const page = await ledger.read.revocations({}, { limit: 1 })
      assert.deepEqual(ids(page.items), ['r2'])
      const rest = await ledger.read.revocations({}, { limit: 1, after: page.next! })
      assert.deepEqual([ids(rest.items), rest.next], [['r1'], null])
      assert.deepEqual(ids(await ledger.write(tx => tx.blocks())), ['r1', 'r2'])

      setNow(start + 9)
      const finish = (id: string) => ledger.write(tx => tx.finishRevocation(id))
      assert.deepEqual([await finish('r1'), await finish('r1'), await finish('r2')], [true, false, true])
      const done = await ledger.read.revocation('r1')
      assert.deepEqual([done?.state, done?.blocking, done?.finished_at], ['done', 0, start + 9])
      assert.deepEqual(ids(await ledger.write(tx => tx.blocks())), ['r2'], 'it holds')
      assert.deepEqual(ids((await ledger.read.revocations({ blocking: true }, { limit: 9 })).items), ['r2'])
    },
  },
  {
    name: 'who unblocks is kept, once; what was unblocked while it ran does not refuse again',
    async run({ ledger, setNow }) {
      await ledger.write(tx => tx.insertRevocation(revocation('r', { hold: 1 })))
      setNow(start + 3)
      const unblock = (by: string) => ledger.write(tx => tx.unblockRevocation('r', by))
      assert.deepEqual([await unblock('operator:a'), await unblock('operator:b')], [true, false])
      await ledger.write(tx => tx.finishRevocation('r'))
      const row = await ledger.read.revocation('r')
      assert.deepEqual(
        [row?.blocking, row?.unblocked_at, row?.unblocked_by, row?.state],
        [0, start + 3, 'operator:a', 'done'],
      )
      assert.deepEqual(await ledger.write(tx => tx.blocks()), [])
    },
  },
  {
    name: 'a run counts what it reached, each lease once, and where each one stands',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.insertTask(task('t'), [])
        await tx.insertLease(revokingLease('waiting', 't'))
        await tx.insertLease(revokingLease('told', 't', { revoked_at: start }))
        await tx.insertLease(revokingLease('bound', 't', { revocability: 'expiry_only' }))
        await tx.insertLease(revokingLease('dead', 't'))
        await tx.insertLease(revokingLease('unproven', 't', { issuer: 'aws' }))
        await tx.insertLease(lease('never', 't'))
        await tx.insertLease(activeLease('beside', 't'))
        await tx.insertRevocation(revocation('r'))
        await tx.closeLease('dead', null, { closed_as: 'revoked', confirmed_dead_at: start })
        await tx.closeLease('unproven', null, { closed_as: 'expired_unconfirmed' })
        await tx.closeLease('never', null, { closed_as: 'never_minted' })
      })
      const note = (leases: string[], cursor?: string) =>
        ledger.write(tx =>
          tx.noteReached('r', { tasks: 1, leases, ...(cursor === undefined ? {} : { cursor }) }),
        )
      await note(['waiting', 'told', 'bound'], 'here')
      await note(['waiting', 'dead', 'unproven', 'never', 'nobody'])
      await note([])
      const row = await ledger.read.revocation('r')
      assert.deepEqual([row?.tasks_ended, row?.cursor], [3, 'here'])
      assert.deepEqual(await ledger.read.revocationProgress('r'), {
        reached: 6,
        confirmed_dead: 1,
        never_minted: 1,
        expired: 0,
        expired_unconfirmed: 1,
        revoked: 1,
        waiting: 1,
        expiry_only: 1,
      })
      const { items } = await ledger.read.leases({ revocation: 'r', state: 'outstanding' }, { limit: 9 })
      assert.deepEqual(ids(items).sort(), ['bound', 'told', 'waiting'])
      assert.equal((await ledger.read.revocationProgress('other')).reached, 0)
    },
  },
  {
    name: 'the backlog is what is being revoked, by issuer and revocability, with the oldest of each',
    async run({ ledger }) {
      assert.deepEqual(await ledger.read.revokingBacklog(), [])
      await ledger.write(async tx => {
        await tx.insertTask(task('t'), [])
        await tx.insertLease(revokingLease('a', 't', { revoking_at: start + 5 }))
        await tx.insertLease(revokingLease('b', 't', { revoking_at: start + 2 }))
        await tx.insertLease(revokingLease('c', 't', { issuer: 'aws', revoking_at: start + 9 }))
        await tx.insertLease(activeLease('d', 't', { issuer: 'jwt' }))
      })
      const backlog = (await ledger.read.revokingBacklog()).map(row => ({ ...row }))
      assert.deepEqual(
        backlog.sort((a, b) => (a.issuer < b.issuer ? -1 : 1)),
        [
          { issuer: 'aws', revocability: 'immediate', count: 1, oldest: start + 9 },
          { issuer: 'github', revocability: 'immediate', count: 2, oldest: start + 2 },
        ],
      )
    },
  },
  {
    name: 'tasks and leases are listed by the human on whose behalf, whose facts are kept as they were',
    async run({ ledger }) {
      const facts = { human: 'https://id.test#hanna', human_facts: '{"name":"Hanna"}' }
      await ledger.write(async tx => {
        await tx.insertTask(task('hers', facts), [])
        await tx.insertTask(task('child', { ...facts, parent: 'hers', root: 'hers', depth: 1 }), ['hers'])
        await tx.insertTask(task('other', { human: 'https://id.test#eve', human_facts: '{}' }), [])
        await tx.insertTask(task('own'), [])
        for (const one of ['hers', 'child', 'other', 'own']) await tx.insertLease(lease(`of ${one}`, one))
      })
      const { human } = facts
      const tasks = await ledger.read.tasks({ state: 'active', human }, { limit: 9 })
      assert.deepEqual(ids(tasks.items).sort(), ['child', 'hers'])
      assert.deepEqual(
        tasks.items.map(row => row.human_facts),
        [facts.human_facts, facts.human_facts],
      )
      const leases = await ledger.read.leases({ state: 'outstanding', human }, { limit: 9 })
      assert.deepEqual(ids(leases.items).sort(), ['of child', 'of hers'])
      assert.deepEqual((await ledger.read.task('own'))?.human, null)
    },
  },
  {
    name: 'tasks and leases are listed within a task: it and all below it',
    async run({ ledger }) {
      await family(ledger)
      await ledger.write(async tx => {
        for (const of of ['a', 'b', 'c', 'd']) await tx.insertLease(activeLease(`lease of ${of}`, of))
      })
      const tasks = async (within: string) =>
        ids((await ledger.read.tasks({ within }, { limit: 9 })).items).sort()
      const leases = async (within: string) =>
        ids((await ledger.read.leases({ within }, { limit: 9 })).items).sort()
      assert.deepEqual([await tasks('b'), await tasks('d'), await tasks('e')], [['b', 'c'], ['d'], []])
      assert.deepEqual(await leases('a'), ['lease of a', 'lease of b', 'lease of c'])
      assert.deepEqual(await leases('c'), ['lease of c'])
    },
  },
  {
    name: 'mints are awaited where there are agents, and where there are none',
    async run({ ledger }) {
      await ledger.write(tx => tx.awaitMints())
      await ledger.write(async tx => {
        await tx.putAgent(agent('b'))
        await tx.putAgent(agent('a'))
      })
      await ledger.write(async tx => {
        await tx.lockMintGate()
        await tx.awaitMints()
      })
    },
  },
]
