/** Drills: by the calendar of each broker, and whenever an operator asks. Brokers find out how they went. */
import type { Broker } from '../../src/broker/broker.ts'
import type { DrillSettings } from '../../src/broker/proof/drill.ts'
import { createDrills, type Drills } from '../../src/broker/proof/drills.ts'
import type { Schedule } from '../../src/broker/wake-loop.ts'
import { call, type Reply } from './call.ts'
import { ORDERS } from './issuers.ts'
import type { Profile } from './profile.ts'
import type { Chance } from './random.ts'
import type { Process } from './scheduler.ts'
import type { World } from './world.ts'

/** By issuer. `brief` is looked at through a resource server, the others through their provider or introspection. */
export function drillSettings({ canaryRole }: Profile): ReadonlyMap<string, DrillSettings> {
  return new Map<string, DrillSettings>([
    ['hub', { ask: { items: ['a'] }, daily: true }],
    ['brief', { ask: { items: ['a'] }, through: 'https://resources.sim/ping', daily: true }],
    ['roles', { ask: { role: canaryRole, items: ['a'] }, daily: false }],
    ['jwt', { ask: { audience: ORDERS, scopes: ['read'] }, daily: true }],
  ])
}

export function simulatedDrills(world: World, process: Process, broker: Broker, schedule: Schedule): Drills {
  const { network, providers, profile } = world
  return createDrills(broker, {
    schedule,
    settings: () => drillSettings(profile),
    async fetch(_, init) {
      const secret = new Headers(init?.headers).get('authorization')?.slice('Bearer '.length) ?? ''
      const use = () => providers.use(secret)
      const seen = await network.call(process, 'brief', 'use', use, { isRepeatable: true })
      return new Response(null, { status: seen === 'allowed' ? 200 : 401 })
    },
  })
}

/** An operator wants to know, and sometimes another one at the same time. */
export async function askForDrill(world: World, chance: Chance): Promise<void> {
  const issuer = chance.pick([...drillSettings(world.profile).keys()])
  const isDouble = chance.hits(0.3)
  if (isDouble) world.tally.fault('a drill is asked for twice')
  await Promise.all([ask(world, chance, issuer), isDouble ? ask(world, chance, issuer) : undefined])
}

/** Those that must go well once nothing fails: what ends by spreading may spread too late for its canary. */
export const sureDrills = ['hub', 'brief', 'jwt'] as const

export async function drillForSure(world: World): Promise<void> {
  const chance = world.chance.fork()
  await Promise.all(sureDrills.map(issuer => ask(world, chance, issuer)))
}

function ask(world: World, chance: Chance, issuer: string): Promise<Reply<unknown>> {
  return call(world, chance, `an operator drills ${issuer}`, (_, { drills }) =>
    drills.start(issuer, 'operator:sim'),
  )
}

/** The quiet hour comes to every broker, to some a moment later. */
export function comeToQuietHour({ hosts, scheduler }: World, chance: Chance): void {
  for (const { process, drills } of hosts)
    scheduler.after(process, chance.pick([0, 0, 20, 2_000]), 'the quiet hour', () => {
      // What stopped short is told in the log, and is up to the next day.
      drills.daily().catch(() => {})
    })
}
