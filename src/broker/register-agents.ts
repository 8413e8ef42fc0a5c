import { record } from '../audit/record.ts'
import { canonicalJson } from '../canonical.ts'
import type { Agent } from '../policy/agent.ts'
import type { AgentRow } from '../store/rows.ts'
import type { Broker } from './broker.ts'
import { noteChanged } from './reassess.ts'
import { agentMac } from './verified-rows.ts'

/**
 * Puts a configuration's agents into the ledger, whole: mints are judged against these rows, so that a
 * broker on other files mints nothing. What may narrow is noted in the same transaction: `reassess` works that note
 * off, here or after a crash. @returns the names of agents that changed or are gone.
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
    const narrowed = changed.filter(agent => mayNarrow(agent, standing.get(agent.name)))
    await noteChanged(
      tx,
      [...narrowed, ...gone].map(one => one.name),
    )
  })
  return [...changed, ...gone].map(one => one.name)
}

/** Whether anything changed by which a live task or credential was judged; words and owners are not. */
function mayNarrow(agent: Agent, before: AgentRow | undefined): boolean {
  // Nothing of a new agent is alive; one that comes back lost everything when it went.
  if (before?.status !== 'active') return false
  const judgedBy = ({ attest, ceiling, expires_at, may_delegate_to }: Omit<Agent, 'digest'>) =>
    canonicalJson({ attest, ceiling, expires_at, may_delegate_to })
  return judgedBy(agent) !== judgedBy(JSON.parse(before.document) as Omit<Agent, 'digest'>)
}
