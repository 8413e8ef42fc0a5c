import assert from 'node:assert/strict'
import type { Ledger } from '../../../src/store/ledger.ts'
import type { DeliveryRow, DrillRow } from '../../../src/store/rows.ts'
import { activeLease, family, holding, ids, minute, type StoreCheck, start, task } from './subject.ts'

function delivery(id: string, over: Partial<DeliveryRow> = {}): DeliveryRow {
  return {
    id,
    webhook: 'rollback',
    event: 'task.ended',
    task: 't',
    about: null,
    state: 'due',
    created_at: start,
    due_at: start,
    attempts: 0,
    last_error: null,
    done_at: null,
    ...over,
  }
}

function drill(id: string, over: Partial<DrillRow> = {}): DrillRow {
  return {
    id,
    issuer: 'github',
    actor: 'schedule',
    state: 'running',
    revocability: 'immediate',
    started_at: start,
    deadline: start + minute,
    finished_at: null,
    task: null,
    lease: null,
    proof: 'provider',
    mint_ms: null,
    revoke_ms: null,
    dead_ms: null,
    detail: null,
    ...over,
  }
}

/** Ends and settles these, which hold nothing. */
const settle = (ledger: Ledger, ...tasks: string[]) =>
  ledger.write(async tx => {
    await tx.endTasks(tasks, 'completed', null)
    return tx.settleTasks(tasks)
  })
const sign = (ledger: Ledger, of: string, jws = `jws of ${of}`) =>
  ledger.write(tx => tx.signReceipt({ task: of, jws, sha256: `sha of ${of}` }))
const claim = (ledger: Ledger, limit = 10, until = start + minute) =>
  ledger.write(tx => tx.claimReceipts(limit, until))

export const proofChecks: StoreCheck[] = [
  {
    name: 'a settled task is owed a receipt, once; a system task and one that is not settled are not',
    async run({ ledger }) {
      await holding(ledger, activeLease('l', 't'))
      await ledger.write(async tx => {
        await tx.insertTask(task('own', { system: 1, token_hash: null }), [])
        await tx.insertTask(task('done'), [])
        await tx.endTasks(['t'], 'completed', null)
      })
      assert.deepEqual(await settle(ledger, 't', 'own', 'done'), ['own', 'done'])
      assert.deepEqual(await settle(ledger, 't', 'own', 'done'), [])
      const owed = await ledger.read.receipt('done')
      assert.deepEqual({ ...owed }, { task: 'done', due_at: start, jws: null, sha256: null, signed_at: null })
      assert.equal(await ledger.read.receipt('own'), undefined)
      assert.equal(await ledger.read.receipt('t'), undefined)
      assert.equal(await ledger.read.nextReceiptDue(), start)
      assert.deepEqual(await claim(ledger), ['done'])
    },
  },
  {
    name: 'a receipt is signed once, and not without being owed',
    async run({ ledger, setNow }) {
      await family(ledger)
      await settle(ledger, 'd')
      setNow(start + 5)
      const both = await Promise.all([sign(ledger, 'd', 'one'), sign(ledger, 'd', 'two')])
      assert.deepEqual(both.toSorted(), [false, true])
      assert.deepEqual(
        { ...(await ledger.read.receipt('d')) },
        {
          ...{ task: 'd', due_at: null, jws: both[0] ? 'one' : 'two', sha256: 'sha of d' },
          signed_at: start + 5,
        },
      )
      assert.equal(await sign(ledger, 'a'), false)
      assert.equal(await ledger.write(tx => tx.deferReceipt('d', start)), false)
      assert.deepEqual(await claim(ledger), [])
      assert.equal(await ledger.read.nextReceiptDue(), null)
    },
  },
  {
    name: 'two who claim receipts at once share nothing, and a claim that runs out is taken again',
    async run({ ledger, setNow }) {
      await family(ledger)
      await settle(ledger, 'a', 'b', 'c', 'd')
      const claims = await Promise.all([claim(ledger, 2), claim(ledger, 2), claim(ledger, 2)])
      assert.deepEqual(claims.flat().toSorted(), ['a', 'b', 'c', 'd'])
      assert.deepEqual(await claim(ledger), [])
      assert.equal(await ledger.read.nextReceiptDue(), start + minute)
      setNow(start + minute)
      assert.equal((await claim(ledger, 3, start + 2 * minute)).length, 3)
    },
  },
  {
    name: 'a receipt waits for those of the children, and the last child makes it due',
    async run({ ledger }) {
      await family(ledger)
      await settle(ledger, 'a', 'b', 'c')
      const waiting = (of: string) => ledger.write(tx => tx.childrenWithoutReceipt(of))
      assert.deepEqual([await waiting('a'), await waiting('b'), await waiting('c')], [['b'], ['c'], []])
      const children = async (of: string) =>
        (await ledger.read.childReceipts(of)).map(row => [row.task, row.sha256])
      assert.deepEqual(await children('a'), [['b', null]])
      await claim(ledger)
      await ledger.write(tx => tx.deferReceipt('b', start + minute))
      await sign(ledger, 'c')
      assert.equal((await ledger.read.receipt('b'))?.due_at, start)
      assert.equal((await ledger.read.receipt('a'))?.due_at, start + minute, 'only the parent')
      assert.deepEqual(await waiting('b'), [])
      assert.deepEqual(await children('b'), [['c', 'sha of c']])
      assert.deepEqual(await children('c'), [])
    },
  },
  {
    name: 'a child that is not settled is waited for, too',
    async run({ ledger }) {
      await family(ledger)
      await settle(ledger, 'a')
      assert.deepEqual(await ledger.write(tx => tx.childrenWithoutReceipt('a')), ['b'])
    },
  },
  {
    name: 'deliveries are claimed by webhook, each attempt counts, and an older attempt changes nothing',
    async run({ ledger, setNow }) {
      await holding(ledger)
      await ledger.write(async tx => {
        await tx.insertDelivery(delivery('d2', { created_at: start + 1 }))
        await tx.insertDelivery(delivery('d1'))
        await tx.insertDelivery(delivery('later', { due_at: start + minute }))
        await tx.insertDelivery(delivery('else', { webhook: 'audit', due_at: start + 1 }))
      })
      const next = (webhook: string) => ledger.read.nextDeliveryDue(webhook)
      assert.deepEqual([await next('rollback'), await next('audit')], [start, start + 1])
      assert.equal(await next('nobody'), null)
      const take = (limit: number) =>
        ledger.write(tx => tx.claimDeliveries('rollback', limit, start + 2 * minute))
      const claims = (await Promise.all([take(1), take(1), take(1)])).flat()
      assert.deepEqual(ids(claims).toSorted(), ['d1', 'd2'])
      assert.deepEqual([...new Set(claims.map(row => row.attempts))], [1])
      const finish = (id: string, attempts: number) =>
        ledger.write(tx => tx.finishDelivery(id, attempts, { state: 'delivered', last_error: null }))
      const to = { due_at: start + 9, last_error: 'status 500' }
      assert.equal(await ledger.write(tx => tx.retryDelivery('d1', 0, to)), false)
      assert.equal(await ledger.write(tx => tx.retryDelivery('d1', 1, to)), true)
      setNow(start + 9)
      assert.deepEqual(ids(await take(5)), ['d1'])
      assert.equal(await finish('d1', 1), false, 'an attempt that was overtaken')
      assert.equal(await finish('d1', 2), true)
      assert.equal(await finish('d1', 2), false)
      assert.deepEqual(
        { ...(await ledger.read.delivery('d1')) },
        delivery('d1', {
          ...{ state: 'delivered', due_at: null, attempts: 2, last_error: null },
          done_at: start + 9,
        }),
      )
      assert.equal(await ledger.read.delivery('nobody'), undefined)
    },
  },
  {
    name: 'deliveries are listed newest first, by state and task',
    async run({ ledger }) {
      await holding(ledger)
      await ledger.write(async tx => {
        await tx.insertTask(task('u'), [])
        for (const n of [1, 2, 3]) await tx.insertDelivery(delivery(`d${n}`, { created_at: start + n }))
        await tx.insertDelivery(delivery('of u', { task: 'u' }))
        await tx.claimDeliveries('rollback', 9, start)
        await tx.finishDelivery('d2', 1, { state: 'dead', last_error: 'gone' })
      })
      const list = async (filter: object) => ids((await ledger.read.deliveries(filter, { limit: 9 })).items)
      assert.deepEqual(await list({}), ['d3', 'd2', 'd1', 'of u'])
      assert.deepEqual(await list({ state: 'dead' }), ['d2'])
      assert.deepEqual(await list({ task: 'u' }), ['of u'])
      const first = await ledger.read.deliveries({ state: 'due' }, { limit: 2 })
      const rest = await ledger.read.deliveries({ state: 'due' }, { limit: 2, after: first.next ?? '' })
      assert.deepEqual([ids(first.items), ids(rest.items), rest.next], [['d3', 'd1'], ['of u'], null])
    },
  },
  {
    name: 'pruning forgets what was delivered long ago, and nothing that was not',
    async run({ ledger, setNow }) {
      await holding(ledger)
      await ledger.write(async tx => {
        for (const id of ['sent', 'dead', 'due']) await tx.insertDelivery(delivery(id))
        await tx.claimDeliveries('rollback', 9, start)
        await tx.finishDelivery('sent', 1, { state: 'delivered', last_error: null })
        await tx.finishDelivery('dead', 1, { state: 'dead', last_error: 'gone' })
      })
      assert.equal(await ledger.write(tx => tx.prune(9)), 0)
      setNow(start + 60 * 24 * 60 * minute)
      assert.equal(await ledger.write(tx => tx.prune(9)), 1)
      assert.equal(await ledger.read.delivery('sent'), undefined)
      assert.equal((await ledger.read.delivery('dead'))?.state, 'dead')
    },
  },
  {
    name: 'one drill of an issuer runs at a time, and finishes once',
    async run({ ledger, setNow }) {
      const both = await Promise.all(
        ['one', 'two'].map(id => ledger.write(tx => tx.startDrill(drill(id, { task: id })))),
      )
      assert.deepEqual(both.toSorted(), [false, true])
      const running = both[0] ? 'one' : 'two'
      assert.equal(await ledger.write(tx => tx.startDrill(drill('other', { issuer: 'aws' }))), true)
      const to = {
        ...({ state: 'passed', task: 'tsk', lease: 'lse', proof: 'provider' } as const),
        ...{ mint_ms: 3, revoke_ms: 4, dead_ms: 5, detail: null },
      } as const
      setNow(start + 9)
      const finished = await Promise.all([1, 2].map(() => ledger.write(tx => tx.finishDrill(running, to))))
      assert.deepEqual(finished.toSorted(), [false, true])
      assert.deepEqual(
        { ...(await ledger.read.drill(running)) },
        drill(running, { ...to, finished_at: start + 9 }),
      )
      assert.equal(await ledger.write(tx => tx.startDrill(drill('three', { started_at: start + 10 }))), true)
      const page = await ledger.read.drills({ issuer: 'github' }, { limit: 9 })
      assert.deepEqual(ids(page.items), ['three', running])
      assert.equal((await ledger.read.drills({}, { limit: 1 })).items[0]?.id, 'three')
    },
  },
  {
    name: 'a drill past its deadline is abandoned, and another may run',
    async run({ ledger, setNow }) {
      await ledger.write(tx => tx.startDrill(drill('lost')))
      assert.deepEqual(await ledger.write(tx => tx.abandonDrills('nobody came back')), [])
      setNow(start + minute)
      const [row] = await ledger.write(tx => tx.abandonDrills('nobody came back'))
      assert.deepEqual(
        [row?.state, row?.detail, row?.finished_at],
        ['failed', 'nobody came back', start + minute],
      )
      assert.equal(await ledger.write(tx => tx.startDrill(drill('next'))), true)
    },
  },
]
