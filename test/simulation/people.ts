/**
 * Humans: they answer what agents ask for, late or twice, agree beforehand, and look after tasks. That they signed
 * in for exactly that has tests of its own.
 */
import { approve, deny } from '../../src/broker/approvals/answer-approval.ts'
import {
  openPreapproval,
  planPreapproval,
  revokePreapproval,
} from '../../src/broker/approvals/preapprovals.ts'
import { actorOf, type Operator } from '../../src/broker/people/operator.ts'
import { checkIn } from '../../src/broker/tasks/check-in.ts'
import type { ApprovalRow } from '../../src/store/rows.ts'
import { call, type Reply } from './call.ts'
import type { Chance } from './random.ts'
import type { World } from './world.ts'

const second = 1_000

const human = (name: string, groups: string[]): Operator => ({
  ...{ id: `https://idp.sim#${name.toLowerCase()}`, name, groups, kind: 'human', fresh: true },
})

/** Eva is of the team that owns every agent; the last one is a token, which nobody is. */
export const people: readonly Operator[] = [
  human('Ann', ['security']),
  human('Ben', ['platform']),
  human('Cem', ['security', 'platform']),
  human('Dot', []),
  human('Eva', ['security', 'product@acme.test']),
  { id: 'token:ops', name: 'ops', groups: [], kind: 'token' },
]

export async function runHuman(world: World, who: Operator): Promise<void> {
  const { scheduler, clients, ledger } = world
  const chance = world.chance.fork()
  const rest = (ms: number) => scheduler.wait(clients, ms, `${who.name} rests`)
  while (world.storm() !== undefined) {
    await rest(chance.between(4, 40) * second)
    const pending = [...ledger.rows.approvals.values()].filter(row => row.state === 'pending')
    const one = pending[chance.below(pending.length)]
    if (chance.hits(0.25)) await lookAfter(world, chance, who)
    if (chance.hits(0.08)) await agreeBeforehand(world, chance, who)
    if (one === undefined) continue
    if (chance.hits(0.05)) {
      await rest(Math.max(0, one.expires_at - scheduler.now()) + chance.between(-2, 3) * second)
      world.tally.fault('a human answers late')
    }
    await answer(world, chance, who, one)
  }
}

async function answer(world: World, chance: Chance, who: Operator, row: ApprovalRow): Promise<void> {
  const once = () => {
    const verb = chance.hits(0.08) ? deny : approve
    return call(world, chance, `${who.name} answers`, broker => verb(broker, who, row.id, 'a simulation'))
  }
  const twice = chance.hits(0.15)
  if (twice) world.tally.fault('a human answers twice')
  const [reply] = await Promise.all([once(), twice ? once() : undefined])
  if (isLost(reply)) await once()
}

const isLost = (reply: Reply<unknown>) =>
  reply.is === 'lost' || (reply.is === 'refusal' && reply.code === 'ledger_unavailable')

async function lookAfter(world: World, chance: Chance, who: Operator): Promise<void> {
  const { rows } = world.ledger
  const waiting = [...rows.check_ins.keys()].filter(task => rows.tasks.get(task)?.state === 'active')
  if (waiting.length === 0) return
  const task = chance.pick(waiting)
  const due = rows.check_ins.get(task)?.due_at ?? 0
  // At the last moment: somebody else may be looking whether it has passed.
  if (chance.hits(0.7)) {
    const last = Math.max(0, due - world.scheduler.now() - chance.between(0, 150))
    await world.scheduler.wait(world.clients, last, `${who.name} waits`)
  }
  await call(world, chance, `${who.name} checks in`, broker => checkIn(broker, actorOf(who), task))
}

async function agreeBeforehand(world: World, chance: Chance, who: Operator): Promise<void> {
  const open = [...world.ledger.rows.preapprovals.values()].filter(row => row.revoked_at === null)
  if (open.length > 2) {
    const { id } = chance.pick(open)
    const take = (broker: Parameters<typeof revokePreapproval>[0]) =>
      revokePreapproval(broker, actorOf(who), id)
    await call(world, chance, `${who.name} takes a window back`, take)
    return
  }
  const wanted = chance.pick([
    { issuer: 'hub', ask: { items: ['a', 'b'] } },
    { issuer: 'roles', ask: { role: 'deploy', items: ['a'] } },
  ])
  const order = {
    ...{ agent: 'builder', wanted, minutes: chance.between(1, 5), uses: chance.between(1, 2) },
    reason: 'a simulation',
  }
  await call(world, chance, `${who.name} opens a window`, async broker =>
    openPreapproval(broker, who, await planPreapproval(broker, order)),
  )
}
