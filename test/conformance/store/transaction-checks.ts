import assert from 'node:assert/strict'
import { LedgerUnavailable } from '../../../src/store/ledger.ts'
import { activeLease, agent, family, holding, type StoreCheck, start, task } from './subject.ts'

class Refused extends Error {}

export const transactionChecks: StoreCheck[] = [
  {
    name: 'a body is answered with what it returned, and sees what it wrote',
    async run({ ledger }) {
      const seen = await ledger.write(async tx => {
        await tx.putAgent(agent('a'))
        return (await tx.lockAgent('a', 'share'))?.name
      })
      assert.equal(seen, 'a')
    },
  },
  {
    name: 'a body that throws leaves nothing, and its own error comes back',
    async run({ ledger }) {
      await family(ledger)
      const body = ledger.write(async tx => {
        await tx.putAgent(agent('a'))
        await tx.takeBudget('k', 1, start + 1)
        await tx.endTasks(['a'], 'failed', null)
        await tx.appendAudit({
          event: 'x',
          actor: 'broker',
          task: null,
          agent: null,
          lease: null,
          data: '{}',
        })
        throw new Refused('no')
      })
      await assert.rejects(body, Refused)
      assert.equal(await ledger.read.agent('a'), undefined)
      assert.equal((await ledger.read.task('a'))?.state, 'active')
      assert.deepEqual((await ledger.read.audit({}, { limit: 9 })).items, [])
      assert.equal(await ledger.write(tx => tx.takeBudget('k', 1, start + 1)), true)
    },
  },
  {
    name: 'of bodies that run together each fails or succeeds by itself',
    async run({ ledger }) {
      const names = Array.from({ length: 30 }, (_, index) => `agent-${index}`)
      const results = await Promise.allSettled(
        names.map((name, index) =>
          ledger.write(async tx => {
            await tx.putAgent(agent(name))
            if (index % 3 === 0) throw new Refused(name)
          }),
        ),
      )
      for (const [index, name] of names.entries()) {
        const failed = index % 3 === 0
        assert.equal(results[index]?.status, failed ? 'rejected' : 'fulfilled', name)
        assert.equal((await ledger.read.agent(name)) === undefined, failed, name)
      }
    },
  },
  {
    name: 'a row that is there already fails its body only, and not as an outage',
    async run({ ledger }) {
      await family(ledger)
      const [twice, beside] = await Promise.allSettled([
        ledger.write(async tx => {
          await tx.putAgent(agent('lost'))
          await tx.insertTask(task('a'), [])
        }),
        ledger.write(tx => tx.putAgent(agent('kept'))),
      ])
      assert.equal(twice.status, 'rejected')
      assert.ok(!(twice.reason instanceof LedgerUnavailable))
      assert.equal(beside.status, 'fulfilled')
      assert.equal(await ledger.read.agent('lost'), undefined)
      assert.equal((await ledger.read.agent('kept'))?.name, 'kept')
    },
  },
  {
    name: 'a read never sees what is not committed',
    async run({ ledger }) {
      const reads: Promise<unknown>[] = []
      const body = ledger.write(async tx => {
        await tx.putAgent(agent('a'))
        // Asked during the body and not awaited by it: answered before its end or after, there is no such row.
        for (let time = 0; time < 5; time += 1) {
          reads.push(ledger.read.agent('a'))
          await tx.lockAgent('a', 'update')
        }
        throw new Refused('no')
      })
      await assert.rejects(body, Refused)
      assert.deepEqual(new Set(await Promise.all(reads)), new Set([undefined]))
    },
  },
  {
    name: 'what was answered is there after the ledger is opened again',
    async run({ ledger, reopen }) {
      await holding(ledger, activeLease('l', 't'))
      await ledger.write(tx => tx.setMeta('k', 'v'))
      const again = await reopen()
      assert.deepEqual({ ...(await again.read.task('t')) }, task('t'))
      assert.deepEqual({ ...(await again.read.lease('l')) }, activeLease('l', 't'))
      assert.equal(await again.write(tx => tx.initMeta('k', 'other')), 'v')
    },
  },
  {
    name: 'the clock is the ledger’s, and stands still within a body',
    async run({ ledger, setNow }) {
      setNow(start + 77)
      assert.equal(await ledger.now(), start + 77)
      const [before, after] = await ledger.write(async tx => {
        const first = tx.now
        await tx.setMeta('k', 'v')
        setNow(start + 99)
        return [first, tx.now]
      })
      assert.deepEqual([before, after], [start + 77, start + 77])
    },
  },
  {
    name: 'a closed ledger is unavailable, and finishes what it had taken',
    async run({ ledger, reopen }) {
      const taken = ledger.write(tx => tx.setMeta('k', 'taken'))
      const again = await reopen()
      await taken
      assert.equal(await again.read.meta('k'), 'taken')
      await assert.rejects(
        ledger.write(async () => 1),
        LedgerUnavailable,
      )
      await assert.rejects(ledger.read.meta('k'), LedgerUnavailable)
      await assert.rejects(ledger.now(), LedgerUnavailable)
    },
  },
]
