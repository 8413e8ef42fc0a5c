import type { Phase } from '../../issuers/issuer.ts'
import type { Broker } from './broker.ts'
import type { Judged } from './judged.ts'

/**
 * Why nothing above reading is granted: the asking agent, or one above it, is in quarantine. Undefined where none
 * is. A mint is held to it once more, under the locks.
 */
export async function quarantineOf(
  broker: Broker,
  { agent, line }: Judged,
  phase: Phase,
): Promise<string | undefined> {
  if (phase === 'read') return undefined
  for (const name of new Set([agent, ...line.map(task => task.agent)]))
    if ((await broker.ledger.read.agent(name))?.standing === 'quarantined')
      return `${name} is in quarantine: it may only read`
  return undefined
}
