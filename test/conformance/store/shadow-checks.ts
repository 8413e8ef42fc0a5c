import assert from 'node:assert/strict'
import type { ShadowDifferenceRow } from '../../../src/store/rows.ts'
import { minute, type StoreCheck, start } from './subject.ts'

type Difference = Omit<ShadowDifferenceRow, 'first_at' | 'last_at'>

const difference = (id: string, over: Partial<Difference> = {}): Difference => ({
  ...{ id, shadow_hash: 'candidate', live_hash: 'live', live: 'allow', shadow: 'deny' },
  ...{
    agent: 'a',
    issuer: 'i',
    phase: 'read',
    live_by: '["p"]',
    shadow_by: '[]',
    times: 1,
    example: 'dec_1',
  },
  ...over,
})

export const shadowChecks: StoreCheck[] = [
  {
    name: 'a kind of difference is one row, counted by whoever meets it, with its first example',
    async run({ ledger, setNow }) {
      const note = (over: Partial<Difference>) =>
        ledger.write(tx => tx.noteDifference(difference('d', over), 9))
      assert.deepEqual(await Promise.all([note({}), note({}), note({ times: 3 })]), [true, true, true])
      setNow(start + minute)
      assert.equal(await note({ example: 'dec_2' }), true)
      const { items, next } = await ledger.read.shadowDifferences('candidate', { limit: 9 })
      assert.deepEqual(
        items.map(row => ({ ...row })),
        [{ ...difference('d', { times: 6 }), first_at: start, last_at: start + minute }],
      )
      assert.equal(next, null)
    },
  },
  {
    name: 'kinds of differences are bounded, and those of a former candidate make room',
    async run({ ledger }) {
      const note = (id: string, shadow_hash: string) =>
        ledger.write(tx => tx.noteDifference(difference(id, { shadow_hash }), 2))
      assert.equal(await note('a', 'former'), true)
      assert.equal(await note('b', 'former'), true)
      assert.equal(await note('c', 'former'), false, 'there is no room')
      assert.equal(await note('a', 'former'), true, 'what is known needs none')
      assert.equal(await note('d', 'candidate'), true)
      assert.deepEqual((await ledger.read.shadowDifferences('former', { limit: 9 })).items, [])
      assert.equal(await note('e', 'candidate'), true)
      assert.equal(await note('f', 'candidate'), false)
    },
  },
  {
    name: 'differences of one candidate are listed newest first',
    async run({ ledger, setNow }) {
      for (const [index, id] of ['a', 'b', 'c'].entries()) {
        setNow(start + index)
        await ledger.write(tx => tx.noteDifference(difference(id), 9))
      }
      await ledger.write(tx => tx.noteDifference(difference('x', { shadow_hash: 'other' }), 9))
      const first = await ledger.read.shadowDifferences('candidate', { limit: 2 })
      assert.deepEqual(
        first.items.map(row => row.id),
        ['c', 'b'],
      )
      const rest = await ledger.read.shadowDifferences('candidate', { limit: 2, after: first.next ?? '' })
      assert.deepEqual([rest.items.map(row => row.id), rest.next], [['a'], null])
    },
  },
]
