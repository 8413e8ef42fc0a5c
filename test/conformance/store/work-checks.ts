/** The CI work that tasks belong to: binding, ends, the memory of ends, and the race between an end and an open. */
import assert from 'node:assert/strict'
import type { Ledger, LedgerWrite, NewWorkEnd } from '../../../src/store/ledger.ts'
import type { TaskWorkRow } from '../../../src/store/rows.ts'
import { minute, type StoreCheck, start, task } from './subject.ts'

const RUN = 'github.com/1/100/1'
const until = start + 60 * minute

const work = (of: string, over: Partial<TaskWorkRow> = {}): TaskWorkRow => ({
  task: of,
  run_key: RUN,
  job: '7',
  lifetime: 'job',
  work: `{"of":"${of}"}`,
  ...over,
})
const end = (over: Partial<NewWorkEnd> = {}): NewWorkEnd => ({
  run_key: RUN,
  job: '7',
  end: 'completed',
  source: 'github-webhook',
  until,
  ...over,
})

/** What an open does: enter the work, and where it has not ended, insert the task. */
async function open(tx: LedgerWrite, id: string): Promise<boolean> {
  if ((await tx.enterWork(RUN, ['', '7'], until)) !== undefined) return false
  await tx.insertTask(task(id), [])
  await tx.bindTask(work(id))
  return true
}

async function bound(ledger: Ledger): Promise<void> {
  await ledger.write(async tx => {
    for (const id of ['a', 'b', 'c']) await tx.insertTask(task(id), [])
    await tx.bindTask(work('a'))
    await tx.bindTask(work('b', { job: '8', lifetime: 'run' }))
    await tx.bindTask(work('c', { run_key: 'github.com/1/100/2', lifetime: 'step' }))
  })
}

const tasksOf = async (ledger: Ledger, runKey = RUN, job = '') =>
  (await ledger.read.tasksOfWork(runKey, job, 10)).map(row => row.task)

export const workChecks: StoreCheck[] = [
  {
    name: 'a task is found by the run it belongs to, and by no other attempt',
    async run({ ledger }) {
      await bound(ledger)
      assert.deepEqual({ ...(await ledger.read.taskWork('b')) }, work('b', { job: '8', lifetime: 'run' }))
      assert.equal(await ledger.read.taskWork('nobody'), undefined)
      assert.deepEqual(await tasksOf(ledger), ['a', 'b'])
      assert.deepEqual(await tasksOf(ledger, 'github.com/1/100/2'), ['c'])
      assert.deepEqual(await tasksOf(ledger, 'github.com/1/100'), [])
      assert.deepEqual(await tasksOf(ledger, RUN, '7'), ['a'])
      assert.deepEqual(await tasksOf(ledger, RUN, '8'), [], 'it lives as long as the run')
      assert.deepEqual(await tasksOf(ledger, 'github.com/1/100/2', '7'), ['c'], 'the job ends a step, too')
      assert.equal((await ledger.read.tasksOfWork(RUN, '', 1)).length, 1)
    },
  },
  {
    name: 'runs with active tasks are listed once, from key to key',
    async run({ ledger }) {
      await bound(ledger)
      const [first] = await ledger.read.activeRuns('', 1)
      assert.deepEqual({ ...first }, { run_key: RUN, work: '{"of":"a"}' })
      const others = await ledger.read.activeRuns(RUN, 9)
      assert.deepEqual(
        others.map(row => row.run_key),
        ['github.com/1/100/2'],
      )
      assert.deepEqual(await ledger.read.activeRuns('github.com/1/100/2', 9), [])
    },
  },
  {
    name: 'a task that ended belongs to no work any more, however it ended',
    async run({ ledger }) {
      await bound(ledger)
      await ledger.write(tx => tx.endTasks(['a', 'b'], 'completed', null))
      assert.deepEqual(await tasksOf(ledger), [])
      assert.equal(await ledger.read.taskWork('a'), undefined)
      assert.equal((await ledger.read.activeRuns('', 9)).length, 1)
    },
  },
  {
    name: 'the first end of a job is the one that is remembered',
    async run({ ledger, setNow }) {
      assert.equal(await ledger.write(tx => tx.endWork(end())), true)
      setNow(start + 5)
      assert.equal(await ledger.write(tx => tx.endWork(end({ end: 'failed' }))), false)
      const [pending, ...more] = await ledger.read.pendingWorkEnds(9)
      assert.deepEqual(more, [])
      assert.deepEqual({ ...pending }, { ...end(), ended_at: start, pending: 1 })
    },
  },
  {
    name: 'work that ended is not entered: the job, its whole run, and no other attempt',
    async run({ ledger, setNow }) {
      await ledger.write(tx => tx.endWork(end()))
      const enter = (runKey: string, jobs: string[]) => ledger.write(tx => tx.enterWork(runKey, jobs, until))
      assert.equal((await enter(RUN, ['', '7']))?.job, '7')
      assert.equal(await enter(RUN, ['', '8']), undefined)
      assert.equal(await enter('github.com/1/100/2', ['', '7']), undefined)
      setNow(start + 9)
      assert.equal(await ledger.write(tx => tx.endWork(end({ job: '', end: 'failed' }))), true)
      const ended = await enter(RUN, ['', '8'])
      assert.deepEqual([ended?.job, ended?.end, ended?.ended_at], ['', 'failed', start + 9])
    },
  },
  {
    name: 'an end that comes at the same time as an open reaches the task, or keeps it from being opened',
    async run({ ledger }) {
      for (let round = 0; round < 10; round += 1) {
        const id = `t${round}`
        const run = `${RUN}/${round}`
        const [opened] = await Promise.all([
          ledger.write(async tx => {
            if ((await tx.enterWork(run, ['', '7'], until)) !== undefined) return false
            await tx.insertTask(task(id), [])
            await tx.bindTask(work(id, { run_key: run }))
            return true
          }),
          ledger.write(tx => tx.endWork(end({ run_key: run }))),
        ])
        assert.deepEqual(await tasksOf(ledger, run), opened ? [id] : [])
        assert.equal(await ledger.write(tx => tx.endWork(end({ run_key: run }))), false)
      }
    },
  },
  {
    name: 'an end stays pending until it is said to be done, and is done once',
    async run({ ledger, setNow }) {
      await ledger.write(tx => tx.endWork(end()))
      setNow(start + 1)
      await ledger.write(tx => tx.endWork(end({ job: '8' })))
      const jobs = async () => (await ledger.read.pendingWorkEnds(9)).map(row => row.job)
      assert.deepEqual(await jobs(), ['7', '8'])
      assert.equal((await ledger.read.pendingWorkEnds(1)).length, 1)
      assert.equal(await ledger.write(tx => tx.settleWork(RUN, '7')), true)
      assert.equal(await ledger.write(tx => tx.settleWork(RUN, '7')), false)
      assert.equal(await ledger.write(tx => tx.settleWork(RUN, 'other')), false)
      assert.deepEqual(await jobs(), ['8'])
      assert.equal(await ledger.write(tx => open(tx, 't')), false, 'done is not forgotten')
    },
  },
  {
    name: 'an end is remembered as long as it was asked for at the most, and while it is pending',
    async run({ ledger, setNow }) {
      await ledger.write(tx => tx.enterWork(RUN, ['7'], start + 90 * minute))
      await ledger.write(tx => tx.endWork(end()))
      await ledger.write(tx => tx.endWork(end({ job: 'pending' })))
      await ledger.write(tx => tx.settleWork(RUN, '7'))
      const ended = (job: string) => ledger.write(tx => tx.enterWork(RUN, [job], start))
      setNow(start + 60 * minute)
      assert.equal(await ledger.write(tx => tx.prune(10)), 0)
      assert.equal((await ended('7'))?.end, 'completed')
      setNow(start + 90 * minute)
      assert.equal(await ledger.write(tx => tx.prune(10)), 1)
      assert.equal((await ended('pending'))?.end, 'completed')
      assert.equal(await ended('7'), undefined)
    },
  },
]
