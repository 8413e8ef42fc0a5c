/** The simulated ledger is held to the contract of every store; its locks are shown below. */
import { describe, expect, test } from 'vitest'
import { agent, start, task } from '../conformance/store/subject.ts'
import { describeStore, type StoreSubject } from '../conformance/store.ts'
import { atOnce, createSimulatedLedger, type Line } from './ledger.ts'

describeStore('the simulated ledger', async (): Promise<StoreSubject> => {
  let clock = 0
  const store = createSimulatedLedger({ now: () => clock })
  let { ledger } = store.connect(atOnce)
  return {
    ledger,
    setNow(ms) {
      clock = ms
    },
    async reopen() {
      await ledger.close()
      ledger = store.connect(atOnce).ledger
      return ledger
    },
    close: () => ledger.close(),
  }
})

describe('two connections of the simulated ledger', () => {
  const setUp = async () => {
    const store = createSimulatedLedger({ now: () => start })
    const one = store.connect(atOnce)
    const two = store.connect(atOnce)
    await one.ledger.write(tx => tx.insertTask(task('t'), []))
    return { store, one, two }
  }

  test('see nothing of each other before a commit, and everything after it', async () => {
    const { one, two } = await setUp()
    const gate = Promise.withResolvers<void>()
    const writing = one.ledger.write(async tx => {
      await tx.putAgent(agent('a'))
      await gate.promise
    })
    expect(await two.ledger.read.agent('a')).toBeUndefined()
    gate.resolve()
    await writing
    expect((await two.ledger.read.agent('a'))?.name).toBe('a')
  })

  test('wait for a locked row, and look again at what it then is', async () => {
    const { one, two } = await setUp()
    const gate = Promise.withResolvers<void>()
    const ending = one.ledger.write(async tx => {
      await tx.endTasks(['t'], 'completed', null)
      await gate.promise
    })
    const beating = two.ledger.write(tx => tx.setHeartbeat('t', start))
    gate.resolve()
    await ending
    expect(await beating).toBe(false)
  })

  test('share a lock, and keep an update out until both are done', async () => {
    const { one, two, store } = await setUp()
    const gate = Promise.withResolvers<void>()
    const order: string[] = []
    const share = async (name: string, { ledger }: typeof one) => {
      await ledger.write(async tx => {
        await tx.lockLineage('t', 'share')
        await gate.promise
      })
      order.push(name)
    }
    const sharing = [share('one', one), share('two', two)]
    const ending = store
      .connect(atOnce)
      .ledger.write(tx => tx.lockDescent('t'))
      .then(() => order.push('end'))
    gate.resolve()
    await Promise.all([...sharing, ending])
    expect(order.at(-1)).toBe('end')
  })

  test('that wait for each other: one is taken back and runs again', async () => {
    const { one, two } = await setUp()
    await one.ledger.write(tx => tx.insertTask(task('u'), []))
    const ready = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const
    let runs = 0
    const crossing = async ({ ledger }: typeof one, mine: 0 | 1, ids: readonly [string, string]) =>
      ledger.write(async tx => {
        runs += 1
        await tx.lockLineage(ids[0], 'update')
        ready[mine].resolve()
        await ready[1 - mine]!.promise
        await tx.lockLineage(ids[1], 'update')
      })
    await Promise.all([crossing(one, 0, ['t', 'u']), crossing(two, 1, ['u', 't'])])
    expect(runs).toBe(3)
  })

  test('lose what they had not committed when they are cut, and their locks with it', async () => {
    const { one, two } = await setUp()
    const writing = one.ledger.write(async tx => {
      await tx.endTasks(['t'], 'failed', null)
      one.cut()
    })
    await expect(writing).rejects.toThrow('the connection was lost')
    expect((await two.ledger.write(tx => tx.endTasks(['t'], 'completed', null))).length).toBe(1)
  })

  test('are told that they were cut also while they wait for a row', async () => {
    const { one, two } = await setUp()
    const gate = Promise.withResolvers<void>()
    const holding = one.ledger.write(async tx => {
      await tx.lockDescent('t')
      await gate.promise
    })
    const waiting = two.ledger.write(tx => tx.lockDescent('t'))
    await Promise.resolve()
    setImmediate(() => two.cut())
    await expect(waiting).rejects.toThrow('the connection was lost')
    gate.resolve()
    await holding
  })

  test('may have committed what they were not told of', async () => {
    const { store, two } = await setUp()
    const losing: Line = { ...atOnce, fate: what => (what === 'commit' ? 'lost' : 'done') }
    const lost = store.connect(losing).ledger.write(tx => tx.putAgent(agent('a')))
    await expect(lost).rejects.toThrow('did not say')
    expect((await two.ledger.read.agent('a'))?.name).toBe('a')
  })
})
