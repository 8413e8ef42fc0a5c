/**
 * `npm run test:simulation -- --seeds 1000 --from 1`: many histories, and what happened in them. With
 * `--planted`, each planted bug must be found within so many seeds; with `--seed N`, one history, told line by line.
 */
import { parseArgs } from 'node:util'
import type { Log } from '../../src/broker/broker.ts'
import { keepRealWorldOut } from './guard.ts'
import { planted } from './planted.ts'
import regressions from './regressions.json' with { type: 'json' }
import { simulate } from './simulate.ts'
import { createTally, everything } from './tally.ts'

const options = {
  seeds: { type: 'string', default: '1000' },
  from: { type: 'string', default: '1' },
  seed: { type: 'string' },
  planted: { type: 'boolean', default: false },
  only: { type: 'string' },
} as const

/** Fewer histories than this may well miss a rare edge. */
const ENOUGH_FOR_EVERYTHING = 500
/** Every so many seeds one is run again, and must be the same to the last event. */
const TWICE_EVERY = 50

const { values } = parseArgs({ options })
// The figures below are about the machine, which the histories know nothing of.
const wallClock = Date.now.bind(Date)
const say = (line: string) => process.stdout.write(`${line}\n`)
const startedAt = wallClock()
const [from, seeds] = [Number(values.from), Number(values.seeds)]
const letIn = keepRealWorldOut()
const ok =
  values.seed !== undefined
    ? await replay(Number(values.seed))
    : values.planted
      ? await findPlanted(values.only)
      : await explore()
letIn()
say(`${((wallClock() - startedAt) / 1_000).toFixed(1)} s`)
process.exitCode = ok ? 0 : 1

async function explore(): Promise<boolean> {
  const total = createTally()
  const list = [
    ...regressions.map(({ seed }) => seed),
    ...Array.from({ length: seeds }, (_, index) => from + index),
  ]
  let steps = 0
  for (const seed of list) {
    const history = await simulate(seed)
    if (history.failure !== undefined) return tell(seed, history.failure, history.hash)
    if (seed % TWICE_EVERY === 0 && (await simulate(seed)).hash !== history.hash)
      return tell(seed, new Error('the second run of this seed was another history'), history.hash)
    total.addAll(history.tally)
    steps += history.steps
  }
  for (const [name, count] of total.counts) say(`${String(count).padStart(9)}  ${name}`)
  say(`${list.length} seeds, ${steps} events`)
  const never = everything.filter(name => total.counts.get(name) === 0)
  if (never.length > 0) say(`never happened: ${never.join(', ')}`)
  return never.length === 0 || seeds < ENOUGH_FOR_EVERYTHING
}

function tell(seed: number, failure: Error, hash: string): false {
  say(`seed ${seed} failed, history ${hash}: ${failure.stack}`)
  say(`again, told line by line: npm run test:simulation -- --seed ${seed}`)
  say('when it is mended, keep it: test/simulation/regressions.json')
  return false
}

async function replay(seed: number): Promise<boolean> {
  const mutation = values.only === undefined ? undefined : planted.find(({ name }) => name === values.only)
  const print = (level: string) => (fields: object, message: string) =>
    say(
      `${level} ${message} ${JSON.stringify(fields, (_, value) => (value instanceof Error ? `${value.name}: ${value.message}` : value))}`,
    )
  const log: Log = { debug: print('debug'), info: print('info'), warn: print('warn'), error: print('error') }
  const { failure, hash, steps } = await simulate(seed, { log, ...(mutation && { mutation }) })
  say(`history ${hash}, ${steps} events`)
  if (failure === undefined) return true
  say(`${failure.stack}`)
  return false
}

async function findPlanted(only: string | undefined): Promise<boolean> {
  let ok = true
  for (const mutation of planted.filter(({ name }) => only === undefined || name === only)) {
    let found: string | undefined
    for (let seed = from; seed < from + seeds && found === undefined; seed += 1) {
      const { failure } = await simulate(seed, { mutation })
      if (failure !== undefined) found = `seed ${seed}: ${failure.message.split('\n')[0]}`
    }
    say(`${found === undefined ? 'NOT FOUND' : 'found'}  ${mutation.name}  ${found ?? ''}`)
    ok &&= found !== undefined
  }
  return ok
}
