import type { MintingAgentRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import type { Judged } from '../decisions/judged.ts'

/**
 * How an agent stood when this request first asked; whatever is minted is held to how it stands, under the locks.
 * Where a mint is sure to follow, one that its last mint found at work is taken to be so still.
 */
export function knownAgent(
  { ledger, knownAgents, verifiedAgents }: Pick<Broker, 'ledger' | 'knownAgents' | 'verifiedAgents'>,
  name: string,
  { mayRecall }: Pick<Judged, 'mayRecall'> = {},
): Promise<MintingAgentRow | undefined> {
  const recalled = mayRecall && knownAgents !== undefined ? verifiedAgents.get(name) : undefined
  const known =
    knownAgents?.get(name) ??
    (recalled?.standing === 'active' ? Promise.resolve(recalled) : ledger.read.agent(name))
  knownAgents?.set(name, known)
  return known
}
