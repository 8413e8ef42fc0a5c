/** Blows at random moments against processes that must come back: each has one at a time, and they overlap. */
import { setTimeout } from 'node:timers/promises'
import type { TestPostgres } from '../support/postgres.ts'
import { type BrokerProcess, spawnBroker } from './broker-process.ts'

export type Blow = {
  /** Who gets it; one at a time. */
  target: object
  /** @returns what it will be, how it is dealt, and when whoever got it stands again */
  draw(random: () => number): { what: string; strike(): Promise<void> }
}

export type Plan = {
  random: () => number
  seconds: number
  /** Told of each blow just before it is dealt. */
  onBlow: (what: string) => Promise<void>
}

const GAP_MS = [300, 3_500] as const
const AWAY_MS = [50, 2_000] as const
const PAUSE_MS = [100, 8_000] as const
/** One pause in so many is longer than any claim holds: whoever wakes from it is past its fence. */
const LONG_PAUSE_EACH = 8
const LONG_PAUSE_MS = 70_000

/** Every blow once, in any order, and again. Resolves when the time is over and all of them stand again. */
export async function strikeAtRandom(
  blows: readonly Blow[],
  { random, seconds, onBlow }: Plan,
): Promise<void> {
  const recovering = new Map<object, Promise<void>>()
  const until = performance.now() + seconds * 1_000
  for (let deck = shuffled(blows, random); performance.now() < until; ) {
    await setTimeout(between(GAP_MS, random))
    const blow = deck.find(({ target }) => !recovering.has(target))
    if (blow === undefined) continue
    deck = deck.length === 1 ? shuffled(blows, random) : deck.filter(other => other !== blow)
    const { what, strike } = blow.draw(random)
    await onBlow(what)
    const recovery = strike().then(() => void recovering.delete(blow.target))
    // Who does not stand again is left in the map, and told at the end of all.
    recovery.catch(() => {})
    recovering.set(blow.target, recovery)
  }
  await Promise.all(recovering.values())
}

export type StandingBroker = {
  /** Where it is, or was until its last blow. */
  readonly url: string
  end(): Promise<void>
  /** The last words of each time that it ended without having been told to. Must be empty. */
  readonly deaths: readonly string[]
  readonly blows: readonly Blow[]
}

/** Killed and started again, or stopped for a while. `longPauses`: now and then for longer than a claim holds. */
export async function standingBroker(
  name: string,
  configPath: string,
  { longPauses }: { longPauses: boolean },
): Promise<StandingBroker> {
  const broker = { process: await spawnBroker(configPath) }
  const deaths: string[] = []
  let isMeant = false
  const watch = () =>
    void broker.process.gone.then(() => isMeant || deaths.push(`${name}\n${broker.process.lastWords()}`))
  watch()
  async function end(): Promise<void> {
    isMeant = true
    broker.process.kill()
    await broker.process.gone
  }
  const kill: Blow['draw'] = random => {
    const awayMs = between(AWAY_MS, random)
    return {
      what: `SIGKILL ${name}, started again ${awayMs} ms later`,
      async strike() {
        await end()
        await setTimeout(awayMs)
        broker.process = await spawnPatiently(configPath)
        isMeant = false
        watch()
      },
    }
  }
  const pause: Blow['draw'] = random => {
    const isLong = longPauses && random() * LONG_PAUSE_EACH < 1
    const pausedMs = isLong ? LONG_PAUSE_MS : between(PAUSE_MS, random)
    return {
      what: `SIGSTOP ${name}, SIGCONT ${pausedMs} ms later`,
      async strike() {
        broker.process.pause()
        await setTimeout(pausedMs)
        broker.process.resume()
      },
    }
  }
  return {
    get url() {
      return broker.process.url
    },
    end,
    deaths,
    blows: [kill, pause].map(draw => ({ target: broker, draw })),
  }
}

/** A broker whose ledger is away does not start: whoever runs it starts it again. */
async function spawnPatiently(configPath: string): Promise<BrokerProcess> {
  for (;;) {
    try {
      return await spawnBroker(configPath)
    } catch (error) {
      if (!isOutage(error as Error)) throw error
    }
  }
}

const isOutage = ({ message }: Error) => /mayfly: the ledger .*(unavailable|not known)/.test(message)

/** Stopped with every connection cut, and started again. */
export function postgresBlow({ stop, start }: Pick<TestPostgres, 'stop' | 'start'>): Blow {
  return {
    target: start,
    draw(random) {
      const awayMs = between(AWAY_MS, random)
      return {
        what: `PostgreSQL stops, started again ${awayMs} ms later`,
        async strike() {
          await stop()
          await setTimeout(awayMs)
          await start()
        },
      }
    },
  }
}

function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  return items
    .map(item => ({ item, at: random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item)
}

function between([from, to]: readonly [number, number], random: () => number): number {
  return Math.round(from + (to - from) * random())
}
