import assert from 'node:assert/strict'
import {
  ask,
  decision,
  evidence,
  family,
  ids,
  minute,
  operatorToken,
  type StoreCheck,
  signingKey,
  start,
  task,
  ticket,
} from './subject.ts'

export const accessChecks: StoreCheck[] = [
  {
    name: 'evidence is used once; the second use is told of the first',
    async run({ ledger }) {
      const uses = await Promise.all(
        ['one', 'two'].map(task => ledger.write(tx => tx.useEvidence(evidence('e', { task })))),
      )
      const [winner] = uses[0] === undefined ? ['one'] : ['two']
      const told = uses.find(use => use !== undefined)
      assert.equal(uses.filter(use => use === undefined).length, 1)
      assert.deepEqual({ ...told }, evidence('e', { task: winner ?? '' }))
      assert.deepEqual(await ledger.read.evidence('e'), told)
      assert.equal(await ledger.read.evidence('other'), undefined)
    },
  },
  {
    name: 'a use moves to the task that takes its place, from the task that had it',
    async run({ ledger }) {
      await ledger.write(tx => tx.useEvidence(evidence('e', { task: 'first' })))
      const to = { task: 'second', used_at: start + 5 }
      const both = await Promise.all([
        ledger.write(tx => tx.reuseEvidence('e', { task: 'first' }, to)),
        ledger.write(tx => tx.reuseEvidence('e', { task: 'first' }, { ...to, task: 'third' })),
      ])
      assert.deepEqual(both.toSorted(), [false, true])
      const now = await ledger.read.evidence('e')
      assert.deepEqual([now?.task, now?.used_at], [both[0] ? 'second' : 'third', start + 5])
      assert.equal(await ledger.write(tx => tx.reuseEvidence('other', { task: 'first' }, to)), false)
      const by = { task: 'last', used_at: start + 6, request_digest: 'another', until: start + 7 * minute }
      await ledger.write(tx => tx.reuseEvidence('e', { task: now?.task ?? '' }, by))
      assert.deepEqual({ ...(await ledger.read.evidence('e')) }, evidence('e', by))
    },
  },
  {
    name: 'evidence that another task has now is spent; its own task does not spend it',
    async run({ ledger }) {
      await ledger.write(tx => tx.useEvidence(evidence('e', { task: 'first', request_digest: 'asked' })))
      await ledger.write(tx => tx.spendEvidence('e', 'first'))
      await ledger.write(tx => tx.spendEvidence('unknown', 'first'))
      assert.equal((await ledger.read.evidence('e'))?.request_digest, 'asked')
      await ledger.write(async tx => {
        await tx.reuseEvidence('e', { task: 'first' }, { task: 'second', used_at: start })
        await tx.spendEvidence('e', 'first')
      })
      const row = await ledger.read.evidence('e')
      assert.deepEqual([row?.task, row?.request_digest], ['second', ''])
      const to = { task: 'third', used_at: start }
      assert.equal(await ledger.write(tx => tx.reuseEvidence('e', { task: 'second' }, to)), false)
    },
  },
  {
    name: 'a ticket is redeemed once, before its time is past',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        await tx.insertTicket(ticket('k'))
        await tx.insertTicket(ticket('late'))
      })
      assert.deepEqual({ ...(await ledger.read.ticket('k')) }, ticket('k'))
      const both = await Promise.all(
        ['x', 'y'].map(by => ledger.write(tx => tx.redeemTicket('hash of k', by))),
      )
      const won = both.filter(row => row !== undefined)
      assert.equal(won.length, 1)
      assert.deepEqual([won[0]?.state, won[0]?.redeemed_by], ['redeemed', both[0] ? 'x' : 'y'])
      assert.deepEqual(await ledger.read.ticketByToken('hash of k'), won[0])
      assert.equal(await ledger.write(tx => tx.redeemTicket('k', 'z')), undefined)
      setNow(start + minute)
      assert.equal(await ledger.write(tx => tx.redeemTicket('hash of late', 'x')), undefined)
      assert.equal((await ledger.read.ticket('late'))?.state, 'open')
    },
  },
  {
    name: 'a redeemed ticket passes from the task that has it to one that takes its place, and no other way',
    async run({ ledger }) {
      const pass = (id: string, from: string, to: string) =>
        ledger.write(tx => tx.passTicket(id, { from, to }))
      await ledger.write(tx => tx.insertTicket(ticket('k')))
      assert.equal(await pass('k', 'x', 'y'), false)
      await ledger.write(tx => tx.redeemTicket('hash of k', 'x'))
      assert.equal(await pass('k', 'z', 'y'), false)
      assert.equal(await pass('other', 'x', 'y'), false)
      assert.equal(await pass('k', 'x', 'y'), true)
      assert.equal(await pass('k', 'x', 'z'), false)
      assert.equal((await ledger.read.ticket('k'))?.redeemed_by, 'y')
    },
  },
  {
    name: 'a ticket past its time is kept for as long as the task that redeemed it is active',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        await tx.insertTask(task('child'), [])
        await tx.insertTicket(ticket('k'))
        await tx.insertTicket(ticket('unused'))
        await tx.redeemTicket('hash of k', 'child')
      })
      setNow(start + 60 * minute)
      assert.equal(await ledger.write(tx => tx.prune(100)), 1)
      assert.equal(await ledger.read.ticket('unused'), undefined)
      assert.equal((await ledger.read.ticket('k'))?.redeemed_by, 'child')
      await ledger.write(tx => tx.endTasks(['child'], 'completed', null))
      assert.equal(await ledger.write(tx => tx.prune(100)), 1)
      assert.equal(await ledger.read.ticket('k'), undefined)
    },
  },
  {
    name: 'a budget gives what there is, however many ask at once, and takes back',
    async run({ ledger }) {
      const take = (key: string, limit: number) =>
        ledger.write(tx => tx.takeBudget(key, limit, start + minute))
      const taken = await Promise.all(Array.from({ length: 12 }, () => take('k', 5)))
      assert.equal(taken.filter(Boolean).length, 5)
      assert.equal(await take('other', 5), true)
      assert.equal(await take('none', 0), false)
      await ledger.write(tx => tx.giveBudget('k'))
      assert.deepEqual([await take('k', 5), await take('k', 5)], [true, false])
      await ledger.write(async tx => {
        for (let n = 0; n < 9; n += 1) await tx.giveBudget('other')
        await tx.giveBudget('unheard of')
      })
      assert.deepEqual([await take('other', 1), await take('other', 1)], [true, false], 'never below nothing')
    },
  },
  {
    name: 'a budget past its time counts as forgotten, and its time is the latest that was asked for',
    async run({ ledger, setNow }) {
      const take = (until: number) => ledger.write(tx => tx.takeBudget('k', 2, until))
      assert.deepEqual(
        [await take(start + 9), await take(start + 5), await take(start + 9)],
        [true, true, false],
      )
      setNow(start + 8)
      assert.equal(await take(start + 9), false)
      await ledger.write(tx => tx.prune(10))
      assert.equal(await take(start + 9), false)
      setNow(start + 9)
      assert.deepEqual(
        [await take(start + 20), await take(start + 20), await take(start + 20)],
        [true, true, false],
      )
    },
  },
  {
    name: 'what is held counts as long as it is held, and never above the limit',
    async run({ ledger }) {
      const until = start + minute
      const hold = (holder: string, amount: number) =>
        ledger.write(tx => tx.holdBudget({ holder, key: 'k', amount, until: null }, 10, until))
      const held = await Promise.all(['a', 'b', 'c', 'd'].map(holder => hold(holder, 4)))
      assert.equal(held.filter(Boolean).length, 2)
      assert.deepEqual([await hold('e', 3), await hold('f', 2), await hold('g', 1)], [false, true, false])
      assert.deepEqual(
        [...(await ledger.read.budgets(['k', 'l']))].map(row => ({ ...row })),
        [{ key: 'k', used: 10, until }],
      )
      await ledger.write(tx => tx.cutHolds(['f', 'nobody'], start))
      await ledger.write(tx => tx.cutHolds(['f'], start))
      assert.deepEqual([await hold('h', 3), await hold('h', 2)], [false, true], 'given back once')
      assert.deepEqual(await ledger.read.budgets([]), [])
      assert.equal(
        await ledger.write(tx => tx.holdBudget({ holder: 'i', key: 'l', amount: 11, until }, 10, until)),
        false,
      )
      assert.deepEqual(await ledger.read.budgets(['l']), [], 'what does not fit is not counted')
    },
  },
  {
    name: 'of an amount in time the part is given back that lies beyond the cut, once',
    async run({ ledger, setNow }) {
      const ends = start + 40
      const hold = (holder: string, key: string) =>
        ledger.write(tx => tx.holdBudget({ holder, key, amount: 40, until: ends }, 100, start + minute))
      const used = async () =>
        Object.fromEntries((await ledger.read.budgets(['x', 'y'])).map(row => [row.key, row.used]))
      await hold('a', 'x')
      await hold('a', 'y')
      await hold('b', 'x')
      assert.deepEqual(await used(), { x: 80, y: 40 })
      await ledger.write(tx => tx.cutHolds(['a'], start + 30))
      assert.deepEqual(await used(), { x: 70, y: 30 })
      setNow(start + 10)
      await ledger.write(tx => tx.cutHolds(['a', 'b'], start + 10))
      assert.deepEqual(await used(), { x: 20, y: 10 })
      await ledger.write(tx => tx.cutHolds(['a', 'b'], start))
      assert.deepEqual(await used(), { x: 20, y: 10 }, 'nothing is held any more')
      await ledger.write(tx =>
        tx.holdBudget({ holder: 'c', key: 'y', amount: 5, until: start + 15 }, 100, ends),
      )
      setNow(start + 15)
      assert.equal(await ledger.write(tx => tx.prune(10)), 1)
      await ledger.write(tx => tx.cutHolds(['c'], start))
      assert.deepEqual(await used(), { x: 20, y: 15 }, 'what is past has nothing to give back')
    },
  },
  {
    name: 'pruning forgets what is past its time and nothing else, within its bound',
    async run({ ledger, setNow }) {
      await ledger.write(async tx => {
        for (const n of [1, 2, 3]) {
          await tx.useEvidence(evidence(`e${n}`))
          await tx.takeBudget(`b${n}`, 1, start + minute)
          await tx.insertTicket(ticket(`k${n}`))
        }
        await tx.useEvidence(evidence('kept', { until: start + 2 * minute }))
        await tx.insertTicket(ticket('kept', { expires_at: start + 2 * minute }))
      })
      assert.equal(await ledger.write(tx => tx.prune(100)), 0)
      setNow(start + minute)
      let gone = 0
      for (let round = 0; round < 5; round += 1) {
        const now = await ledger.write(tx => tx.prune(2))
        assert.ok(now <= 2)
        gone += now
      }
      assert.equal(gone, 9)
      assert.equal(await ledger.write(tx => tx.prune(2)), 0)
      assert.equal(await ledger.read.evidence('e1'), undefined)
      assert.equal(await ledger.read.ticket('k3'), undefined)
      assert.equal((await ledger.read.evidence('kept'))?.id, 'kept')
      assert.equal((await ledger.read.ticket('kept'))?.id, 'kept')
    },
  },
  {
    name: 'decisions and asks come back as they were put',
    async run({ ledger }) {
      await family(ledger)
      const deny = decision('no', { task: 'a', outcome: 'deny', reasons: '["wide"]', agent: null })
      await ledger.write(async tx => {
        await tx.insertDecision(deny)
        await tx.insertAsk(ask('later', 'a', { created_at: start + 1, state: 'denied' }))
        await tx.insertAsk(ask('earlier', 'a'))
        await tx.insertAsk(ask('elsewhere', 'b'))
      })
      assert.deepEqual({ ...(await ledger.read.decision('no')) }, deny)
      assert.deepEqual(ids(await ledger.read.asks('a')), ['earlier', 'later'])
      assert.deepEqual({ ...(await ledger.read.ask('earlier')) }, ask('earlier', 'a'))
      assert.deepEqual({ ...(await ledger.write(tx => tx.lockAsk('earlier'))) }, ask('earlier', 'a'))
      assert.equal(await ledger.write(tx => tx.lockAsk('nobody')), undefined)
      assert.equal(await ledger.read.decision('nobody'), undefined)
    },
  },
  {
    name: 'a signing key moves from the state it is in, and keeps what a move does not name',
    async run({ ledger }) {
      await ledger.write(async tx => {
        await tx.insertSigningKey(signingKey('k2', { created_at: start + 1 }))
        await tx.insertSigningKey(signingKey('k1'))
      })
      const move = { state: 'signing', signing_from: start + 5 } as const
      const both = await Promise.all(
        [1, 2].map(() => ledger.write(tx => tx.moveSigningKey('k1', 'next', move))),
      )
      assert.deepEqual(both.toSorted(), [false, true])
      const retire = { state: 'published', superseded_at: start + 6, retire_at: start + 7 } as const
      assert.equal(await ledger.write(tx => tx.moveSigningKey('k1', 'signing', retire)), true)
      assert.equal(await ledger.write(tx => tx.moveSigningKey('nobody', 'next', move)), false)
      const [k1, k2] = await ledger.read.signingKeys('task-jwt')
      assert.deepEqual({ ...k1 }, signingKey('k1', { ...retire, signing_from: start + 5 }))
      assert.deepEqual({ ...k2 }, signingKey('k2', { created_at: start + 1 }))
    },
  },
  {
    name: 'a new operator token replaces every earlier one',
    async run({ ledger }) {
      await ledger.write(tx => tx.replaceOperatorToken(operatorToken('old')))
      await ledger.write(tx => tx.replaceOperatorToken(operatorToken('new')))
      assert.equal(await ledger.read.operatorByToken('hash of old'), undefined)
      assert.deepEqual({ ...(await ledger.read.operatorByToken('hash of new')) }, operatorToken('new'))
    },
  },
  {
    name: 'a named value is set, and initialised once',
    async run({ ledger }) {
      const both = await Promise.all(['x', 'y'].map(value => ledger.write(tx => tx.initMeta('k', value))))
      assert.equal(both[0], both[1])
      assert.equal(await ledger.read.meta('k'), both[0])
      await ledger.write(tx => tx.setMeta('k', 'z'))
      await ledger.write(tx => tx.setMeta('other', 'o'))
      assert.equal(await ledger.write(tx => tx.initMeta('k', 'w')), 'z')
      assert.equal(await ledger.read.meta('other'), 'o')
      assert.equal(await ledger.read.meta('nobody'), undefined)
    },
  },
  {
    name: 'of several that put a named value in the place of the same one, one does',
    async run({ ledger }) {
      const swap = (from: string, to: string) => ledger.write(tx => tx.swapMeta('k', from, to))
      assert.equal(await swap('x', 'y'), false)
      await ledger.write(tx => tx.setMeta('k', 'x'))
      await ledger.write(tx => tx.setMeta('other', 'x'))
      const both = await Promise.all(['y', 'z'].map(to => swap('x', to)))
      assert.deepEqual(both.toSorted(), [false, true])
      assert.equal(await ledger.read.meta('k'), both[0] ? 'y' : 'z')
      assert.equal(await ledger.read.meta('other'), 'x')
    },
  },
]
