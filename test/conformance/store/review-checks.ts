import assert from 'node:assert/strict'
import { activeLease, decision, family, lease, minute, type StoreCheck, start, task } from './subject.ts'

const period = { from: start, to: start + 60 * minute }

export const reviewChecks: StoreCheck[] = [
  {
    name: 'what a period held is counted alike with alike, with how long it lived',
    async run({ ledger, setNow }) {
      await family(ledger)
      await ledger.write(async tx => {
        const alike = { granted: '{"a":1}', phase: 'read' } as const
        await tx.insertLease(activeLease('one', 'a', alike))
        await tx.insertLease(activeLease('two', 'a', alike))
        await tx.insertLease(activeLease('other', 'b', { granted: '{"a":2}', phase: 'deploy' }))
        await tx.insertLease(lease('before', 'a', { intended_at: start - 1 }))
        await tx.insertLease(lease('after', 'a', { intended_at: period.to }))
        await tx.insertTask(task('own', { system: 1, agent: 'mayfly', token_hash: null }), [])
        await tx.insertLease(activeLease('own', 'own', { agent: 'mayfly' }))
      })
      setNow(start + 5 * minute)
      await ledger.write(tx => tx.endTasks(['b'], 'completed', null))
      setNow(start + 6 * minute)
      await ledger.write(tx => tx.closeLease('other', null, { closed_as: 'revoked' }))
      const groups = await ledger.read.mintedBetween(period)
      const shown = groups.map(one => [one.granted, one.closed_as, one.count, one.longest_past_end_ms]).sort()
      assert.deepEqual(shown, [
        ['{"a":1}', null, 2, 0],
        ['{"a":2}', 'revoked', 1, minute],
      ])
      const open = groups.find(one => one.granted === '{"a":1}')
      assert.deepEqual([open?.life_ms, open?.longest_life_ms], [120 * minute, 60 * minute])
      const over = groups.find(one => one.granted === '{"a":2}')
      assert.deepEqual([over?.life_ms, over?.longest_life_ms], [6 * minute, 6 * minute])
      assert.deepEqual(await ledger.read.mintedBetween(period, 'nobody'), [])
    },
  },
  {
    name: 'decisions and tasks of a period are counted by agent and outcome',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.insertTask(task('t1'), [])
        await tx.insertTask(task('t2'), [])
        await tx.insertTask(task('early', { opened_at: start - 1 }), [])
        await tx.insertDecision(decision('d1'))
        await tx.insertDecision(decision('d2', { outcome: 'deny' }))
        await tx.insertDecision(decision('d3', { outcome: 'deny' }))
        await tx.insertDecision(decision('d4', { outcome: 'deny', decided_at: period.to }))
        await tx.endTasks(['t1'], 'failed', null)
        await tx.settleTasks(['t1'])
        await tx.signReceipt({ task: 't1', jws: 'jws', sha256: 'hash' })
      })
      const decided = (await ledger.read.decidedBetween(period)).sort((a, b) => a.count - b.count)
      assert.deepEqual(
        decided.map(({ agent, outcome, count }) => ({ agent, outcome, count })),
        [
          { agent: 'builder', outcome: 'allow', count: 1 },
          { agent: 'builder', outcome: 'deny', count: 2 },
        ],
      )
      const opened = (await ledger.read.openedBetween(period)).map(row => [row.end, row.count, row.receipts])
      assert.deepEqual(opened.sort(), [
        [null, 1, 0],
        ['failed', 1, 1],
      ])
      assert.deepEqual(await ledger.read.openedBetween(period, 'nobody'), [])
    },
  },
]
