import assert from 'node:assert/strict'
import { activeLease, family, holding, ids, lease, minute, type StoreCheck, start, task } from './subject.ts'

export const taskChecks: StoreCheck[] = [
  {
    name: 'a task comes back as it was put, by id and by token',
    async run({ ledger }) {
      const row = task('t', {
        system: 1,
        purpose: 'naïve ✓',
        evidence: 'e',
        ticket: 'k',
        heartbeat_ms: minute,
        heartbeat_due: start + minute,
      })
      await ledger.write(tx => tx.insertTask(row, []))
      assert.deepEqual({ ...(await ledger.read.task('t')) }, row)
      assert.deepEqual({ ...(await ledger.read.taskByToken('hash of t')) }, row)
      assert.equal(await ledger.read.task('other'), undefined)
      assert.equal(await ledger.read.taskByToken('t'), undefined)
    },
  },
  {
    name: 'many tasks without a token stand side by side',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.insertTask(task('one', { token_hash: null }), [])
        await tx.insertTask(task('two', { token_hash: null }), [])
      })
      assert.equal((await ledger.read.task('two'))?.token_hash, null)
    },
  },
  {
    name: 'a line is read and locked root first, the task last',
    async run({ ledger }) {
      await family(ledger)
      assert.deepEqual(ids(await ledger.read.ancestors('c')), ['a', 'b'])
      assert.deepEqual(await ledger.read.ancestors('a'), [])
      for (const mode of ['share', 'update'] as const) {
        assert.deepEqual(ids(await ledger.write(tx => tx.lockLineage('c', mode))), ['a', 'b', 'c'])
        assert.deepEqual(ids(await ledger.write(tx => tx.lockLineage('d', mode))), ['d'])
        assert.deepEqual(await ledger.write(tx => tx.lockLineage('nobody', mode)), [])
      }
    },
  },
  {
    name: 'a descent is the task and everything below it, ended or not, and nothing beside it',
    async run({ ledger }) {
      await family(ledger)
      await ledger.write(tx => tx.endTasks(['c'], 'completed', null))
      assert.deepEqual(ids(await ledger.write(tx => tx.lockDescent('a'))), ['a', 'b', 'c'])
      assert.deepEqual(ids(await ledger.write(tx => tx.lockDescent('b'))), ['b', 'c'])
      assert.deepEqual(await ledger.write(tx => tx.lockDescent('nobody')), [])
    },
  },
  {
    name: 'ending says which tasks it ended, and how',
    async run({ ledger, setNow }) {
      await family(ledger)
      setNow(start + 5)
      const ended = await ledger.write(tx => tx.endTasks(['b', 'a'], 'failed', 'tests are red'))
      assert.deepEqual(ids(ended), ['b', 'a'])
      const b = await ledger.read.task('b')
      assert.deepEqual(
        [b?.state, b?.end, b?.end_detail, b?.ended_at],
        ['ended', 'failed', 'tests are red', start + 5],
      )
      assert.equal((await ledger.read.task('c'))?.state, 'active')
      assert.deepEqual(await ledger.write(tx => tx.endTasks([], 'failed', null)), [])
    },
  },
  {
    name: 'a task ends once: of two who end it one wins, and its end stays',
    async run({ ledger }) {
      await family(ledger)
      const both = await Promise.all([
        ledger.write(tx => tx.endTasks(['a'], 'completed', null)),
        ledger.write(tx => tx.endTasks(['a'], 'revoked', null)),
      ])
      assert.equal(both.flat().length, 1)
      assert.equal((await ledger.read.task('a'))?.end, both.flat()[0]?.end)
      assert.deepEqual(await ledger.write(tx => tx.endTasks(['a'], 'expired', null)), [])
    },
  },
  {
    name: 'many tasks end and settle in one call',
    async run({ ledger }) {
      const many = Array.from({ length: 1_300 }, (_, index) => `t${index}`)
      await ledger.write(async tx => {
        for (const id of many) await tx.insertTask(task(id), [])
      })
      const ended = await ledger.write(tx => tx.endTasks(many, 'cancelled', null))
      assert.deepEqual(ids(ended), many)
      assert.deepEqual(await ledger.write(tx => tx.settleTasks(many)), many)
    },
  },
  {
    name: 'a task settles when it is ended and holds no open lease, and not before',
    async run({ ledger, setNow }) {
      await holding(ledger, lease('one', 't'), activeLease('two', 't'))
      const settle = () => ledger.write(tx => tx.settleTasks(['t']))
      assert.deepEqual(await settle(), [], 'active')
      await ledger.write(tx => tx.endTasks(['t'], 'completed', null))
      assert.deepEqual(await settle(), [], 'an intended and an active lease')
      await ledger.write(tx => tx.closeLease('two', null, { closed_as: 'revoked' }))
      assert.deepEqual(await settle(), [], 'an intended lease')
      await ledger.write(tx => tx.revokeLease('one'))
      assert.deepEqual(await settle(), [], 'a revoking lease')
      await ledger.write(tx => tx.closeLease('one', null, { closed_as: 'never_minted' }))
      setNow(start + 9)
      assert.deepEqual(await settle(), ['t'])
      const settled = await ledger.read.task('t')
      assert.deepEqual(
        [settled?.state, settled?.settled_at, settled?.end],
        ['settled', start + 9, 'completed'],
      )
      assert.deepEqual(await settle(), [], 'once')
    },
  },
  {
    name: 'the first use of a token is kept',
    async run({ ledger, setNow }) {
      await family(ledger)
      setNow(start + 1)
      await ledger.write(tx => tx.markTokenUsed('a'))
      setNow(start + 2)
      await ledger.write(tx => tx.markTokenUsed('a'))
      assert.equal((await ledger.read.task('a'))?.token_used_at, start + 1)
      assert.equal((await ledger.read.task('b'))?.token_used_at, null)
    },
  },
  {
    name: 'heartbeat and extension touch active tasks only',
    async run({ ledger }) {
      await family(ledger)
      assert.equal(await ledger.write(tx => tx.setHeartbeat('a', start + 7)), true)
      // One that was held up somewhere comes after it, and takes nothing from it.
      assert.equal(await ledger.write(tx => tx.setHeartbeat('a', start + 6)), true)
      assert.equal(await ledger.write(tx => tx.extendTask('a', start + 99 * minute, 'new mac')), true)
      const a = await ledger.read.task('a')
      assert.deepEqual([a?.heartbeat_due, a?.deadline, a?.mac], [start + 7, start + 99 * minute, 'new mac'])
      await ledger.write(tx => tx.endTasks(['a'], 'completed', null))
      assert.equal(await ledger.write(tx => tx.setHeartbeat('a', start + 8)), false)
      assert.equal(await ledger.write(tx => tx.extendTask('a', start + 100 * minute, 'third')), false)
      assert.equal(await ledger.write(tx => tx.setHeartbeat('nobody', start)), false)
      assert.deepEqual((await ledger.read.task('a'))?.deadline, start + 99 * minute)
    },
  },
]
