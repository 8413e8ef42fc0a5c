import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'

/**
 * Runs a use case by the agents that are in force when it starts, from its first judgement to its last lock; and
 * once more where a reload replaced them while it ran: a reload drops no request. Nothing was recorded by the first
 * run, since the lock, which looks for what was judged by, refused it.
 *
 * Without the first half, what the old agents allowed could be recorded as judged by the new ones, after these had
 * been held against all that was live.
 */
export async function withFreshConfiguration<T>(
  broker: Broker,
  run: (broker: Broker) => Promise<T>,
): Promise<T> {
  try {
    return await run(ofOneConfiguration(broker))
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'configuration_stale') throw error
    await broker.reloaded()
    return run(ofOneConfiguration(broker))
  }
}

function ofOneConfiguration(broker: Broker): Broker {
  const agents = broker.agents()
  return { ...broker, agents: () => agents }
}
