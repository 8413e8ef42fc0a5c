import { record } from '../audit/record.ts'
import { canonicalJson } from '../canonical.ts'
import type { Agent } from '../policy/agent.ts'
import type { AgentRow, LeaseRow } from '../store/rows.ts'
import type { Broker } from './broker.ts'
import { endTask } from './end-task.ts'
import { revokeLease } from './revoke.ts'
import { agentMac } from './verified-rows.ts'

/**
 * Puts a configuration's agents into the ledger, whole: mints are judged against these rows, so that a
 * broker on other files mints nothing. @returns the names of agents that changed or are gone.
 */
export async function registerAgents(broker: Broker, agents: ReadonlyMap<string, Agent>): Promise<string[]> {
  const standing = new Map((await broker.ledger.read.agents()).map(row => [row.name, row]))
  const changed = [...agents.values()].filter(agent => {
    const row = standing.get(agent.name)
    return row === undefined || row.status !== 'active' || row.digest !== agent.digest
  })
  const gone = [...standing.values()].filter(row => row.status === 'active' && !agents.has(row.name))
  if (changed.length + gone.length === 0) return []
  await broker.ledger.write(async tx => {
    for (const agent of changed) {
      const { digest, ...document } = agent
      const unsigned = {
        name: agent.name,
        digest,
        document: canonicalJson(document),
        status: 'active',
        updated_at: tx.now,
      } as const
      await tx.putAgent({ ...unsigned, mac: agentMac(broker, unsigned) })
      await record(tx, 'agent.registered', { actor: 'broker', agent: agent.name }, { digest })
    }
    for (const row of gone) {
      await tx.putAgent({ ...row, status: 'removed', updated_at: tx.now } satisfies AgentRow)
      await record(tx, 'agent.removed', { actor: 'broker', agent: row.name })
    }
  })
  return [...changed, ...gone].map(one => one.name)
}

/**
 * Narrowing reaches what is already out: tasks of agents that are gone end, and live credentials above the
 * new ceiling are revoked. Read a page at a time.
 */
export async function reassess(broker: Broker, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const agent = broker.agents().get(name)
    if (agent === undefined) await endTasksOf(broker, name)
    else await reassessLeases(broker, agent)
  }
}

async function endTasksOf(broker: Broker, agent: string): Promise<void> {
  const { endBatch: limit } = broker.limits
  for (let page = await broker.ledger.read.tasks({ state: 'active', agent }, { limit }); ; ) {
    for (const task of page.items)
      await endTask(broker, task.id, 'revoked', {
        actor: 'broker',
        detail: 'the agent is no longer registered',
      })
    if (page.next === null) return
    page = await broker.ledger.read.tasks({ state: 'active', agent }, { limit, after: page.next })
  }
}

async function reassessLeases(broker: Broker, agent: Agent): Promise<void> {
  const filter = { state: 'active', agent: agent.name } as const
  const { endBatch: limit } = broker.limits
  for (let page = await broker.ledger.read.leases(filter, { limit }); ; ) {
    for (const lease of page.items)
      if (!isCovered(broker, agent, lease)) await revokeLease(broker, lease, 'broker')
    if (page.next === null) return
    page = await broker.ledger.read.leases(filter, { limit, after: page.next })
  }
}

function isCovered(broker: Broker, agent: Agent, lease: LeaseRow): boolean {
  const issuer = broker.issuers.get(lease.issuer)
  if (issuer === undefined) return false
  const granted: unknown = JSON.parse(lease.granted)
  return (agent.ceiling[lease.issuer] ?? []).some(allowed => issuer.covers(allowed, granted))
}
