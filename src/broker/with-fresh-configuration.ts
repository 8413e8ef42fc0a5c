import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'

/**
 * Runs a use case, and once more where it was judged by agent files that a reload replaced while it ran: a
 * reload drops no request. Nothing was recorded by the first run, since the lock refused it.
 */
export async function withFreshConfiguration<T>(broker: Broker, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'configuration_stale') throw error
    await broker.reloaded()
    return run()
  }
}
