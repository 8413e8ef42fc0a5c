/** Everything of one simulated history: brokers, clients, ledger, providers, and who watches over them. */
import type { Log } from '../../src/broker/broker.ts'
import { kekOf, type RootKey } from '../../src/keys/kek.ts'
import { type Ci, createCi } from './ci.ts'
import { type Files, firstFiles } from './files.ts'
import { type Host, startHost } from './host.ts'
import { createSimulatedLedger, type Line, type SimulatedLedger } from './ledger.ts'
import type { Mutation } from './mutation.ts'
import { createNetwork, type Network } from './network.ts'
import { createOracle, type Oracle } from './oracle.ts'
import { drawProfile, type Profile } from './profile.ts'
import { createProviders, type Providers } from './providers.ts'
import { type Chance, createChance } from './random.ts'
import { createReceivers, type Receivers } from './receivers.ts'
import { createScheduler, type Process, type Scheduler } from './scheduler.ts'
import { createTally, type FaultKind, type Tally } from './tally.ts'

export type World = {
  scheduler: Scheduler
  chance: Chance
  profile: Profile
  /** The profile while things go wrong; undefined afterwards. */
  storm: () => Profile | undefined
  tally: Tally
  ledger: SimulatedLedger
  lineOwners: Map<Line, string>
  providers: Providers
  network: Network
  receivers: Receivers
  ci: Ci
  oracle: Oracle
  root: RootKey
  mutation: Mutation | undefined
  log: Log | undefined
  /** The newest files there are. */
  files: Files
  /** What stands on a broker's disk. */
  diskOf: (host: string) => Files
  putOnDisk(host: string, files: Files): void
  hosts: Host[]
  clients: Process
  isLedgerDown: () => boolean
  setLedgerDown(isDown: boolean): void
  endStorm(): void
  /** Whether this fault strikes now; counted where it does. */
  strikes(kind: FaultKind, chance: Chance, rate: RateName): boolean
  crash(host: Host): void
  nextNumber(): number
}

type RateName = {
  [Name in keyof Profile]: Profile[Name] extends number ? Name : never
}[keyof Profile]

export type WorldOptions = { seed: number; mutation?: Mutation; log?: Log }

/** 2026, and some minutes before a full hour, where hourly budgets begin again. */
const START = 1_798_761_600_000

export function createWorld({ seed, mutation, log }: WorldOptions): World {
  const chance = createChance(seed)
  const profile = drawProfile(chance.fork())
  const scheduler = createScheduler(START - chance.between(1, 12) * 60_000)
  const tally = createTally()
  const people: Process = { name: 'clients', isGone: false, pausedUntil: 0 }
  const outside: Process = { name: 'world', isGone: false, pausedUntil: 0 }
  let isStorm = true
  let isLedgerDown = false
  let number = 0
  const first = firstFiles(chance.fork())
  const disks = new Map<string, Files>()
  const storm = () => (isStorm ? profile : undefined)

  const lineOwners = new Map<Line, string>()
  const providers = createProviders({
    now: scheduler.now,
    chance: chance.fork(),
    onMint: one => oracle.onMint(one),
  })
  const ci = createCi(scheduler.now)
  const receivers = createReceivers({
    now: scheduler.now,
    tally,
    onMessage: message => oracle.onMessage(message),
  })
  const ledger = createSimulatedLedger({
    now: scheduler.now,
    onCommit: (changes, by) => oracle.onCommit(changes, lineOwners.get(by) ?? 'nobody'),
  })
  const oracle: Oracle = createOracle({
    ...{ rows: ledger.rows, providers, receivers, ci, scheduler, tally },
    hostOf: name => world.hosts.find(host => host.name === name),
  })
  const network = createNetwork({ scheduler, chance: chance.fork(), tally, world: outside, profile: storm })

  const world: World = {
    ...{
      scheduler,
      chance,
      profile,
      storm,
      tally,
      ledger,
      lineOwners,
      providers,
      receivers,
      ci,
      network,
      oracle,
    },
    ...{ root: kekOf(chance.bytes(32)), mutation, log, files: first, hosts: [], clients: people },
    diskOf: host => disks.get(host) ?? first,
    putOnDisk: (host, files) => void disks.set(host, files),
    isLedgerDown: () => isLedgerDown,
    setLedgerDown(isDown) {
      isLedgerDown = isDown
    },
    endStorm() {
      isStorm = false
      oracle.facts.calmSince = scheduler.now()
    },
    strikes(kind, by, rate) {
      const isStruck = isStorm && by.hits(profile[rate])
      if (isStruck) tally.fault(kind)
      return isStruck
    },
    crash(host) {
      if (host.process.isGone) return
      host.process.isGone = true
      host.connection.cut()
      const again = isStorm ? chance.between(200, 40_000) : 100
      scheduler.after(outside, again, `${host.name} starts again`, () => {
        const place = world.hosts.indexOf(host)
        if (place >= 0) world.hosts[place] = startHost(world, host.name)
      })
    },
    nextNumber() {
      number += 1
      return number
    },
  }
  scheduler.beforeEach(owner => {
    const host = isStorm ? world.hosts.find(one => one.process === owner) : undefined
    if (host === undefined || !world.strikes('broker crashed', chance, 'crash')) return 'go'
    world.crash(host)
    return 'drop'
  })
  for (let index = 0; index < profile.brokers; index += 1)
    world.hosts.push(startHost(world, `broker-${index + 1}`))
  return world
}
