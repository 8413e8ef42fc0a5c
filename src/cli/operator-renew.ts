import { operatorTokenAnswer } from './answers.ts'
import { type BrokerOption, operatorUrl } from './broker-url.ts'
import { createClient } from './client.ts'
import {
  type OperatorTokenOption,
  operatorTokenPath,
  readOperatorToken,
  tellToken,
} from './operator-token.ts'
import { reserveSecretFile } from './secret-file.ts'
import type { Terminal } from './terminal.ts'

/**
 * `mayfly operator renew`: a new token for 24 hours, in the same file, from a running broker and by a token
 * that is still good. The earlier one ends with it.
 */
export async function operatorRenew(
  terminal: Terminal,
  options: BrokerOption & OperatorTokenOption & { json?: boolean },
): Promise<void> {
  const path = operatorTokenPath(terminal, options)
  const token = await readOperatorToken(terminal, options)
  const file = await reserveSecretFile(terminal, path, { replace: true, onExisting: '' })
  try {
    const client = createClient(terminal, operatorUrl(terminal, options))
    // A lost answer may have ended the earlier token: asking again with it would only say so less clearly.
    const made = await client.call(
      { method: 'POST', path: '/v1/operator-tokens', token, body: {}, whenLost: 'never' },
      operatorTokenAnswer,
    )
    await file.commit(`${made.token.reveal()}\n`)
    tellToken(terminal, { file: path, name: made.name, expires_at: made.expires_at }, options)
  } catch (error) {
    await file.discard()
    throw error
  }
}
