import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { announceRestored } from '../broker/tasks/restored.ts'
import { loadSettings } from '../config.ts'
import { demandLedger } from './demand-ledger.ts'
import { openCoreAlone } from './open-core-alone.ts'
import { printJson } from './print.ts'
import type { Terminal } from './terminal.ts'

/**
 * `mayfly ledger restored`: says that the ledger is a backup that was put back. By ledger and key alone, before
 * the first broker starts on it.
 */
export async function ledgerRestored(
  terminal: Terminal,
  { config, json }: { config: string; json?: boolean },
): Promise<void> {
  const edge = await terminal.edge('warn')
  const loaded = await loadSettings(config, edge.files, { attestorTypes, issuerTypes })
  await demandLedger(edge.files, loaded.settings.ledger)
  const core = await openCoreAlone(
    loaded,
    edge,
    'A ledger is put back while no broker has it, and announced before the next one starts.',
  )
  try {
    const restored = await announceRestored(core.broker, 'operator:offline')
    const { epoch, block } = restored
    const [at, until] = [restored.at, restored.revoke_only_until].map(ms => new Date(ms).toISOString())
    if (json) return printJson(terminal, { epoch, at, revoke_only_until: until, block })
    terminal.out(
      `Announced: epoch ${epoch}. Evidence issued before ${at} is refused from now on.\n` +
        `Until ${until} brokers end what the ledger knows, and open and mint nothing (${block}).\n` +
        'Tasks of before mint nothing more. Operators sign in again; mayfly operator init makes a new token.\n' +
        'What was minted after the backup is unknown to this ledger and is not revoked: look for it at the\n' +
        'providers, see docs/operations.md.\n',
    )
  } finally {
    await core.close()
  }
}
