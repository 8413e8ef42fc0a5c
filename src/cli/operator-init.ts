import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import { createOperatorToken } from '../broker/people/create-operator-token.ts'
import { loadSettings } from '../config.ts'
import { openCoreAlone } from './open-core-alone.ts'
import { tellToken } from './operator-token.ts'
import { reserveSecretFile } from './secret-file.ts'
import { CommandError, type Terminal } from './terminal.ts'

/**
 * `mayfly operator init`: makes the first operator token. It is written to a file that only its owner can
 * read, never printed; the ledger keeps its hash for 24 hours. One row: an earlier token ends.
 */
export async function operatorInit(
  terminal: Terminal,
  {
    config,
    out,
    name,
    ...options
  }: { config: string; out: string; name: string; replace?: boolean; json?: boolean },
): Promise<void> {
  const edge = await terminal.edge('warn')
  const loaded = await loadSettings(config, edge.files, { attestorTypes, issuerTypes })
  if (!loaded.settings.operators.bootstrap_tokens)
    throw new CommandError(
      'operator tokens are switched off here (operators.bootstrap_tokens): humans sign in with mayfly login.\n' +
        '  What works without any: mayfly revoke --offline, mayfly leases --offline.',
    )
  // The place for the token comes first: a token that cannot be kept must not end the one before it.
  const file = await reserveSecretFile(terminal, out, {
    replace: options.replace === true,
    onExisting:
      'If its token is still good, mayfly operator renew gets a new one from the running broker;\n' +
      '  if it is past its time, say --replace.',
  })
  try {
    const core = await openCoreAlone(
      loaded,
      edge,
      'With an operator token that is still good: mayfly operator renew.',
    )
    try {
      const { token, expiresAt } = await createOperatorToken(core.broker, name)
      await file.commit(`${token.reveal()}\n`)
      tellToken(terminal, { file: out, name, expires_at: new Date(expiresAt).toISOString() }, options)
    } finally {
      await core.close()
    }
  } catch (error) {
    await file.discard()
    throw error
  }
}
