/** One broker process: the real use cases over simulated surroundings, as `src/server.ts` puts them together. */

import type { Broker, Log } from '../../src/broker/broker.ts'
import { createReaper, type Reaper } from '../../src/broker/credentials/reaper.ts'
import { createHeldMemory } from '../../src/broker/held-memory.ts'
import { noPeople } from '../../src/broker/people/people.ts'
import type { Drills } from '../../src/broker/proof/drills.ts'
import { createQueues } from '../../src/broker/queues.ts'
import { noWaits } from '../../src/broker/waits.ts'
import type { Schedule } from '../../src/broker/wake-loop.ts'
import { newId } from '../../src/keys/ids.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { newToken } from '../../src/keys/tokens.ts'
import { noMetrics } from '../../src/metrics.ts'
import { createPoll, type PollOptions } from '../../src/observers/poll-runs.ts'
import { createWatch, type Watch } from '../../src/observers/watch.ts'
import type { FileSet } from '../../src/registry/files.ts'
import { createInstalled } from '../../src/registry/installed.ts'
import { createRegistry, keepFollowing, type LiveRegistry } from '../../src/registry/registry.ts'
import { noTrace } from '../../src/trace.ts'
import { simulatedAttestor } from './attestor.ts'
import { SIM_BUDGETS } from './budgets.ts'
import { simulatedDrills } from './drills.ts'
import { readFiles, simSettings } from './files.ts'
import { simulatedIssuers } from './issuers.ts'
import type { Connection, Line } from './ledger.ts'
import { POLL_MS, SIM_LIMITS } from './limits.ts'
import { noTypes, simulatedPolicies } from './policies.ts'
import { openProof, type Proof } from './proof.ts'
import { toldOfApprovals, toldOfEnds } from './receivers.ts'
import type { Process } from './scheduler.ts'
import { claimsOf, FAKE, fakeSignature } from './signature.ts'
import type { World } from './world.ts'

export type Host = {
  name: string
  process: Process
  broker: Broker
  registry: LiveRegistry
  drills: Drills
  /** Digests of the files that it may judge by: those it has, and all that it was given or looked at since. */
  files: ReadonlySet<string>
  connection: Connection
  /** Virtual ms by which its clock is ahead. */
  clockAhead: number
  isReady: boolean
  reload(): Promise<void>
  stop(): Promise<void>
}

const CALLS_AT_ONE_MOMENT = 500

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** Starts a process and its boot; it is ready when it says so, or gone. */
export function startHost(world: World, name: string): Host {
  const { scheduler, mutation } = world
  const process: Process = { name, isGone: false, pausedUntil: 0 }
  const chance = world.chance.fork()
  const line = lineOf(world, process, chance)
  const connection = world.ledger.connect(line)
  world.lineOwners.set(line, name)
  const ledger = mutation?.ledger?.(connection.ledger, world) ?? connection.ledger
  const now = () => scheduler.now() + host.clockAhead
  const random = (size: number) => chance.bytes(size)
  const schedule: Schedule = (ms, run) => scheduler.after(process, ms, 'timer', run)

  let parts:
    | { reaper: Reaper; watch: Watch; poll: Watch; proof: Proof; stopFollowing: () => Promise<void> }
    | undefined
  const opened = {
    attestors: new Map([['sim', simulatedAttestor(now)]]),
    issuers: simulatedIssuers({
      ...{ process, now, network: world.network, providers: world.providers, chance, sign: fakeSignature },
      ci: world.ci,
      holdUntil: () =>
        world.strikes('provider wants to be left alone', chance, 'providerHolds')
          ? scheduler.now() + chance.between(1, 60) * 1_000
          : undefined,
      isWider: () => world.strikes('provider answers wider', chance, 'providerWider'),
      isLie: () => world.strikes('provider revokes nothing and says it did', chance, 'providerLies'),
    }),
    issuerDigests: new Map<string, string>(),
  }
  const installed = createInstalled({ settings: simSettings, opened, ...noTypes })
  const { install: _, resourceServers: __, ...live } = installed
  const policies = simulatedPolicies({
    travel: () => travelToJudge(world, process, chance),
    isBroken: () => world.strikes('policy cannot be judged', chance, 'policyFails'),
  })
  const plain: Broker = {
    ledger,
    keyring: createKeyring({ root: world.root, random }),
    log: world.log ?? silent,
    metrics: noMetrics,
    trace: noTrace,
    limits: SIM_LIMITS,
    lifeCycle: { unusedDays: 90, certify: false },
    leaks: { quarantine: 'always' },
    defaults: {
      taskMinutes: 5,
      ...(world.profile.checkInMinutes > 0 && {
        checkIn: { tiers: ['medium'], minutes: world.profile.checkInMinutes },
      }),
    },
    now,
    ...live,
    budgets: SIM_BUDGETS,
    policy: policies.engine,
    people: noPeople,
    heldMemory: createHeldMemory(),
    verifiedAgents: new Map(),
    verifyTaskJwt: token => (token.endsWith(FAKE) ? claimsOf(token) : undefined),
    newId: prefix => newId(prefix, Math.floor(now()), random),
    newToken: kind => newToken(kind, Math.floor(now()), random),
    jitter: chance.uniform,
    queues: createQueues(schedule, SIM_LIMITS.turnWaitMs),
    reloaded: () => registry.follow(),
    waits: noWaits,
    outbox: { webhooks: toldOfApprovals, ending: toldOfEnds, wake: () => parts?.proof.tell() },
    wake: () => parts?.reaper.wake(),
    settled: () => parts?.proof.settled(),
  }
  const broker: Broker = { ...plain, ...mutation?.broker?.(plain, world) }

  const registry = createRegistry(broker, {
    ...{ settings: simSettings, opened, installed, policies, ...noTypes },
    isAlone: world.profile.brokers === 1,
    wait: ms => new Promise<void>(resolve => void schedule(ms, resolve)),
  })
  const drills = simulatedDrills(world, process, broker, schedule)
  const files: string[] = []

  async function boot(): Promise<void> {
    await use(readFiles(world.diskOf(name)))
    registry.readFilesBy(async () => {
      const read = readFiles(world.diskOf(name))
      files.push(read.digest)
      return read
    })
    const stopFollowing = keepFollowing(broker, registry, schedule)
    const reaper = createReaper(broker, mutation?.reaperSchedule?.(schedule) ?? schedule)
    const watch = createWatch(broker, schedule)
    const poll = createPoll(broker, schedule, pollOf(broker))
    const proof = openProof(world, process, broker, schedule)
    parts = { reaper, watch, poll, proof, stopFollowing }
    await watch.look()
    reaper.wake()
    proof.settled()
    proof.tell()
    host.isReady = true
  }

  async function use(read: FileSet): Promise<void> {
    files.push(read.digest)
    const outcome = await registry.use(read)
    // In turn: what came before is no longer what it has.
    files.splice(0, files.indexOf(read.digest))
    if (!outcome.inForce) world.tally.fault('files are left behind')
  }

  const host: Host = {
    name,
    process,
    broker,
    registry,
    drills,
    get files() {
      return new Set(files)
    },
    connection,
    clockAhead: 0,
    isReady: false,
    reload: () => use(readFiles(world.diskOf(name))),
    async stop() {
      await drills.stop()
      await parts?.stopFollowing()
      await parts?.poll.stop()
      await parts?.watch.stop()
      await parts?.reaper.stop()
      await parts?.proof.stop()
    },
  }
  boot().catch(() => world.crash(host))
  return host
}

function pollOf({ issuers }: Broker): PollOptions {
  // The one issuer whose provider runs work, too.
  return { issuer: 'hub', watch: issuers.get('hub')!.watch!, everyMs: POLL_MS }
}

/** To the thread where policies are judged, and back. */
function travelToJudge(world: World, process: Process, chance: World['chance']): Promise<void> | undefined {
  const storm = world.storm()
  if (storm === undefined || !chance.hits(storm.statementWaits)) return undefined
  return world.scheduler.wait(process, chance.between(1, chance.hits(0.1) ? 1_000 : 20), 'policy is judged')
}

function lineOf(world: World, process: Process, chance: World['chance']): Line {
  const { scheduler } = world
  let calls = 0
  return {
    travel(what) {
      const storm = world.storm()
      calls += 1
      // Nobody goes round and round at one moment for ever.
      if (calls % CALLS_AT_ONE_MOMENT === 0) return scheduler.wait(process, 1, `ledger ${what}`)
      if (storm === undefined) return undefined
      const isLong = what === 'commit' || what === 'committed'
      if (!chance.hits(isLong ? 0.5 : storm.statementWaits)) return undefined
      return scheduler.wait(process, chance.between(1, chance.hits(0.05) ? 2_000 : 30), `ledger ${what}`)
    },
    resume: run => void scheduler.after(process, 0, 'ledger lock granted', run),
    fate(what) {
      if (world.isLedgerDown()) return 'refused'
      if (what !== 'commit')
        return world.strikes('ledger call lost', chance, 'ledgerLost') ? 'refused' : 'done'
      if (world.strikes('ledger transaction taken back', chance, 'takenBack')) return 'again'
      if (world.strikes('ledger commit refused', chance, 'commitRefused')) return 'refused'
      return world.strikes('ledger commit not told', chance, 'commitUntold') ? 'lost' : 'done'
    },
  }
}
