/** What ending things needs of the registry, and nothing else of it: no agents, no attestors, no policies. */
import type { Issuer } from '../../issuers/issuer.ts'
import type { Broker } from '../broker/broker.ts'
import { AlteredRow } from '../broker/verified-rows.ts'
import type { ResourceRow } from '../store/rows.ts'
import { type InstalledOptions, openTeamInstance } from './installed.ts'
import { resourceOf } from './resource.ts'
import { type RegistryState, readState } from './state.ts'

/** `leftOut`: issuers of teams that cannot be used, and why; what they minted cannot be revoked by this. */
export type IssuersAlone = {
  opened: ReadonlyMap<string, Issuer>
  leftOut: readonly { name: string; why: string }[]
}

/**
 * The issuers that teams registered. A registry that somebody altered opens none: a row that was put back could
 * send credentials where they must not go.
 *
 * @throws LedgerUnavailable
 */
export async function openIssuersAlone(
  broker: Pick<Broker, 'ledger' | 'keyring' | 'log'>,
  options: Pick<InstalledOptions, 'types' | 'openers'>,
): Promise<IssuersAlone> {
  let state: RegistryState
  try {
    state = await readState(broker)
  } catch (error) {
    if (!(error instanceof AlteredRow)) throw error
    const named = (await broker.ledger.read.resources()).filter(isOfTeam)
    return { opened: new Map(), leftOut: named.map(({ name }) => ({ name, why: error.message })) }
  }
  const opened = new Map<string, Issuer>()
  const leftOut: { name: string; why: string }[] = []
  for (const row of [...state.rows.values()].filter(isOfTeam)) {
    try {
      opened.set(row.name, openTeamInstance(broker, state, resourceOf(row), options) as Issuer)
    } catch (cause) {
      leftOut.push({ name: row.name, why: cause instanceof Error ? cause.message : String(cause) })
    }
  }
  return { opened, leftOut }
}

const isOfTeam = ({ kind, managed_by }: ResourceRow): boolean => kind === 'issuer' && managed_by === 'api'
