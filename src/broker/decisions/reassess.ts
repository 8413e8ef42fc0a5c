/**
 * Narrowing reaches what is already out. After a configuration changed an agent, its live tasks and everything
 * below them are judged again: tasks that would not be opened now end, credentials that would not be minted now
 * are revoked. The list of agents that are still to be looked at is in the ledger.
 */
import type { Agent } from '../../policy/agent.ts'
import { matchAgent } from '../../policy/match-agent.ts'
import { judgeTrust } from '../../policy/trust/trust-rule.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { LeaseRow, TaskEnd, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { revokeLease } from '../credentials/revoke.ts'
import { humanOf, mayActFor } from '../people/human.ts'
import { boundsOf } from '../tasks/bounds.ts'
import { endTask } from '../tasks/end-task.ts'
import { isUnaltered, taskMac, verifiedTask } from '../verified-rows.ts'
import { judgeLive } from './judge-live.ts'
import { type IdentityFacts, judgedTask } from './judged.ts'

const NOTE = 'agents_to_reassess'
/** The hash of the set of policies that what is live was last held against, or is about to be. */
export const POLICY_HASH = 'policy_hash'

/** Notes them beside what is still to be looked at; part of the transaction that changes them. */
export async function noteChanged(tx: LedgerWrite, agents: readonly string[]): Promise<void> {
  const standing = JSON.parse(await tx.initMeta(NOTE, '[]')) as string[]
  await tx.setMeta(NOTE, JSON.stringify([...new Set([...standing, ...agents])]))
}

/** Looks at every agent on the list, a page of tasks at a time, until it is done or `stopped` says so. */
export async function reassess(broker: Broker, stopped: () => boolean = () => false): Promise<void> {
  // Not by a broker on other files: what it does not know would look forbidden.
  if (broker.stale() !== undefined) return
  // By one set of policies from here on, and only by the one that the ledger says is in force.
  const policy = broker.policy.inForce?.() ?? broker.policy
  if (((await broker.ledger.read.meta(POLICY_HASH)) ?? 'none') !== policy.hash()) return
  const names = JSON.parse((await broker.ledger.read.meta(NOTE)) ?? '[]') as string[]
  for (const name of names) {
    // Not by this broker, while its files are not the ledger's.
    if (!(await isInForce(broker, name))) continue
    await reassessAgent({ ...broker, policy }, name, stopped)
    if (stopped()) return
    await broker.ledger.write(async tx => {
      // It is on the list again, for another set.
      if ((await tx.initMeta(POLICY_HASH, 'none')) !== policy.hash()) return
      const standing = JSON.parse(await tx.initMeta(NOTE, '[]')) as string[]
      await tx.setMeta(NOTE, JSON.stringify(standing.filter(one => one !== name)))
    })
  }
}

/** Whether this broker knows the agent as the ledger does, be it gone. */
async function isInForce(broker: Broker, name: string): Promise<boolean> {
  const row = await broker.ledger.read.agent(name)
  const known = broker.agents().get(name)
  return row?.status === 'active' ? row.digest === known?.digest : known === undefined
}

async function reassessAgent(broker: Broker, agent: string, stopped: () => boolean): Promise<void> {
  const { endBatch: limit } = broker.limits
  let after: string | undefined
  do {
    const page = await broker.ledger.read.tasks(
      { state: 'active', agent },
      { limit, ...(after === undefined ? {} : { after }) },
    )
    for (const task of page.items) {
      if (stopped()) return
      for (const one of await broker.ledger.write(tx => tx.lockDescent(task.id)))
        if (one.state === 'active') await reassessTask(broker, one)
    }
    after = page.next ?? undefined
  } while (after !== undefined)
}

async function reassessTask(broker: Broker, task: TaskRow): Promise<void> {
  const ancestors = await broker.ledger.read.ancestors(task.id)
  const isIntact = [...ancestors, task].every(row => isUnaltered(() => verifiedTask(broker, row)))
  const over = isIntact ? await isOver(broker, task, ancestors.at(-1)) : ALTERED
  if (over !== undefined) {
    await endTask(broker, task.id, over.end, { actor: 'broker', detail: over.detail })
    return
  }
  await cutDeadline(broker, task)
  const bounds = await boundsOf(broker, [...ancestors, task])
  for await (const lease of liveLeases(broker, task.id)) {
    const denial = await judgeLive(broker, { task, above: ancestors, lease, bounds })
    if (denial !== undefined) await revokeLease(broker, lease, 'broker', denial)
  }
}

const ALTERED = { end: 'revoked', detail: 'the ledger was altered outside the broker' } as const

/** Why this task would not be opened now; undefined where it would. */
async function isOver(
  broker: Broker,
  task: TaskRow,
  parent: TaskRow | undefined,
): Promise<{ end: TaskEnd; detail: string } | undefined> {
  const now = await broker.ledger.now()
  const agent = broker.agents().get(task.agent)
  if (agent === undefined) return { end: 'revoked', detail: 'the agent is no longer registered' }
  if (agent.expires_at <= now) return { end: 'expired', detail: 'the agent has expired' }
  if (!isMatched(agent, judgedTask(task, []).identity, now))
    return { end: 'revoked', detail: 'no rule of the agent matches any more' }
  const { human } = humanOf(task)
  if (human !== undefined && !mayActFor(agent, human))
    return { end: 'revoked', detail: 'the agent may no longer act for this human' }
  if (parent !== undefined && !broker.agents().get(parent.agent)?.may_delegate_to.includes(task.agent))
    return { end: 'revoked', detail: `${parent.agent} may no longer delegate to it` }
  return undefined
}

function isMatched(agent: Agent, identity: IdentityFacts, now: number): boolean {
  if (agent.trust !== undefined) return judgeTrust(agent.trust, identity, undefined).ok
  return matchAgent([agent], identity, agent.name, now).ok
}

/** No task lives past its agent's expiry, also where that was brought forward. */
async function cutDeadline(broker: Broker, task: TaskRow): Promise<void> {
  const expires = broker.agents().get(task.agent)?.expires_at ?? 0
  if (task.deadline <= expires) return
  const mac = taskMac(broker, { ...verifiedTask(broker, task), deadline: expires })
  await broker.ledger.write(tx => tx.extendTask(task.id, expires, mac))
}

async function* liveLeases(broker: Broker, task: string): AsyncGenerator<LeaseRow> {
  // Those being minted first: one that is minted meanwhile was seen already.
  for (const state of ['intended', 'active'] as const) {
    let after: string | undefined
    do {
      const page = await broker.ledger.read.leases(
        { state, task },
        { limit: broker.limits.endBatch, ...(after === undefined ? {} : { after }) },
      )
      yield* page.items
      after = page.next ?? undefined
    } while (after !== undefined)
  }
}
