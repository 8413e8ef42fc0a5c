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

let installation: Installation
beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(() => installation?.close())

test('a clean run has as many places for each fault as are written down', async () => {
  const { counts } = await runWithFault(installation)
  if (process.env.MAYFLY_WRITE_FAULT_POINTS !== undefined)
    await writeFile(POINTS, `${JSON.stringify(counts, null, 2)}\n`)
  expect(counts, UPDATE).toEqual(await writtenDown())
})

describe('wherever one thing fails, no credential is left that the ledger does not know', () => {
  test.for(wayNames)('%s', async way => {
    const atLeast = (await writtenDown())[way]
    for (let n = 1; ; n += 1) {
      const { struck } = await runWithFault(installation, { way, n }).catch((cause: Error) => {
        throw new Error(`${way}, for the ${n}. time: ${cause.message}`, { cause })
      })
      if (struck !== undefined) continue
      expect(n - 1, 'faults that struck').toBeGreaterThanOrEqual(atLeast)
      return
    }
  })
})

describe('wherever one thing fails while a broker starts for the first time, it or the next one starts', () => {
  const ways = wayNames.filter(way => WAYS[way].kind === 'file' || WAYS[way].kind.startsWith('ledger'))
  test.for(ways)('%s', async way => {
    const { counts } = await startWithFault(installation)
    expect(counts[way]).toBeGreaterThan(0)
    for (let n = 1; n <= counts[way]; n += 1) {
      const { struck } = await startWithFault(installation, { way, n })
      expect(struck, `${way}, for the ${n}. time`).toBeDefined()
    }
  })
})

async function writtenDown(): Promise<Record<WayName, number>> {
  return JSON.parse(await readFile(POINTS, 'utf8')) as Record<WayName, number>
}
