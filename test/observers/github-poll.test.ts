import { afterEach, describe, expect, test } from 'vitest'
import type { Log } from '../../src/broker/broker.ts'
import { secondaryRateLimit } from '../fakes/github/answer.ts'
import { asks } from '../fakes/installation.ts'
import { createStage, type Stage } from './github-stage.ts'

const EVERY = 60_000
let stage: Stage
afterEach(() => stage?.close())

const observers = {
  github_webhooks: { secret_file: 'hook-secret' },
  github_poll: { issuer: 'github', every_seconds: EVERY / 1_000 },
}
const polled = async (log?: Log) => {
  stage = await createStage({ settings: { observers } }, log)
}

type Answered = { status: number; headers: Record<string, string>; body: string }

/** Counts GitHub's operations, and may answer in its place. */
function watchCalls(answer: (operation: string) => Answered | 'drop' | 'ok') {
  const calls: string[] = []
  stage.installation.github.faults = ({ operation, when }) => {
    if (when === 'after') return 'ok'
    calls.push(operation)
    return answer(operation)
  }
  return (operation: string) => calls.filter(one => one === operation).length
}

const JOBS = 'actions/list-jobs-for-workflow-run-attempt'
const RUN = 'actions/get-workflow-run-attempt'
const MINT = 'apps/create-installation-access-token'

async function nextPass(): Promise<void> {
  stage.installation.clock.advance(EVERY)
  await stage.broker.look()
}

const aliveTokens = () => stage.installation.github.credentials().filter(one => one.alive)

describe('where no webhook comes, the poller', () => {
  test.each([
    ['success', 'completed'],
    ['failure', 'failed'],
    ['cancelled', 'cancelled'],
  ] as const)('ends the task of a job that was a %s as %s', async (conclusion, end) => {
    await polled()
    const job = stage.newJob()
    const task = await stage.open(job, [asks.api])
    await stage.api.credential(task)
    await nextPass()
    expect(await stage.state(task)).toBe('active')
    stage.installation.github.setJob(job.job, { conclusion })
    await nextPass()
    expect((await stage.api.until(task, 'settled')).body).toMatchObject({
      end,
      end_detail: `its job ${job.job} has ended: seen by asking`,
      credentials: [{ closed_as: 'revoked' }],
    })
    await stage.broker.look()
    expect(aliveTokens()).toEqual([])
    expect((await stage.tryOpen(job)).body.code).toBe('evidence_rejected')
  })

  test('asks once for each run, however many tasks it has, and only about runs with tasks', async () => {
    await polled()
    const [first, second, idle] = [stage.newJob(), stage.newJob(), stage.newJob()]
    const tasks = [await stage.open(first), await stage.open(first), await stage.open(stage.sibling(first))]
    await stage.open(second)
    const count = watchCalls(() => 'ok')
    stage.installation.github.setJob(idle.job, { conclusion: 'success' })
    stage.installation.github.setJob(first.job, { conclusion: 'success' })
    await nextPass()
    expect([count(JOBS), count(RUN), count(MINT)]).toEqual([2, 0, 1])
    expect(await Promise.all(tasks.map(stage.state))).toEqual(['completed', 'completed', 'active'])
    await stage.broker.look()
    expect(count(JOBS)).toBe(2)
    await nextPass()
    expect(count(JOBS)).toBe(4)
  })

  test('asks about the run itself for tasks that live as long as it does', async () => {
    await polled()
    const job = stage.newJob()
    const task = await stage.open(job, [], { lifetime: 'run' })
    const unnamed = await stage.api.open([], {
      evidence: await stage.evidence(job, { check_run_id: undefined }),
    })
    const count = watchCalls(() => 'ok')
    stage.installation.github.setJob(job.job, { conclusion: 'success' })
    await nextPass()
    expect([count(JOBS), count(RUN), await stage.state(task)]).toEqual([0, 1, 'active'])
    stage.installation.github.endRun(job.run, { conclusion: 'timed_out' })
    await nextPass()
    expect([await stage.state(task), await stage.state(unnamed)]).toEqual(['failed', 'failed'])
  })

  test('reads a run of more jobs than fit on a page', async () => {
    await polled()
    const job = stage.newJob()
    const jobs = Array.from({ length: 150 }, () => stage.sibling(job))
    const task = await stage.open(jobs.at(-1)!)
    stage.installation.github.setJob(jobs.at(-1)!.job, { conclusion: 'failure' })
    await nextPass()
    expect(await stage.state(task)).toBe('failed')
  })

  test('and a webhook at the same moment end a task once', async () => {
    await polled()
    const job = stage.newJob()
    const task = await stage.open(job)
    stage.installation.github.setJob(job.job, { conclusion: 'success' })
    stage.installation.clock.advance(EVERY)
    await Promise.all([stage.broker.look(), stage.send(stage.told(job)), stage.send(stage.told(job))])
    const { items } = await stage.broker.broker.ledger.read.audit({ task: task.id }, { limit: 50 })
    expect(items.filter(row => row.event === 'task.ended')).toHaveLength(1)
    expect(await stage.state(task)).toBe('completed')
  })

  test('waits as long as GitHub says, and goes on afterwards', async () => {
    await polled()
    const job = stage.newJob()
    const task = await stage.open(job)
    stage.installation.github.setJob(job.job, { conclusion: 'success' })
    let limited = true
    const count = watchCalls(operation => (limited && operation === JOBS ? secondaryRateLimit(300) : 'ok'))
    await nextPass()
    limited = false
    await nextPass()
    expect([count(JOBS), await stage.state(task)]).toEqual([1, 'active'])
    stage.installation.clock.advance(300_000)
    await stage.broker.look()
    expect([count(JOBS), await stage.state(task)]).toEqual([2, 'completed'])
  })

  test('leaves the last quarter of the rate limit to the tasks', async () => {
    await polled()
    const jobs = [stage.newJob(), stage.newJob(), stage.newJob()]
    for (const job of jobs) await stage.open(job)
    const count = watchCalls(() => 'ok')
    // Three looks and a revocation, a pass; from the second pass's first look on, less than a quarter is left.
    stage.installation.github.limits = { installationPerHour: 6 }
    await nextPass()
    expect(count(JOBS)).toBe(3)
    for (const _ of [2, 3, 4]) {
      await nextPass()
      expect(count(JOBS)).toBe(4)
    }
    stage.installation.clock.advance(3_600_000)
    for (const job of jobs) await stage.open(job)
    await nextPass()
    expect(count(JOBS)).toBe(7)
  })

  test.each(['drop', 'refuse'] as const)('lives through an outage of GitHub (%s)', async how => {
    const alarms: unknown[] = []
    await polled({ debug() {}, info() {}, error() {}, warn: fields => void alarms.push(fields.alarm) })
    const job = stage.newJob()
    const task = await stage.open(job)
    stage.installation.github.setJob(job.job, { conclusion: 'success' })
    watchCalls(operation => {
      if (operation !== JOBS) return 'ok'
      return how === 'drop' ? 'drop' : { status: 502, headers: {}, body: 'bad gateway' }
    })
    await nextPass()
    expect([await stage.state(task), alarms]).toEqual(['active', ['poll_failed']])
    watchCalls(() => 'ok')
    await nextPass()
    expect(await stage.state(task)).toBe('completed')
    await stage.broker.look()
    expect(aliveTokens()).toEqual([])
  })

  test('says so where the App may not read Actions', async () => {
    const alarms: unknown[] = []
    await polled({ debug() {}, info() {}, error() {}, warn: fields => void alarms.push(fields.alarm) })
    stage.installation.github.changeInstallation(77, { permissions: { contents: 'write' } })
    const task = await stage.open(stage.newJob())
    await nextPass()
    expect([await stage.state(task), alarms]).toEqual(['active', ['poll_failed']])
  })
})
