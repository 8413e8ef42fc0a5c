/** What was vouched for of an agent, and what its file declares. */
import type { Agent } from '../../policy/agent.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { AgentRow, KnownAgentRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { certificationMac, isUnaltered, verifiedCertification } from '../verified-rows.ts'

type Keyed = Pick<Broker, 'keyring' | 'log'>

/** @throws BrokerError `transition_refused` where it is to be certified before it may work. */
export function demandCertified(broker: Keyed, row: KnownAgentRow, now: number): void {
  const accepted = acceptedBuild(broker, row)
  if (accepted !== null && accepted !== buildOf(row))
    throw new BrokerError(
      'transition_refused',
      `the build of ${row.name} is not the certified one: certify it`,
    )
  const until = certifiedUntil(broker, row)
  if (until !== null && until <= now)
    throw new BrokerError('transition_refused', `the certification of ${row.name} has run out: certify it`)
}

export async function putCertification(
  broker: Keyed,
  tx: LedgerWrite,
  { name }: KnownAgentRow,
  { build, until, by }: { build: string | null; until: number | null; by: string | null },
): Promise<void> {
  const fields = { certified_build: build, certified_until: until, certified_by: by }
  await tx.certifyAgent(name, { ...fields, certified_mac: certificationMac(broker, { name, ...fields }) })
}

/** What was vouched for; null where nothing was. A row that was altered vouches for nothing, loudly. */
export function acceptedBuild(broker: Keyed, row: KnownAgentRow): string | null {
  if (row.certified_mac === null) return null
  return verifiedCertification(broker, { ...row, mac: row.certified_mac }).certified_build
}

/** Epoch ms; null where nobody set an end. A date that no broker wrote has passed, loudly. */
export function certifiedUntil(broker: Keyed, row: KnownAgentRow): number | null {
  const { certified_mac: mac, certified_until: until } = row
  if (mac === null) return until === null ? null : 0
  return isUnaltered(() => verifiedCertification(broker, { ...row, mac })) ? until : 0
}

/** As its file declares it; null where it declares none. */
export function buildOf({ document }: Pick<AgentRow, 'document'>): string | null {
  return (JSON.parse(document) as Pick<Agent, 'build'>).build ?? null
}
