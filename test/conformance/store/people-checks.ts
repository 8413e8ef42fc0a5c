import assert from 'node:assert/strict'
import type { ChangeRow, OperatorSessionRow } from '../../../src/store/rows.ts'
import { minute, type StoreCheck, start } from './subject.ts'

function session(id: string, over: Partial<OperatorSessionRow> = {}): OperatorSessionRow {
  return {
    ...{ id, issuer: 'https://idp.test', subject: 'ada', name: 'Ada', groups: '["admins"]' },
    ...{ token_hash: `hash of ${id}`, created_at: start, expires_at: start + 60 * minute, mac: 'mac' },
    ...{ ended_at: null, ended_by: null },
    ...over,
  }
}

function change(id: string, over: Partial<ChangeRow> = {}): ChangeRow {
  return {
    ...{ id, kind: 'policies', document: '{}', digest: 'digest', reason: 'because' },
    ...{ proposer: 'https://idp.test#ada', proposed_by: 'operator:ada', created_at: start },
    ...{ expires_at: start + 60 * minute, mac: 'mac' },
    ...{ state: 'pending', decided_at: null, decided_by: null, detail: null, sealed: null },
    ...over,
  }
}

export const peopleChecks: StoreCheck[] = [
  {
    name: 'a session of a human is found by its token, and ends once',
    async run({ ledger }) {
      await ledger.write(tx => tx.insertOperatorSession(session('one'), 0))
      assert.deepEqual({ ...(await ledger.read.operatorSessionByToken('hash of one')) }, session('one'))
      assert.equal(await ledger.read.operatorSessionByToken('hash of two'), undefined)
      const ends = await Promise.all(
        ['x', 'y'].map(by => ledger.write(tx => tx.endOperatorSession('one', by))),
      )
      assert.deepEqual(ends.toSorted(), [false, true])
      const ended = await ledger.read.operatorSession('one')
      assert.deepEqual([ended?.ended_at, ended?.ended_by], [start, ends[0] ? 'x' : 'y'])
      assert.equal(await ledger.write(tx => tx.endOperatorSession('two', 'x')), false)
    },
  },
  {
    name: 'sessions are listed newest first, page by page, and the open ones alone',
    async run({ ledger }) {
      for (const [index, id] of ['a', 'b', 'c'].entries())
        await ledger.write(tx => tx.insertOperatorSession(session(id, { created_at: start + index }), 0))
      await ledger.write(tx => tx.endOperatorSession('c', 'x'))
      const first = await ledger.read.operatorSessions({}, { limit: 2 })
      assert.deepEqual(
        first.items.map(row => row.id),
        ['c', 'b'],
      )
      const rest = await ledger.read.operatorSessions({}, { limit: 2, after: first.next ?? '' })
      assert.deepEqual([rest.items.map(row => row.id), rest.next], [['a'], null])
      const open = await ledger.read.operatorSessions({ open: start }, { limit: 9 })
      assert.deepEqual(
        open.items.map(row => row.id),
        ['b', 'a'],
      )
      const later = await ledger.read.operatorSessions({ open: start + 60 * minute }, { limit: 9 })
      assert.deepEqual(later.items, [])
    },
  },
  {
    name: 'sessions that were over before a moment are forgotten when the next one begins',
    async run({ ledger }) {
      await ledger.write(tx => tx.insertOperatorSession(session('old', { expires_at: start - 1 }), 0))
      await ledger.write(tx => tx.insertOperatorSession(session('kept', { expires_at: start }), 0))
      await ledger.write(tx => tx.insertOperatorSession(session('new'), start))
      const { items } = await ledger.read.operatorSessions({}, { limit: 9 })
      assert.deepEqual(items.map(row => row.id).toSorted(), ['kept', 'new'])
    },
  },
  {
    name: 'a change is decided once, and in time',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        await tx.insertChange(change('one'))
        await tx.insertChange(change('late', { created_at: start + 1 }))
      })
      assert.deepEqual({ ...(await ledger.read.change('one')) }, change('one'))
      const decide = (id: string, state: 'applied' | 'denied') =>
        ledger.write(async tx => {
          const row = await tx.lockChange(id)
          assert.equal(row?.id, id)
          return tx.decideChange(id, { state, by: 'operator:bo', detail: null })
        })
      const both = await Promise.all([decide('one', 'applied'), decide('one', 'denied')])
      assert.deepEqual(both.toSorted(), [false, true])
      const decided = await ledger.read.change('one')
      assert.deepEqual(
        [decided?.state, decided?.decided_at, decided?.decided_by],
        [both[0] ? 'applied' : 'denied', start, 'operator:bo'],
      )
      setNow(start + 60 * minute)
      assert.equal(await decide('late', 'applied'), false)
      assert.equal((await ledger.read.change('late'))?.state, 'pending')
      assert.equal(await ledger.write(tx => tx.lockChange('other')), undefined)
    },
  },
  {
    name: 'what a change holds sealed is there until it is decided, or past its time',
    async run({ ledger, setNow }) {
      const sealed = new Uint8Array([1, 2, 3])
      await ledger.write(async tx => {
        for (const id of ['one', 'two', 'late']) await tx.insertChange(change(id, { sealed }))
        await tx.insertChange(change('long', { sealed, expires_at: start + 90 * minute }))
        await tx.insertChange(change('plain'))
      })
      const left = async () => {
        const { items } = await ledger.read.changes({}, { limit: 9 })
        return items.filter(row => row.sealed !== null).map(row => [row.id, ...row.sealed!])
      }
      await ledger.write(tx => tx.decideChange('one', { state: 'applied', by: 'x', detail: null }))
      await ledger.write(tx => tx.decideChange('two', { state: 'withdrawn', by: 'x', detail: 'no' }))
      assert.equal(await ledger.write(tx => tx.prune(9)), 0)
      assert.deepEqual(await left(), [
        ['long', 1, 2, 3],
        ['late', 1, 2, 3],
      ])
      setNow(start + 60 * minute)
      assert.equal(await ledger.write(tx => tx.prune(9)), 1)
      assert.equal(await ledger.write(tx => tx.prune(9)), 0)
      assert.deepEqual(await left(), [['long', 1, 2, 3]])
      assert.equal((await ledger.read.change('late'))?.state, 'pending')
    },
  },
  {
    name: 'changes are listed newest first, page by page, and by state',
    async run({ ledger }) {
      await ledger.write(async tx => {
        for (const [index, id] of ['a', 'b', 'c'].entries())
          await tx.insertChange(change(id, { created_at: start + index }))
        await tx.decideChange('b', { state: 'withdrawn', by: 'x', detail: 'no' })
      })
      const first = await ledger.read.changes({}, { limit: 2 })
      const rest = await ledger.read.changes({}, { limit: 2, after: first.next ?? '' })
      assert.deepEqual(
        [...first.items, ...rest.items].map(row => row.id),
        ['c', 'b', 'a'],
      )
      const pending = await ledger.read.changes({ state: 'pending' }, { limit: 9 })
      assert.deepEqual(
        pending.items.map(row => row.id),
        ['c', 'a'],
      )
    },
  },
]
