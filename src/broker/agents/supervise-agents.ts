import type { Broker } from '../broker.ts'
import { certifiedUntil } from './agent-build.ts'
import { changeStanding } from './agent-standing.ts'
import { countFlags, viewAgents } from './agent-view.ts'

/**
 * Calendar work: an agent whose certification has run out is suspended, and agents that somebody should look at
 * are told of. Safe on any number of brokers: what is already so changes nothing.
 */
export async function superviseAgents(broker: Broker): Promise<void> {
  const now = await broker.ledger.now()
  for (const row of await broker.ledger.read.agents()) {
    const works = row.standing === 'active' || row.standing === 'quarantined'
    if (!works) continue
    const until = certifiedUntil(broker, row)
    if (until === null || until > now) continue
    broker.log.warn({ agent: row.name }, 'suspended: its certification has run out')
    const reason = 'its certification has run out'
    const order = {
      agent: row.name,
      verb: 'suspend',
      reason,
      cause: 'certification',
      mayWiden: false,
    } as const
    await changeStanding(broker, order, 'broker')
  }
  for (const [flag, views] of countFlags(await viewAgents(broker))) {
    broker.metrics.agentsFlagged(flag, views.length)
    if (views.length === 0) continue
    const agents = views.slice(0, broker.limits.flaggedNames).map(view => view.row.name)
    broker.log.warn({ flag, count: views.length, agents }, 'agents that somebody should look at')
  }
}
