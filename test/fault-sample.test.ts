/** A sample of the loop in `test/faults/`, another one in every run: the whole of it is `npm run test:faults`. */
import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createInstallation, type Installation } from './fakes/installation.ts'
import { UPDATE, type WayName, wayNames } from './faults/fault-plan.ts'
import points from './faults/fault-points.json' with { type: 'json' }
import { runWithFault } from './faults/fault-run.ts'
import { seededRandom } from './faults/seeded-random.ts'

const RUNS = 20

/** How often the reaper looks at the ledger is not told here: two looks may become one on a busy machine. */
const isSteady = (way: WayName) => way !== 'a ledger read fails'

let installation: Installation
beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(() => installation?.close())

const seed = Number(process.env.MAYFLY_FAULT_SEED ?? randomInt(2 ** 31))

test(`faults drawn with MAYFLY_FAULT_SEED=${seed} leave no credential that the ledger does not know`, async () => {
  const { counts } = await runWithFault(installation)
  for (const way of wayNames.filter(isSteady)) {
    expect(counts[way], `${way}: fewer places than written down; ${UPDATE}`).toBeGreaterThanOrEqual(
      points[way],
    )
  }
  const all = wayNames.flatMap(way =>
    Array.from({ length: counts[way] }, (_, index) => ({ way, n: index + 1 })),
  )
  const random = seededRandom(seed)
  for (let run = 0; run < RUNS; run += 1) {
    const [fault] = all.splice(Math.floor(random() * all.length), 1)
    const name = `${fault!.way}, for the ${fault!.n}. time`
    const { struck } = await runWithFault(installation, fault).catch((cause: Error) => {
      throw new Error(`${name}: ${cause.message}`, { cause })
    })
    if (isSteady(fault!.way)) expect(struck, name).toBeDefined()
  }
}, 60_000)
