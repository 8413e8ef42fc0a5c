import type { LedgerWrite } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

const HOUR_MS = 3_600_000

/**
 * One against an agent's hourly limit, of look-ups that it makes the broker do: as many as credentials, and apart
 * from these. What the broker does for itself is bounded by what causes it.
 *
 * @throws BrokerError `budget_exhausted`
 */
export async function takeLookup(broker: Broker, tx: LedgerWrite, agent: string): Promise<void> {
  const limit = broker.agents().get(agent)?.limits.credentials_per_hour
  if (limit === undefined) return
  const hour = Math.floor(tx.now / HOUR_MS)
  const until = (hour + 1) * HOUR_MS
  if (await tx.takeBudget(`lookups/${agent}/${hour}`, limit, until + HOUR_MS)) return
  throw new BrokerError('budget_exhausted', `the agent's limit of ${limit} lookups per hour is reached`, {
    ...{ retryAfterMs: until - tx.now, bound: 'lookups' },
  })
}
