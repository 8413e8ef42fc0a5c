/** Workloads: they open tasks, ask, beat, extend, hand out tickets, end, or fall silent; and retry what was lost. */
import type { Work } from '../../attestors/attestor.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import { authenticateTask } from '../../src/broker/authenticate.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { type CredentialRequest, requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import type { Credential } from '../../src/broker/credentials/issue-credential.ts'
import type { WantedAsk } from '../../src/broker/credentials/resolve-asks.ts'
import { revokePresented } from '../../src/broker/credentials/revoke.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import { extendTask } from '../../src/broker/tasks/extend-task.ts'
import { heartbeat } from '../../src/broker/tasks/heartbeat.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import { openTicket } from '../../src/broker/tasks/open-ticket.ts'
import type { TaskRow } from '../../src/store/rows.ts'
import { evidenceOf } from './attestor.ts'
import { call, type Reply } from './call.ts'
import { ORDERS } from './issuers.ts'
import { newWork } from './jobs.ts'
import type { Chance } from './random.ts'
import type { World } from './world.ts'

const minute = 60_000

type Session = {
  id: string
  agent: string
  token: string
  /** Grows with what humans are asked for. */
  asks: string[]
  heartbeatMs: number | null
  depth: number
}
type Client = { world: World; chance: Chance; name: string }

export async function runClient(world: World, name: string): Promise<void> {
  const client = { world, chance: world.chance.fork(), name }
  while (world.storm() !== undefined) {
    await (client.chance.hits(0.4) ? rush(client) : rest(client, client.chance.between(0, 30_000)))
    const work = client.chance.hits(0.3) ? newWork(world, client.chance) : undefined
    const task = await open(client, client.chance.pick(['builder', 'builder', 'helper']), undefined, 0, {
      work,
    })
    if (task !== undefined) await workOn(client, task)
  }
  // A last one is left to its job, whose end perhaps nobody tells.
  if (client.chance.hits(0.5))
    await open(client, 'builder', undefined, 0, { work: newWork(world, client.chance), minutes: 8 })
}

/** Everybody comes at once, at the full minute: what schedules do. */
function rush(client: Client): Promise<void> {
  return rest(client, minute - (client.world.scheduler.now() % minute))
}

function rest({ world, name }: Client, ms: number): Promise<void> {
  return world.scheduler.wait(world.clients, ms, `${name} rests`)
}

/** What may be asked at all, and sometimes more than that. */
function someAsk(chance: Chance): WantedAsk {
  const items = chance.pick([['a'], ['a', 'b'], ['b', 'c'], ['c'], ['a', 'z']])
  switch (chance.below(7)) {
    case 0:
      return { issuer: 'jwt', ask: { audience: ORDERS, scopes: chance.pick([['read'], ['read', 'write']]) } }
    case 1:
      return { issuer: 'roles', ask: { role: chance.pick(['deploy', 'deploy', 'chain']), items: ['a'] } }
    case 2:
      return { issuer: 'roles', ask: { role: 'deploy', items: ['a', 'b'] } }
    case 3:
      return {
        issuer: chance.pick(['hub', 'brief']),
        ask: { items: chance.hits(0.4) ? ['forbidden'] : items },
      }
    case 4:
      return { issuer: 'brief', ask: { items: ['a'] } }
    default:
      return { issuer: 'hub', ask: { items } }
  }
}

/** Modest, so that opening mostly succeeds. */
const modestAsk = (chance: Chance): WantedAsk =>
  chance.hits(0.2)
    ? someAsk(chance)
    : chance.pick([
        { issuer: 'hub', ask: { items: ['a'] } },
        { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['read'] } },
      ])

async function open(
  client: Client,
  agent: string,
  ticket: Secret | undefined,
  depth: number,
  { work, ask, minutes }: { work?: Work | undefined; ask?: WantedAsk; minutes?: number } = {},
): Promise<Session | undefined> {
  const { world, chance } = client
  const until = world.scheduler.now() + 10 * minute
  const evidence = evidenceOf({
    id: `evidence-${world.nextNumber()}`,
    kind: agent,
    until,
    ...(work && { work }),
  })
  const request = {
    ...{ evidence, purpose: 'a simulation', mintFirst: chance.hits(ticket === undefined ? 0.4 : 0.7) },
    ...{ minutes: minutes ?? chance.between(1, 9), asks: [ask ?? modestAsk(chance)] },
    ...(ticket && { ticket }),
    ...(work && chance.hits(0.25) && { lifetime: 'run' as const }),
  }
  const attempt = () =>
    call(
      world,
      chance,
      `${client.name} opens`,
      broker => openTask(broker, request),
      opened => answered(world, opened.credential),
    )
  const twice = chance.hits(0.1)
  if (twice) world.tally.fault('client asks twice at once')
  const [reply, beside] = await Promise.all([attempt(), twice ? attempt() : undefined])
  let last: Reply<OpenedTask> = reply
  if (last.is !== 'answer' && beside?.is === 'answer') last = beside
  for (let retry = 0; retry < 3 && last.is !== 'answer' && mayRetry(last); retry += 1) {
    await rest(client, chance.between(500, 50_000))
    last = await attempt()
  }
  if (last.is !== 'answer') return undefined
  const { task, token, asks } = last.value
  const session = {
    id: task.id,
    agent,
    token: token.reveal(),
    asks: asks.map(ask => ask.id),
    heartbeatMs: task.heartbeat_ms,
    depth,
  }
  if (chance.hits(0.1)) await replay(client, attempt, session)
  return session
}

/** The evidence again, after the task's token was used: nothing may come of it. */
async function replay(
  client: Client,
  attempt: () => Promise<Reply<OpenedTask>>,
  session: Session,
): Promise<void> {
  await beat(client, session)
  await rest(client, client.chance.between(1_000, 20_000))
  await attempt()
}

const mayRetry = (reply: Reply<unknown>) =>
  reply.is === 'lost' ||
  (reply.is === 'refusal' && (reply.code === 'ledger_unavailable' || reply.code === 'provider_unavailable'))

async function workOn(client: Client, session: Session): Promise<void> {
  const { chance } = client
  const isLoud = chance.hits(0.75)
  const children: Promise<void>[] = []
  const held: string[] = []
  for (let left = chance.between(2, 6); left > 0; left -= 1) {
    await pause(client, session, isLoud)
    await act(client, session, children, held)
  }
  await Promise.all(chance.hits(0.6) ? children : [])
  if (chance.hits(0.25)) return
  const outcome = chance.pick(['completed', 'completed', 'failed', 'cancelled'] as const)
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const reply = await withTask(client, session, 'ends', (broker, task) =>
      endTask(broker, task.id, outcome, { actor: `task:${task.id}` }),
    )
    if (!mayRetry(reply)) return
  }
}

/** Rests, and is heard from meanwhile where that was agreed. */
async function pause(client: Client, session: Session, isLoud: boolean): Promise<void> {
  const { chance } = client
  for (let left = chance.between(0, 3); left >= 0; left -= 1) {
    await rest(client, chance.between(100, 15_000))
    if (isLoud && session.heartbeatMs !== null) await beat(client, session)
  }
}

async function beat(client: Client, session: Session): Promise<void> {
  const { beats } = client.world.oracle.facts
  await withTask(client, session, 'beats', heartbeat, due => {
    if (due !== null) beats.set(session.id, Math.max(due, beats.get(session.id) ?? 0))
  })
}

async function act(
  client: Client,
  session: Session,
  children: Promise<void>[],
  held: string[],
): Promise<void> {
  const { chance } = client
  const ask = async () => {
    const known = chance.hits(0.5) && session.asks.length > 0 ? chance.pick(session.asks) : undefined
    const wish = chance.hits(0.3) ? { mints: chance.between(2, 3) } : {}
    await mint(
      client,
      session,
      known === undefined ? { wanted: someAsk(chance), wish } : { ask: known },
      held,
    )
  }
  switch (chance.below(8)) {
    case 0: {
      const extension = { minutes: chance.between(1, 10), reason: 'not done yet' }
      await withTask(client, session, 'extends', (broker, task) => extendTask(broker, task, extension))
      return
    }
    case 1:
    case 2:
      // The end of the parent comes while the child is being opened.
      if (chance.hits(0.25)) children.push(giveUp(client, session, chance.between(50, 1_500)))
      children.push(...(await delegate(client, session)))
      return
    case 3: {
      const [token] = held.splice(0, 1)
      if (token !== undefined)
        await withTask(client, session, 'gives back', (broker, task) => revokePresented(broker, task, token))
      return
    }
    case 4:
      // The end comes while a mint is under way.
      await Promise.all([
        ask(),
        chance.hits(0.4) ? giveUp(client, session, chance.between(0, 300)) : undefined,
      ])
      return
    default:
      await Promise.all([ask(), chance.hits(0.3) ? ask() : undefined])
  }
}

/** Where humans are asked first, it comes back for a while; sometimes twice at once. */
async function mint(
  client: Client,
  session: Session,
  request: CredentialRequest,
  held: string[],
): Promise<void> {
  const { world, chance } = client
  const attempt = async (wanted: CredentialRequest) => {
    const use = (broker: Broker, task: TaskRow) => requestCredential(broker, task, wanted)
    const reply = await withTask(client, session, 'asks', use, one => answered(world, one))
    if (reply.is === 'answer') held.push(reply.value.secret.reveal())
    return reply.is === 'refusal' ? reply.ask : undefined
  }
  const waiting = await attempt(request)
  if (waiting === undefined) return
  if (!session.asks.includes(waiting)) session.asks.push(waiting)
  for (let left = chance.between(0, 4); left > 0; left -= 1) {
    await rest(client, chance.between(2_000, 25_000))
    const again = { ask: waiting }
    const beside = chance.hits(0.3)
    if (beside) world.tally.fault('client asks twice at once')
    const [still] = await Promise.all([attempt(again), beside ? attempt(again) : undefined])
    if (still === undefined) return
  }
}

async function giveUp(client: Client, session: Session, inMs: number): Promise<void> {
  await rest(client, inMs)
  await withTask(client, session, 'gives up', (broker, task) =>
    endTask(broker, task.id, 'failed', { actor: `task:${task.id}` }),
  )
}

/** A ticket for a child, sometimes redeemed by two at once. */
async function delegate(client: Client, session: Session): Promise<Promise<void>[]> {
  const { chance, world } = client
  if (session.depth >= 3) return []
  const agent = session.agent === 'builder' ? chance.pick(['helper', 'builder']) : 'helper'
  const ask = chance.pick([modestAsk(chance), { issuer: 'hub', ask: { items: ['a', 'b'] } }])
  const request = { agent, asks: [ask], minutes: chance.between(1, 10) }
  // Mostly the child asks for what it was given.
  const wanted = chance.hits(0.7) ? { ask } : {}
  const reply = await withTask(client, session, 'gives a ticket', (broker, task) =>
    openTicket(broker, task, request),
  )
  if (reply.is !== 'answer') return []
  const { token } = reply.value
  const opens = [open(client, agent, token, session.depth + 1, wanted)]
  if (chance.hits(0.3)) {
    world.tally.fault('client asks twice at once')
    opens.push(open(client, agent, token, session.depth + 1, wanted))
  }
  const opened = await Promise.all(opens)
  return opened.flatMap(child => (child === undefined ? [] : [workOn(client, child)]))
}

function withTask<T>(
  { world, chance, name }: Client,
  session: Session,
  what: string,
  run: (broker: Broker, task: TaskRow) => Promise<T>,
  onAnswer?: (value: T) => void,
): Promise<Reply<T>> {
  const token = new Secret(session.token)
  return call(
    world,
    chance,
    `${name} ${what}`,
    async broker => run(broker, await authenticateTask(broker, token)),
    onAnswer,
  )
}

function answered({ oracle }: World, credential: Credential | undefined): void {
  if (credential !== undefined) oracle.onAnswer(credential)
}
