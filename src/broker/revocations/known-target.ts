import { SYSTEM_AGENT } from '../../policy/agent.ts'
import { nearNames } from '../../policy/near-names.ts'
import type { RevocationFilter } from '../../policy/revocation-filter.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

/**
 * A mistyped agent or issuer would reach nothing, and read as success. Known is what is registered, and what the
 * ledger has tasks or outstanding credentials of, whether it is registered still or not.
 *
 * @param sees which names the caller may be told of
 * @throws BrokerError `target_unknown`, with the names that come near
 */
export async function demandKnown(
  broker: Broker,
  { agent, issuer }: RevocationFilter,
  sees: (name: string) => Promise<boolean> = async () => true,
): Promise<void> {
  if (agent !== undefined && !(await isAgent(broker, agent))) {
    const names = (await broker.ledger.read.agents()).map(row => row.name)
    throw unknown('agent', agent, await seenOf(nearNames(agent, names), sees))
  }
  // What is one agent's was judged by that agent; an issuer of a team that the caller may not see is none to them.
  if (issuer !== undefined && !((await isIssuer(broker, issuer)) && (await sees(issuer))))
    throw unknown('issuer', issuer, await seenOf(nearNames(issuer, broker.issuers.keys()), sees))
}

async function isAgent({ ledger: { read } }: Broker, agent: string): Promise<boolean> {
  if (agent === SYSTEM_AGENT || (await read.agent(agent)) !== undefined) return true
  return (await read.tasks({ agent }, { limit: 1 })).items.length > 0
}

async function isIssuer({ issuers, ledger: { read } }: Broker, issuer: string): Promise<boolean> {
  if (issuers.has(issuer)) return true
  if ((await read.resources()).some(({ kind, name }) => kind === 'issuer' && name === issuer)) return true
  // From one issuer to the next in their index: every credential that is not over is due some day.
  return (await read.issuersDue(Number.MAX_SAFE_INTEGER)).includes(issuer)
}

async function seenOf(names: readonly string[], sees: (name: string) => Promise<boolean>): Promise<string[]> {
  const shown = await Promise.all(names.map(sees))
  return names.filter((_, place) => shown[place])
}

function unknown(what: 'agent' | 'issuer', name: string, near: readonly string[]): BrokerError {
  return new BrokerError(
    'target_unknown',
    `nothing was changed: no ${what} is called ${JSON.stringify(name.slice(0, 120))}` +
      (near.length === 0 ? ', and no name comes near' : `; names that come near: ${near.join(', ')}`),
  )
}
