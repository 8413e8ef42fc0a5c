/**
 * Every outside call of the whole main job fails once, in every way it can. `fault-points.json` holds how
 * many places a clean run has for each way: a loop that found fewer would have tried less than it says.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createInstallation, type Installation } from '../fakes/installation.ts'
import { UPDATE, WAYS, type WayName, wayNames } from './fault-plan.ts'
import { runWithFault, startWithFault } from './fault-run.ts'

const POINTS = new URL('./fault-points.json', import.meta.url)

/** Two looks of the reaper may become one on a busy machine, and a run is then a few reads short. */
const TRIES = 3

/** Every so many places are struck: all of them by hand, some of them where minutes count. */
const STRIDE = Number(process.env.MAYFLY_FAULT_STRIDE ?? '1')

/** Places from one line of progress to the next. */
const TOLD_EVERY = 50

let installation: Installation
beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(() => installation?.close())

test('a clean run has no fewer places for any fault than are written down', async () => {
  const counts = await mostPlaces()
  if (process.env.MAYFLY_WRITE_FAULT_POINTS !== undefined)
    await writeFile(POINTS, `${JSON.stringify(counts, null, 2)}\n`)
  const known = await writtenDown()
  const fewer = wayNames.filter(way => counts[way] < known[way])
  expect(
    fewer.map(way => `${way}: ${counts[way]} places, ${known[way]} written down`),
    UPDATE,
  ).toEqual([])
  const more = wayNames.filter(way => counts[way] > known[way])
  if (more.length > 0) process.stdout.write(`more places than written down (${more.join(', ')}); ${UPDATE}\n`)
})

describe('wherever one thing fails, no credential is left that the ledger does not know', () => {
  test.for(wayNames)('%s', async way => {
    const atLeast = (await writtenDown())[way]
    let misses = 0
    let told = 0
    for (let n = 1; ; ) {
      const { struck } = await runWithFault(installation, { way, n }).catch((cause: Error) => {
        throw new Error(`${way}, for the ${n}. time: ${cause.message}`, { cause })
      })
      if (struck === undefined && n > atLeast) return
      if (struck === undefined) misses += 1
      else n += STRIDE
      if (Math.floor(n / TOLD_EVERY) > told) {
        told = Math.floor(n / TOLD_EVERY)
        process.stdout.write(`${way}: ${Math.min(n, atLeast)} of ${atLeast} places\n`)
      }
      expect(misses, `the ${n}. place was not there, ${atLeast} are written down`).toBeLessThan(TRIES)
    }
  })
})

describe('wherever one thing fails while a broker starts for the first time, it or the next one starts', () => {
  const ways = wayNames.filter(way => WAYS[way].kind === 'file' || WAYS[way].kind.startsWith('ledger'))
  test.for(ways)('%s', async way => {
    const { counts } = await startWithFault(installation)
    expect(counts[way]).toBeGreaterThan(0)
    for (let n = 1; n <= counts[way]; n += STRIDE) {
      const { struck } = await startWithFault(installation, { way, n })
      expect(struck, `${way}, for the ${n}. time`).toBeDefined()
    }
  })
})

async function mostPlaces(): Promise<Record<WayName, number>> {
  const runs: Readonly<Record<WayName, number>>[] = []
  for (let run = 0; run < TRIES; run += 1) runs.push((await runWithFault(installation)).counts)
  const most = wayNames.map(way => [way, Math.max(...runs.map(counts => counts[way]))])
  return Object.fromEntries(most) as Record<WayName, number>
}

async function writtenDown(): Promise<Record<WayName, number>> {
  return JSON.parse(await readFile(POINTS, 'utf8')) as Record<WayName, number>
}
