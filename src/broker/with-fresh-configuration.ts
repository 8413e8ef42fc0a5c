import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'

/**
 * Runs a use case by what is in force when it starts, from its first judgement to its last lock; and again where
 * that was replaced while it ran: a change drops no request. Nothing was recorded by the earlier run, since the
 * lock, which looks for what was judged by, refused it.
 *
 * Without the first half, what the old agents allowed could be recorded as judged by the new ones, after these had
 * been held against all that was live.
 *
 * @throws BrokerError `configuration_stale` where this broker has files that are not in force.
 */
export async function withFreshConfiguration<T>(
  broker: Broker,
  run: (broker: Broker) => Promise<T>,
): Promise<T> {
  for (let left = broker.limits.freshTries; ; left--) {
    const stale = broker.stale()
    if (stale !== undefined) throw new BrokerError('configuration_stale', stale)
    try {
      return await run(ofOneConfiguration(broker))
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'configuration_stale' || left <= 1) throw error
      await broker.reloaded()
    }
  }
}

function ofOneConfiguration(broker: Broker): Broker {
  const [agents, generation] = [broker.agents(), broker.generation()]
  return {
    ...broker,
    agents: () => agents,
    generation: () => generation,
    policy: broker.policy.inForce?.() ?? broker.policy,
    turns: new Map(),
    knownAgents: new Map(),
    humanAccess: new Map(),
    attestors: new Map(broker.attestors),
    issuers: new Map(broker.issuers),
  }
}
