/** Operators: they suspend agents and let them go on, let one go for good, and register what a team wants. */

import { changeStanding } from '../../src/broker/agents/agent-standing.ts'
import type { StandingVerb } from '../../src/broker/agents/agent-transitions.ts'
import type { Operator } from '../../src/broker/people/operator.ts'
import { applyPlan } from '../../src/registry/apply.ts'
import { planSet } from '../../src/registry/plan.ts'
import type { WantedSet } from '../../src/registry/wanted.ts'
import { call } from './call.ts'
import { TEAM } from './files.ts'
import { guards } from './policies.ts'
import type { Chance } from './random.ts'
import { agentsInLine } from './registered.ts'
import type { World } from './world.ts'

const second = 1_000
const platform: Operator = {
  ...{ id: 'https://idp.sim#pia', name: 'Pia', groups: ['platform'], kind: 'human', fresh: true },
}
const agents = ['builder', 'builder', 'helper'] as const

/** One look into an agent: it is held up, perhaps more or less than at first, and mostly goes on in the end. */
export async function standAgents(world: World, chance: Chance): Promise<void> {
  const { scheduler, clients } = world
  const agent = await suspect(world, chance)
  await order(world, chance, agent, chance.pick(['suspend', 'quarantine', 'quarantine']))
  for (let left = chance.between(0, 2); left > 0; left -= 1) {
    await scheduler.wait(clients, chance.between(1, 40) * second, 'an agent is looked into')
    await order(world, chance, agent, chance.pick(['suspend', 'quarantine', 'activate']))
  }
  if (chance.hits(0.2)) return
  await scheduler.wait(clients, chance.between(1, 60) * second, 'an agent was looked into')
  await order(world, chance, agent, 'activate')
}

/** Mostly one below which somebody may do more than read: it is waited for. */
async function suspect(world: World, chance: Chance): Promise<string> {
  const { scheduler, clients, ledger } = world
  const { rows } = ledger
  for (let left = chance.hits(0.7) ? 15 : 0; left > 0 && world.storm() !== undefined; left -= 1) {
    const above = [...rows.leases.values()]
      .filter(lease => lease.state === 'active' && lease.phase !== 'read')
      .flatMap(lease => {
        const own = rows.tasks.get(lease.task)?.agent
        return [...agentsInLine(rows, lease.task)].filter(name => name !== own)
      })
    if (above.length > 0) return chance.pick(above)
    await scheduler.wait(clients, chance.between(3, 12) * second, 'somebody is suspected')
  }
  return chance.pick(agents)
}

/** Mostly it was held up before. */
export async function offboard(world: World, chance: Chance): Promise<void> {
  const agent = chance.pick(agents)
  if (chance.hits(0.7)) await order(world, chance, agent, chance.pick(['suspend', 'quarantine']))
  await order(world, chance, agent, 'offboard')
}

/** Said again where the answer was lost. */
async function order(world: World, chance: Chance, agent: string, verb: StandingVerb): Promise<void> {
  const said = { agent, verb, reason: 'a simulation', cause: 'operator' } as const
  const mayWiden = verb === 'activate' || chance.hits(0.5)
  for (let left = 3; left > 0; left -= 1) {
    const reply = await call(world, chance, `operator: ${verb} ${agent}`, broker =>
      changeStanding(broker, { ...said, mayWiden }, 'operator:sim'),
    )
    if (reply.is === 'answer' || (reply.is === 'refusal' && reply.code !== 'ledger_unavailable')) return
  }
}

/** A policy of the team, another one, or none: what every broker then judges by, without new files. */
export async function applyTeam(world: World, chance: Chance): Promise<void> {
  const name = `${TEAM}.guard`
  const text = JSON.stringify(chance.pick(guards))
  const hasOne = [...world.ledger.rows.resources.values()].some(
    row => row.name === name && row.current === 1 && row.state === 'registered',
  )
  const isGone = hasOne && chance.hits(0.5)
  const document = { kind: 'policy', name, text }
  const set: WantedSet = {
    documents: isGone ? [] : [{ source: 'guard.json', text: JSON.stringify(document) }],
    ...{ remove: [], prune: isGone ? [TEAM] : [], secrets: [] },
  }
  await call(
    world,
    chance,
    'a team applies a plan',
    async (broker, { registry }) => {
      const planned = await planSet(broker, registry.options, set)
      const application = { set, reason: 'a simulation', plan: planned.plan }
      return applyPlan(broker, registry, platform, { application, planned })
    },
    () => world.tally.fault('a team registered a policy'),
  )
}
