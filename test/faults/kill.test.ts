/**
 * A broker that is killed at random moments under load, and started again on the same ledger. What the
 * providers know and the ledger does not must be nothing, after every kill and after every start.
 *
 * MAYFLY_KILL_ROUNDS (5 where CI is set, else 50) and MAYFLY_KILL_SEED choose the run.
 */
import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { LeaseRow } from '../../src/store/rows.ts'
import type { FaultDecision, FaultHook } from '../fakes/faults.ts'
import { createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { expectAllEnds } from './all-ends.ts'
import { type BrokerProcess, spawnBroker } from './broker-process.ts'
import { type Load, oneOfEach, postTo, runLoad } from './load.ts'
import { seededRandom } from './seeded-random.ts'
import { countsOf, liveCredentials, unaccounted } from './truth.ts'

const ROUNDS = Number(process.env.MAYFLY_KILL_ROUNDS ?? (process.env.CI === undefined ? 50 : 5))
const SEED = Number(process.env.MAYFLY_KILL_SEED ?? randomInt(2 ** 31))
const WORKLOADS = 6
/** A kill comes at one of so many events: calls arriving at providers, their effects, and the broker's answers. */
const EVENTS = 150
const LATENCY_MS = 25
/** Well under the minute that a claim of the dead broker would have held. */
const RESTART_REVOKES_WITHIN_MS = 30_000

let installation: Installation
let broker: BrokerProcess | undefined
beforeAll(async () => {
  installation = await createInstallation()
})
afterAll(async () => {
  broker?.kill()
  await broker?.gone
  await installation?.close()
})

test(`killed ${ROUNDS} times (MAYFLY_KILL_SEED=${SEED}), the broker knows every live credential`, async () => {
  const random = seededRandom(SEED)
  const load: Load = { inHand: [], answered: new Set(), surprises: [], onAnswer: () => {} }
  const caughtInFlight = new Set<string>()
  for (let round = 1; round <= ROUNDS; round += 1) {
    broker = await spawnBroker(installation.configPath)
    if (round > 1) await expectRevoked()
    const moment = 1 + Math.floor(random() * EVENTS)
    const settled = killAt(moment, broker, load)
    const wanted = () => oneOfEach(installation)
    await runLoad(postTo(broker.url, load), installation, load, { workloads: WORKLOADS, random, wanted })
    await broker.gone
    await settled()
    const leases = leasesInFile()
    const intents = leases.filter(row => row.state === 'intended' && !caughtInFlight.has(row.id))
    for (const { id } of intents) caughtInFlight.add(id)
    const caught = `${intents.length} of the intents just now`
    process.stdout.write(`kill ${round} at event ${moment}: ${countsOf(leases)}; ${caught}\n`)
    expectKnown(leases, load)
  }
  expect(caughtInFlight.size, 'no run: never killed with a mint in flight').toBeGreaterThan(0)

  broker = await spawnBroker(installation.configPath)
  await expectRevoked()
  broker.kill()
  await broker.gone
  const last = await startBroker(installation)
  try {
    await expectAllEnds(installation, last, load)
  } finally {
    await last.stop()
  }
})

/** @returns waits until the calls that a dead broker had under way have had their effect */
function killAt(moment: number, { kill }: BrokerProcess, load: Load): () => Promise<void> {
  let events = 0
  let underWay = 0
  const event = () => {
    events += 1
    if (events === moment) kill()
  }
  const hook: FaultHook = async ({ when }): Promise<FaultDecision> => {
    underWay += when === 'before' ? 1 : -1
    event()
    if (when === 'before') await setTimeout(LATENCY_MS)
    return 'ok'
  }
  installation.github.faults = hook
  installation.aws.faults = hook
  load.onAnswer = event
  return () => vi.waitFor(() => expect(underWay).toBe(0), { timeout: 10_000, interval: 5 })
}

function expectKnown(leases: readonly LeaseRow[], load: Load): void {
  expect(load.surprises).toEqual([])
  expect(unaccounted(liveCredentials(installation), leases), 'live, and not outstanding').toEqual([])
  const known = new Set(leases.flatMap(({ id, task }) => [id, task]))
  const lost = [...load.answered].filter(id => id.startsWith('lse_') && !known.has(id))
  expect(lost, 'answered, and not in the ledger').toEqual([])
}

/** A started broker goes on where the dead one was: what it can revoke is revoked without waiting. */
async function expectRevoked(): Promise<void> {
  await vi.waitFor(
    () => {
      const open = leasesInFile().filter(row => row.state === 'revoking' && row.sealed_secret !== null)
      expect(open.map(row => `${row.id} ${row.last_error}`)).toEqual([])
    },
    { timeout: RESTART_REVOKES_WITHIN_MS, interval: 20 },
  )
  // The ledger first: what it shows closed must have been dead already.
  const leases = leasesInFile()
  expect(unaccounted(liveCredentials(installation), leases), 'live, and not outstanding').toEqual([])
}

function leasesInFile(): LeaseRow[] {
  const file = new DatabaseSync(join(installation.directory, 'data/mayfly.db'), {
    readOnly: true,
    timeout: 5_000,
  })
  try {
    // The columns of the table are those of the row.
    return file.prepare('select * from leases').all() as unknown as LeaseRow[]
  } finally {
    file.close()
  }
}
