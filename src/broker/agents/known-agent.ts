import type { KnownAgentRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'

/** How an agent stood when this request first asked; whatever is minted is held to how it stands, under the locks. */
export function knownAgent(
  { ledger, knownAgents }: Pick<Broker, 'ledger' | 'knownAgents'>,
  name: string,
): Promise<KnownAgentRow | undefined> {
  const known = knownAgents?.get(name) ?? ledger.read.agent(name)
  knownAgents?.set(name, known)
  return known
}
