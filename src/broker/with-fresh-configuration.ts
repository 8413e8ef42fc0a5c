import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { TurnTaken } from './credentials/held-turns.ts'

/**
 * Runs a use case by what is in force when it starts, from its first judgement to its last lock; and again where
 * that was replaced while it ran: a change drops no request. Nothing was recorded by the earlier run, since the
 * lock, which looks for what was judged by, refused it.
 *
 * Without the first half, what the old agents allowed could be recorded as judged by the new ones, after these had
 * been held against all that was live.
 *
 * Where others were given something that it was not judged by, it runs again when those of this broker that met the same
 * have recorded what they do: side by side one of them would win each time, and the last would be told to come back.
 *
 * @throws BrokerError `configuration_stale` where this broker has files that are not in force; `mint_contended`
 */
export async function withFreshConfiguration<T>(
  broker: Broker,
  run: (broker: Broker) => Promise<T>,
): Promise<T> {
  let recorded: (() => void) | undefined
  for (let left = broker.limits.freshTries; ; left--) {
    const stale = broker.stale()
    if (stale !== undefined) {
      recorded?.()
      throw new BrokerError('configuration_stale', stale)
    }
    try {
      const value = await run({
        ...ofOneConfiguration(broker),
        ...(recorded === undefined ? {} : { recorded }),
      })
      recorded?.()
      return value
    } catch (error) {
      recorded?.()
      recorded = undefined
      if (left <= 1 || !(error instanceof BrokerError)) throw error
      if (error instanceof TurnTaken) {
        recorded = await broker.queues(error.turn)
        if (recorded === undefined) throw error
      } else if (error.code === 'configuration_stale') await broker.reloaded()
      else throw error
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
