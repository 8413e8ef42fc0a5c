import type { Agent } from '../policy/agent.ts'
import { LedgerUnavailable } from '../store/ledger.ts'
import type { Broker } from './broker.ts'
import { reassess } from './reassess.ts'
import { registerAgents } from './register-agents.ts'

/**
 * Puts other agents in force: into the ledger, then into this broker (`install`), then over what is live. Where
 * it is not known what became of the ledger's part it is said again, since a broker that judged by other agents
 * than the ledger's would mint nothing.
 *
 * @param wait ms, on the process's own timers. @returns the names of agents that changed or are gone.
 * @throws LedgerUnavailable once the ledger was asked `reconfigureTries` times
 */
export async function reconfigure(
  broker: Broker,
  agents: ReadonlyMap<string, Agent>,
  { install, wait }: { install: () => void; wait: (ms: number) => Promise<void> },
): Promise<string[]> {
  const changed = new Set<string>()
  for (let left = broker.limits.reconfigureTries; ; left--) {
    try {
      for (const name of await registerAgents(broker, agents)) changed.add(name)
      break
    } catch (error) {
      if (!(error instanceof LedgerUnavailable) || left <= 1) throw error
      broker.log.warn({ err: error }, 'the configuration is put to the ledger again')
      await wait(broker.limits.backoffBaseMs)
    }
  }
  install()
  try {
    await reassess(broker)
  } catch (error) {
    // It is noted in the ledger; the watch goes on with it.
    broker.log.warn({ err: error }, 'agents that changed are still to be looked at')
  }
  return [...changed]
}
