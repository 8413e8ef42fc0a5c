import { agentChanges, putAgents } from '../../src/broker/agents/register-agents.ts'
import type { Broker } from '../../src/broker/broker.ts'
import type { Agent } from '../../src/policy/agent.ts'

/** These agents and no others, in the ledger alone: what a registration has committed, and no broker has installed. */
export async function registerAgents(broker: Broker, agents: ReadonlyMap<string, Agent>): Promise<void> {
  const changes = agentChanges(await broker.ledger.read.agents(), agents)
  if (changes.changed.length + changes.gone.length > 0)
    await broker.ledger.write(tx => putAgents(broker, tx, changes))
}
