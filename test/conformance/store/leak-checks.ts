import assert from 'node:assert/strict'
import type { LeakRow, SecretPrintRow } from '../../../src/store/rows.ts'
import { activeLease, holding, minute, operatorToken, type StoreCheck, start, task } from './subject.ts'

const print = (lease: string, over: Partial<SecretPrintRow> = {}): SecretPrintRow => ({
  ...{ lease, part: '', sha256: `sha of ${lease}`, chars: 40, print: 0xffff_ffff },
  ...over,
})
type NewLeak = Omit<LeakRow, 'reported_at' | 'last_at' | 'times'>
const leak = (subject: string, over: Partial<NewLeak> = {}): NewLeak => ({
  ...{ subject, kind: 'credential', task: 't', agent: 'builder', source: 'holder' },
  ...{ reported_by: 'holder', reason: 'seen in a log', quarantined: 1 },
  ...over,
})
const alert = (id: string) => ({ id, repository: '1', repository_name: 'acme/api', number: 7 })

export const leakChecks: StoreCheck[] = [
  {
    name: 'a lease is found by the print of any of its parts, the newest of several, and prints by their task',
    async run({ ledger }) {
      const newer = activeLease('newer', 't', { intended_at: start + 1 })
      await ledger.write(tx => tx.insertTask(task('u'), []))
      await holding(ledger, activeLease('l', 't'), newer, activeLease('other', 'u'))
      const key = print('l', { part: 'key', sha256: 'shared' })
      const id = print('l', { part: 'id', sha256: 'mine', chars: 20, print: 0 })
      await ledger.write(async tx => {
        for (const row of [key, id, print('newer', { sha256: 'shared' }), print('other')])
          await tx.insertPrint(row)
      })
      assert.equal((await ledger.read.leaseByPrint('mine'))?.id, 'l')
      assert.equal((await ledger.read.leaseByPrint('shared'))?.id, 'newer')
      assert.equal(await ledger.read.leaseByPrint('none'), undefined)
      const prints = (await ledger.read.printsOf('t')).map(row => ({ ...row }))
      assert.deepEqual(prints, [id, key, print('newer', { sha256: 'shared' })])
      assert.deepEqual(await ledger.read.printsOf('none'), [])
    },
  },
  {
    name: 'a leak is first reported once; every report after it is counted and changes nothing else',
    async run({ ledger, setNow }) {
      const note = (over: Partial<NewLeak> = {}) => ledger.write(tx => tx.noteLeak(leak('l', over)))
      const first = await Promise.all([note(), note(), note()])
      assert.deepEqual(first.toSorted(), [false, false, true])
      setNow(start + minute)
      assert.equal(await note({ source: 'github', quarantined: 0 }), false)
      assert.deepEqual(
        { ...(await ledger.read.leak('l')) },
        { ...leak('l'), reported_at: start, last_at: start + minute, times: 4 },
      )
      assert.equal(await ledger.read.leak('m'), undefined)
    },
  },
  {
    name: 'leaks are listed newest first',
    async run({ ledger, setNow }) {
      for (const [index, id] of ['a', 'b', 'c'].entries()) {
        setNow(start + index)
        await ledger.write(tx => tx.noteLeak(leak(id)))
      }
      const first = await ledger.read.leaks({ limit: 2 })
      assert.deepEqual(
        first.items.map(row => row.subject),
        ['c', 'b'],
      )
      const rest = await ledger.read.leaks({ limit: 2, after: first.next ?? '' })
      assert.deepEqual([rest.items.map(row => row.subject), rest.next], [['a'], null])
    },
  },
  {
    name: 'an operator token is forgotten once',
    async run({ ledger }) {
      await ledger.write(tx => tx.replaceOperatorToken(operatorToken('one')))
      const forget = () => ledger.write(tx => tx.forgetOperatorToken('one'))
      assert.deepEqual((await Promise.all([forget(), forget()])).toSorted(), [false, true])
      assert.equal(await ledger.read.operatorByToken(operatorToken('one').token_hash), undefined)
    },
  },
  {
    name: 'alerts wait once each, are bounded, and are due at once when they are told again',
    async run({ ledger, setNow }) {
      const note = (id: string) => ledger.write(tx => tx.noteAlert(alert(id), 2))
      assert.equal(await ledger.read.nextAlertDue(), null)
      assert.deepEqual(
        [await note('a'), await note('b'), await note('c'), await note('a')],
        [...[true, true, false, true]],
      )
      const later = { due_at: start + minute, attempts: 1, last_error: 'down' }
      assert.equal(await ledger.write(tx => tx.deferAlert('a', later)), true)
      assert.deepEqual(
        (await ledger.read.alertsDue(start, 9)).map(row => row.id),
        ['b'],
      )
      assert.equal(await ledger.read.nextAlertDue(), start)
      assert.equal(await ledger.write(tx => tx.closeAlert('b')), true)
      assert.equal(await ledger.write(tx => tx.closeAlert('b')), false)
      assert.equal(await ledger.write(tx => tx.deferAlert('b', later)), false)
      assert.equal(await ledger.read.nextAlertDue(), start + minute)
      setNow(start + 1)
      assert.equal(await note('a'), true)
      assert.deepEqual(
        (await ledger.read.alertsDue(start + 1, 9)).map(row => ({ ...row })),
        [{ ...alert('a'), created_at: start, due_at: start + 1, attempts: 0, last_error: 'down' }],
      )
    },
  },
]
