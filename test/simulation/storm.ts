/** What goes wrong at its own time, beside what goes wrong call by call. */
import { revokeLease } from '../../src/broker/credentials/revoke.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { call } from './call.ts'
import { askForDrill, comeToQuietHour } from './drills.ts'
import { otherFiles } from './files.ts'
import type { Host } from './host.ts'
import { applyTeam, offboard, standAgents } from './operators.ts'
import type { Chance } from './random.ts'
import { receivers } from './receivers.ts'
import type { World } from './world.ts'

const second = 1_000
const minute = 60 * second

/** Puts every fault of the profile at a moment of the storm. */
export function brewStorm(world: World): void {
  const { scheduler, profile, clients } = world
  const chance = world.chance.fork()
  const over = scheduler.now() + profile.stormMs
  const at = (count: number, label: string, run: () => void) => {
    for (let left = count; left > 0; left -= 1)
      scheduler.after(clients, moment(world, chance), label, () => {
        if (world.storm() !== undefined) run()
      })
  }
  at(profile.pauses, 'a broker stands still', () => void pauseOne(world, chance, over))
  at(profile.clockJumps, 'a clock jumps', () => {
    const host = chance.pick(world.hosts)
    host.clockAhead = chance.pick([-10 * minute, -90 * second, -second, 0, second, 90 * second, 10 * minute])
    world.tally.fault('broker clock jumped')
  })
  at(profile.cuts, 'a connection is cut', () => {
    chance.pick(world.hosts).connection.cut()
    world.tally.fault('ledger connection cut')
  })
  at(profile.ledgerOutages, 'the ledger goes', () => failLedger(world, chance.between(1, 150) * second))
  at(profile.providerOutages, 'a provider goes', () => {
    const provider = chance.pick(['hub', 'brief', 'roles'])
    world.network.setDown(provider, true)
    world.tally.fault('provider down')
    scheduler.after(clients, chance.between(5, 120) * second, `${provider} is back`, () =>
      world.network.setDown(provider, false),
    )
  })
  at(profile.webhookOutages, 'a webhook goes', () => {
    const webhook = chance.pick(receivers)
    world.network.setDown(webhook, true)
    world.tally.fault('webhook down')
    scheduler.after(clients, chance.between(5, 300) * second, `${webhook} is back`, () =>
      world.network.setDown(webhook, false),
    )
  })
  at(profile.webhookGoes, 'a webhook is gone', () => {
    const webhook = chance.pick(receivers)
    world.receivers.setGone(webhook, true)
    scheduler.after(clients, chance.between(20, 120) * second, `${webhook} was not gone`, () =>
      world.receivers.setGone(webhook, false),
    )
  })
  at(profile.reloads, 'files change', () => deploy(world, chance))
  at(profile.applies, 'a team registers', () => void applyTeam(world, chance))
  at(profile.incidents, 'an agent is looked into', () => void standAgents(world, chance))
  at(profile.offboards, 'an agent goes', () => void offboard(world, chance))
  at(profile.drills, 'an operator wants a drill', () => void askForDrill(world, chance))
  at(profile.quietHours, 'a quiet hour', () => comeToQuietHour(world, chance))
  at(profile.operatorEnds, 'an operator acts', () => void operate(world, chance))
}

/** Ms from now, anywhere in the storm; as often as not when everybody comes, a moment after the full minute. */
function moment({ scheduler, profile }: World, chance: Chance): number {
  const ms = chance.below(profile.stormMs)
  if (chance.hits(0.5)) return ms
  const intoMinute = (scheduler.now() + ms) % minute
  return ms - intoMinute + minute + chance.between(20, 600)
}

/** Everything works again, and stays so. */
export function calm(world: World): void {
  world.endStorm()
  world.setLedgerDown(false)
  closeOutage(world)
  for (const name of ['hub', 'brief', 'roles', ...receivers]) world.network.setDown(name, false)
  for (const webhook of receivers) world.receivers.setGone(webhook, false)
  // The operator brings everything up to date, mostly with something else, and with a version that nobody has had.
  const { version } = world.files
  const last = world.chance.hits(0.7) ? otherFiles(world.files, world.chance) : world.files
  world.files = { ...last, version: version + 1 }
  for (const host of world.hosts) {
    host.clockAhead = 0
    world.putOnDisk(host.name, world.files)
    reload(world, host.name, 0)
  }
}

/** The database takes a transaction back from whoever stands still inside it. */
async function pauseOne(world: World, chance: Chance, over: number): Promise<void> {
  const { scheduler, tally, clients } = world
  const host = await oneAtWork(world, chance)
  const ms = chance.pick([3, 12, 70, 100, 200, 300]) * second
  // Events that wait for it wait until then, whatever is said later.
  host.process.pausedUntil = Math.min(over, scheduler.now() + ms)
  tally.fault('broker paused')
  if (ms > minute) tally.fault('broker paused past its claim')
  if (ms > 10 * second)
    scheduler.after(clients, 10 * second, 'idle in transaction', () => host.connection.cut())
}

/** Mostly one that has something claimed, and is waited for: others may claim it meanwhile. */
async function oneAtWork(world: World, chance: Chance): Promise<Host> {
  const { scheduler, clients, oracle, ledger } = world
  for (let left = chance.hits(0.6) ? 30 : 0; left > 0 && world.storm() !== undefined; left -= 1) {
    const { attempts, claims } = oracle.facts
    const held = [...ledger.rows.leases.values()].filter(lease => lease.claimed_until !== null)
    const names = new Set([...attempts.values(), ...held.map(lease => claims.get(lease.id))])
    const busy = world.hosts.filter(host => names.has(host.name))
    if (busy.length > 0) return chance.pick(busy)
    await scheduler.wait(clients, chance.between(50, 1_500), 'somebody is at work')
  }
  return chance.pick(world.hosts)
}

function failLedger(world: World, ms: number): void {
  if (world.isLedgerDown()) return
  const { scheduler, oracle, tally, clients } = world
  world.setLedgerDown(true)
  tally.fault('ledger outage')
  for (const host of world.hosts) host.connection.cut()
  oracle.facts.outages.push({ from: scheduler.now(), to: Number.POSITIVE_INFINITY })
  scheduler.after(clients, ms, 'the ledger is back', () => {
    world.setLedgerDown(false)
    closeOutage(world)
  })
}

function closeOutage({ oracle, scheduler }: World): void {
  const last = oracle.facts.outages.at(-1)
  if (last !== undefined && last.to === Number.POSITIVE_INFINITY) last.to = scheduler.now()
}

/** Other files, at each broker at its own time: some read them when told, some find them, some never get them. */
function deploy(world: World, chance: Chance): void {
  const { scheduler, tally, clients } = world
  const before = world.files
  const next = otherFiles(before, chance)
  world.files = next
  if (next.agents !== 'wide') tally.fault('agents narrowed')
  if (next.policies !== before.policies) tally.fault('policies changed')
  for (const { name } of world.hosts)
    scheduler.after(clients, chance.between(0, 20_000), `files come to ${name}`, () => {
      // In the calm every host has newer ones.
      if (world.storm() === undefined) return
      if (chance.hits(0.1)) return tally.fault('files never come')
      world.putOnDisk(name, next)
      if (chance.hits(0.2)) return tally.fault('nobody tells a broker of its files')
      reload(world, name, chance.between(0, 5_000))
    })
}

function reload(world: World, name: string, inMs: number): void {
  const host = world.hosts.find(one => one.name === name)
  if (host !== undefined)
    world.scheduler.after(host.process, inMs, 'reloads', () => void host.reload().catch(() => {}))
}

async function operate(world: World, chance: Chance): Promise<void> {
  const { rows } = world.ledger
  const actor = 'operator:sim'
  const tasks = [...rows.tasks.values()].filter(task => task.state === 'active' && task.system === 0)
  const leases = [...rows.leases.values()].filter(lease => lease.state === 'active')
  const [task, lease] = [tasks.at(chance.below(tasks.length)), leases.at(chance.below(leases.length))]
  if (chance.hits(0.4) && lease !== undefined)
    await call(world, chance, 'operator revokes', broker => revokeLease(broker, lease, actor))
  else if (task !== undefined)
    await call(world, chance, 'operator ends', broker => endTask(broker, task.id, 'revoked', { actor }))
}
