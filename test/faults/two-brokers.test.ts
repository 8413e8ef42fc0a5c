/**
 * Two brokers and a PostgreSQL, each a process of its own, under a load from this third. Brokers are killed and
 * stopped, PostgreSQL is restarted, at random moments. At every blow what is alive at the providers is
 * outstanding in the ledger; when the blows are over, everything that ended is settled.
 *
 * MAYFLY_CHAOS_SECONDS (30 where CI is set, else 300) and MAYFLY_CHAOS_SEED choose the run. The seed fixes what
 * the blows are and how far apart; what they meet is up to the machine.
 */
import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { LeaseRow } from '../../src/store/rows.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { asks, type Installation } from '../fakes/installation.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'
import { expectAllEnds } from './all-ends.ts'
import { postgresBlow, type StandingBroker, standingBroker, strikeAtRandom } from './blows.ts'
import { failingOver } from './failing-over.ts'
import { type Load, runLoad } from './load.ts'
import { seededRandom } from './seeded-random.ts'
import { countsOf, liveCredentials, mintedTwice, unaccounted } from './truth.ts'

const SECONDS = Number(process.env.MAYFLY_CHAOS_SECONDS ?? (process.env.CI === undefined ? 300 : 30))
const SEED = Number(process.env.MAYFLY_CHAOS_SEED ?? randomInt(2 ** 31))
const WORKLOADS = 6
const LATENCY_MS = 25
/** Longer than the claims of whoever was killed last, and than the back-off of what failed meanwhile. */
const SETTLED_WITHIN_MS = 240_000

const missing = missingPostgres()
let installation: Installation
let postgres: TestPostgres
let database: string
const brokers: StandingBroker[] = []

describe.skipIf(missing !== undefined)(missing ?? 'two brokers on one PostgreSQL', () => {
  beforeAll(async () => {
    postgres = await startPostgres()
    ;({ installation, database } = await createSharedInstallation(postgres))
    for (const name of ['broker a', 'broker b'])
      brokers.push(await standingBroker(name, installation.configPath, { longPauses: SECONDS >= 120 }))
  })
  afterAll(async () => {
    for (const broker of brokers) await broker.end()
    await installation?.close()
    await postgres?.close()
  })

  test(`${SECONDS} seconds of blows (MAYFLY_CHAOS_SEED=${SEED}) leave nothing alive that is unknown`, async () => {
    slowProviders()
    // Five minutes of this load are more calls than GitHub allows in an hour; the blows are to meet mints.
    installation.github.limits = { appPerHour: 10_000_000, installationPerHour: 10_000_000 }
    const load: Load = { inHand: [], answered: new Set(), surprises: [], onAnswer: () => {} }
    const outages = new Map<string, number>()
    const stopLoad = startLoad(load, outages)

    const blows: string[] = []
    await strikeAtRandom([...brokers.flatMap(broker => broker.blows), postgresBlow(postgres)], {
      random: seededRandom(SEED),
      seconds: SECONDS,
      async onBlow(what) {
        blows.push(what)
        say(`blow ${blows.length}: ${what}; ${await expectKnown()}`)
      },
    })
    expect(brokers.flatMap(broker => broker.deaths)).toEqual([])
    await vi.waitFor(expectReady, { timeout: 30_000, interval: 100 })
    await stopLoad()
    say(
      `${load.answered.size} ids were answered; workloads met ${JSON.stringify(Object.fromEntries(outages))}`,
    )
    expect(load.surprises.slice(0, 20), `${load.surprises.length} surprises`).toEqual([])
    for (const kind of ['SIGKILL', 'SIGSTOP', 'PostgreSQL'])
      expect(blows.filter(what => what.startsWith(kind)).length, `blows of ${kind}`).toBeGreaterThan(0)

    await vi.waitFor(expectSettled, { timeout: SETTLED_WITHIN_MS, interval: 500 })
    await expectTruth()
    for (const broker of brokers) await broker.end()
    await expectEndsLater(load)
  })
})

/** Mints and revocations are under way for a while, so that blows meet them. */
function slowProviders(): void {
  for (const provider of [installation.github, installation.aws])
    provider.faults = async ({ when }): Promise<FaultDecision> => {
      if (when === 'before') await setTimeout(LATENCY_MS)
      return 'ok'
    }
}

/** @returns ends it, when what is under way has been answered */
function startLoad(load: Load, outages: Map<string, number>): () => Promise<void> {
  let isOver = false
  const random = seededRandom(SEED + 1)
  const post = failingOver({
    urls: () => brokers.map(broker => broker.url),
    isOver: () => isOver,
    onOutage: what => outages.set(what, (outages.get(what) ?? 0) + 1),
  })
  // Few AWS sessions: these cannot be ended here, and their tasks wait for the sessions' own expiry.
  const wanted = () => [
    ...[asks.api, asks.apiRead, asks.orders],
    ...(random() < 0.1 ? [asks.artifacts(installation.roleArn)] : []),
  ]
  const done = runLoad(post, installation, load, { workloads: WORKLOADS, random, wanted })
  return () => {
    isOver = true
    return done
  }
}

/** What was alive before the ledger was read and is so afterwards must have been outstanding in between. */
async function expectKnown(): Promise<string> {
  const before = new Set(liveCredentials(installation).map(one => one.lease))
  const leases = await leasesInLedger().catch((cause: Error) => cause)
  if (leases instanceof Error) return `PostgreSQL is away (${leases.message})`
  const live = liveCredentials(installation).filter(one => before.has(one.lease))
  expect(unaccounted(live, leases), 'live, and not outstanding').toEqual([])
  return `${countsOf(leases)}, ${live.length} alive at the providers`
}

async function expectReady(): Promise<void> {
  for (const { url } of brokers) expect((await fetch(`${url}/readyz`)).status).toBe(200)
}

/** What ended and is not settled holds only what nobody can end: it is over by the provider's own clock. */
async function expectSettled(): Promise<void> {
  const unsettled = await postgres.query<{ id: string }>(
    `select id from tasks where state = 'ended' and not exists (select 1 from leases where task = tasks.id
       and state <> 'closed' and (revocability = 'expiry_only' or secret_sha256 is null))`,
    database,
  )
  expect(unsettled.map(row => row.id)).toEqual([])
}

async function expectTruth(): Promise<void> {
  const waiting = await postgres.query<{ issuer: string; why: string; leases: string; until: string }>(
    `select issuer, case revocability when 'expiry_only' then revocability else 'unknown outcome' end as why,
       count(*) as leases, to_timestamp(max(coalesce(provider_expires_at, dead_by)) / 1000) as until
     from leases join tasks on tasks.id = leases.task
     where leases.state <> 'closed' and tasks.state = 'ended' group by 1, 2`,
    database,
  )
  say(`ended, and waiting for the provider's own clock: ${JSON.stringify(waiting)}`)
  say(`at the end: ${await expectKnown()}`)
  const over = await postgres.query<{ id: string }>(
    `select id from leases where closed_as in ('revoked', 'already_gone')`,
    database,
  )
  expect(over.length, 'credentials that were revoked').toBeGreaterThan(0)
  const revoked = new Set(over.map(row => row.id))
  expect(
    liveCredentials(installation).filter(one => revoked.has(one.lease)),
    'closed as revoked, and alive',
  ).toEqual([])
  expect(mintedTwice(installation), 'leases with more than one credential').toEqual([])
}

/** By a broker in this process, whose clock can be moved. */
async function expectEndsLater(load: Load): Promise<void> {
  const last = await startSharedBroker(installation)
  try {
    await expectAllEnds(installation, last, load)
  } finally {
    await last.stop()
  }
}

function leasesInLedger(): Promise<Pick<LeaseRow, 'id' | 'state' | 'secret_sha256'>[]> {
  return postgres.query('select id, state, secret_sha256 from leases', database)
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
