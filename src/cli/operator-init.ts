import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { createOperatorToken } from '../broker/create-operator-token.ts'
import { loadSettings } from '../config.ts'
import { openCore } from '../server.ts'
import type { Terminal } from './terminal.ts'

/**
 * `mayfly operator init`: makes the first operator token. It is written to a file that only its owner can
 * read, never printed; the ledger keeps its hash for 24 hours. One row: an earlier token ends.
 */
export async function operatorInit(
  terminal: Terminal,
  { config, out, name, json }: { config: string; out: string; name: string; json?: boolean },
): Promise<void> {
  const edge = terminal.edge('warn')
  const core = await openCore(await loadSettings(config, edge.files, { attestorTypes, issuerTypes }), edge)
  try {
    const { token, expiresAt } = await createOperatorToken(core.broker, name)
    await terminal.writeSecretFile(out, `${token.reveal()}\n`)
    const until = new Date(expiresAt).toISOString()
    terminal.out(
      json
        ? `${JSON.stringify({ file: out, name, expires_at: until })}\n`
        : `An operator token for ${name} is in ${out}, good until ${until}.\n` +
            `Use it with: export MAYFLY_OPERATOR_TOKEN_FILE=${out}\n`,
    )
  } finally {
    await core.close()
  }
}
