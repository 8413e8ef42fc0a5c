/** Jobs that clients run in, and what brokers are told when they are over: late, twice, or never. */
import type { Work } from '../../attestors/attestor.ts'
import { endWork } from '../../src/broker/tasks/end-work.ts'
import { call } from './call.ts'
import { CI, type CiRun } from './ci.ts'
import type { Chance } from './random.ts'
import type { World } from './world.ts'

const second = 1_000

/** A job of a run of its own, of one that others work in, or of another attempt at one. */
export function newWork(world: World, chance: Chance): Work {
  const known = world.ci.all()
  const isShared = known.length > 0 && chance.hits(0.4)
  const run = isShared && chance.hits(0.7) ? chance.pick(known) : startRun(world, chance, isShared)
  const { repository, attempt, jobs } = run
  return { provider: CI, repository, run: run.run, attempt, job: chance.pick([...jobs.keys()]) }
}

function startRun(world: World, chance: Chance, isAgain: boolean): CiRun {
  const { scheduler, ci } = world
  const before = isAgain ? chance.pick(ci.all()) : undefined
  const names = chance.pick([['build'], ['build', 'test']])
  const jobs = names.map(name => {
    const outcome = chance.pick(['completed', 'failed', 'cancelled'] as const)
    return [name, { overAt: scheduler.now() + chance.between(5, 240) * second, outcome }] as const
  })
  const attempts = ci.all().filter(({ run }) => run === before?.run).length
  const run = {
    repository: before?.repository ?? chance.pick(['1', '2']),
    run: before?.run ?? String(world.nextNumber()),
    attempt: String(attempts + 1),
    jobs: new Map(jobs),
  }
  ci.start(run)
  for (const job of [...names, '']) tellOfEnd(world, chance, run, job)
  return run
}

function tellOfEnd(world: World, chance: Chance, run: CiRun, job: string): void {
  const { scheduler, clients, tally, ci } = world
  const { overAt, outcome } = ci.endOf(run, job)!
  if (chance.hits(0.4)) return void tally.fault('end of a job never told')
  const isLate = chance.hits(0.4)
  const isDouble = chance.hits(0.3)
  if (isLate) tally.fault('end of a job told late')
  if (isDouble) tally.fault('end of a job told twice')
  const { repository, attempt } = run
  const of = job === '' ? {} : { job }
  const end = { provider: CI, repository, run: run.run, attempt, ...of, outcome, said: outcome }
  const tell = () =>
    void call(world, chance, 'a webhook tells of an end', broker => endWork(broker, end, 'github-webhook'))
  const first = overAt - scheduler.now() + (isLate ? chance.between(30, 200) * second : 0)
  scheduler.after(clients, first, 'a job is over', tell)
  if (isDouble) scheduler.after(clients, first + chance.pick([0, 1, 5_000]), 'a job is over', tell)
}
