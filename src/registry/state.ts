/** What the ledger says is registered, verified whole: no row can be altered, and none put back alone. */
import type { Broker } from '../broker/broker.ts'
import { AlteredRow, verifiedRegistry, verifiedResource } from '../broker/verified-rows.ts'
import { canonicalDigest } from '../canonical.ts'
import type { RegistryRow, ResourceRow, ResourceSecretRow } from '../store/rows.ts'
import { keyOf } from './resource.ts'

export type RegistryState = {
  /** 0 before anything was registered. */
  generation: number
  head: RegistryRow | undefined
  /** By kind and name. */
  rows: ReadonlyMap<string, ResourceRow>
  secrets: readonly ResourceSecretRow[]
}

/** @throws AlteredRow, LedgerUnavailable */
export async function readState(broker: Pick<Broker, 'ledger' | 'keyring' | 'log'>): Promise<RegistryState> {
  const { read } = broker.ledger
  for (;;) {
    const head = await read.registry()
    const [resources, secrets] = [await read.resources(), await read.resourceSecrets()]
    // Three reads are three snapshots: of one generation only where none was registered meanwhile.
    if ((await read.registry())?.generation !== head?.generation) continue
    for (const row of resources) verifiedResource(broker, row)
    if (head !== undefined) demandWhole(broker, verifiedRegistry(broker, head), resources)
    const rows = new Map(resources.map(row => [keyOf(row), row]))
    return { generation: head?.generation ?? 0, head, rows, secrets }
  }
}

/** Of the rows that are registered, in any order. */
export function digestOfRows(rows: Iterable<ResourceRow>): string {
  return canonicalDigest([...rows].map(row => `${keyOf(row)} ${row.version} ${row.mac}`).sort())
}

function demandWhole(
  { log }: Pick<Broker, 'log'>,
  head: RegistryRow,
  resources: readonly ResourceRow[],
): void {
  if (head.resources_digest === digestOfRows(resources)) return
  log.error({ alarm: 'ledger_row_altered', kind: 'registry' }, 'the registry in the ledger was altered')
  throw new AlteredRow('resources in the ledger were altered, removed or put back outside the broker')
}
