import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { loadSettings } from '../config.ts'
import { renderLease } from '../http/render.ts'
import type { LeaseFilter } from '../store/ledger.ts'
import { type LeaseAnswer, leaseAnswer } from './answers.ts'
import { demandLedger } from './demand-ledger.ts'
import { openCoreAlone } from './open-core-alone.ts'
import type { Terminal } from './terminal.ts'

/** What `mayfly leases --offline` reads: the same page, by ledger and key alone, and no operator at all. */
export async function leasesOffline(
  terminal: Terminal,
  filter: LeaseFilter,
  { config = 'config/mayfly.yaml', limit, after }: { config?: string; limit: number; after?: string },
): Promise<{ items: LeaseAnswer[]; next: string | null }> {
  const edge = await terminal.edge('silent')
  const loaded = await loadSettings(config, edge.files, { attestorTypes, issuerTypes })
  await demandLedger(edge.files, loaded.settings.ledger)
  const core = await openCoreAlone(loaded, edge, 'While it runs, leave --offline away.')
  try {
    const page = { limit, ...(after === undefined ? {} : { after }) }
    const { items, next } = await core.broker.ledger.read.leases(filter, page)
    return { items: items.map(row => leaseAnswer.parse(renderLease(row))), next }
  } finally {
    await core.close()
  }
}
