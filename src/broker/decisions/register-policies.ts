import { record } from '../../audit/record.ts'
import type { Broker } from '../broker.ts'
import { noteChanged, POLICY_HASH } from './reassess.ts'

/**
 * Notes in the ledger which set of policies is in force. Where it is another than before, every agent is to be
 * looked at again, in the same transaction: `reassess` works that off, here or after a crash.
 *
 * @returns whether it was another
 */
export async function registerPolicies(broker: Broker): Promise<boolean> {
  // Not by a broker on other files.
  if (broker.stale() !== undefined) return false
  const hash = broker.policy.hash()
  if (((await broker.ledger.read.meta(POLICY_HASH)) ?? 'none') === hash) return false
  const agents = (await broker.ledger.read.agents()).map(({ name }) => name)
  await broker.ledger.write(async tx => {
    await tx.setMeta(POLICY_HASH, hash)
    await noteChanged(tx, agents)
    await record(tx, 'policies.changed', { actor: 'broker' }, { hash })
  })
  return true
}
