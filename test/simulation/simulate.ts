/** One seed, one history: a storm, then calm, then whatever still waits. */
import type { Log } from '../../src/broker/broker.ts'
import { runClient } from './client.ts'
import { drillForSure } from './drills.ts'
import type { Mutation } from './mutation.ts'
import { people, runHuman } from './people.ts'
import { brewStorm, calm } from './storm.ts'
import type { Tally } from './tally.ts'
import { createWorld, type World } from './world.ts'

export type History = {
  seed: number
  /** Of everything that happened: two runs of one seed have the same. */
  hash: string
  steps: number
  tally: Tally
  failure: Error | undefined
}

const minute = 60_000
const LOOK_EVERY_MS = 20_000
/** Longer than any broker takes to come back and read its files. */
const NARROWED_MS = 1.5 * minute
/** Longer than any backoff, wait asked for, or document's propagation. */
const PROMPT_MS = 13 * minute
/** Longer than anything's `dead_by`. Mostly it is all over earlier. */
const SETTLED_MS = 50 * minute

export async function simulate(
  seed: number,
  options: { mutation?: Mutation; log?: Log } = {},
): Promise<History> {
  const world = createWorld({ seed, ...options })
  const { scheduler, tally } = world
  let failure: Error | undefined
  try {
    await live(world)
  } catch (error) {
    failure = error as Error
  }
  return { seed, hash: scheduler.historyHash(), steps: scheduler.steps(), tally, failure }
}

async function live(world: World): Promise<void> {
  const { scheduler, profile, oracle } = world
  const start = scheduler.now()

  // 1. The storm.
  brewStorm(world)
  const clients = Array.from({ length: profile.clients }, (_, index) =>
    runClient(world, `client-${index + 1}`),
  )
  const working = Promise.all([...clients, ...people.map(one => runHuman(world, one))])
  working.catch(error => oracle.fail(`a client failed: ${(error as Error).stack}`))
  await runOn(world, start + profile.stormMs)
  calm(world)

  // 2. The calm: nothing fails any more, and what can be ended is ended soon.
  await runOn(world, start + profile.stormMs + NARROWED_MS)
  oracle.lookNarrowed()
  await runOn(world, start + profile.stormMs + PROMPT_MS)
  oracle.lookPrompt()
  raise(world)

  // 3. What only time ends. One broker is enough.
  await scheduler.settle('a stopping broker', Promise.all(world.hosts.splice(1).map(host => host.stop())))
  await scheduler.settle('a drill', drillForSure(world))
  await runOn(world, start + profile.stormMs + SETTLED_MS, oracle.isSettled)
  oracle.lookSettled()
  raise(world)

  // 4. Nothing is left that waits for nobody.
  await scheduler.settle('a client', working)
  await scheduler.settle('the last broker', Promise.all(world.hosts.map(host => host.stop())))
  raise(world)
}

async function runOn({ scheduler, oracle }: World, until: number, isOver = () => false): Promise<void> {
  while (scheduler.now() < until && !isOver()) {
    await scheduler.runUntil(Math.min(until, scheduler.now() + LOOK_EVERY_MS), oracle.failure)
    oracle.look()
    const failed = oracle.failure()
    if (failed !== undefined) throw failed
  }
}

function raise({ oracle }: World): void {
  const failed = oracle.failure()
  if (failed !== undefined) throw failed
}
