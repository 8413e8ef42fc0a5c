/** A known text, sealed under the ledger's root key: whoever opens it holds the key of all the rest. */
import type { Keyring } from './keyring.ts'
import { KeyringError } from './keyring-error.ts'

export const CANARY = 'kek-canary'
const bind = { row: CANARY, column: 'meta.value' }
const words = 'mayfly kek canary v1'

export function sealCanary(keyring: Keyring): string {
  return Buffer.from(keyring.seal(words, bind)).toString('base64url')
}

/** @throws KeyringError root_wrong, seal_broken, seal_malformed */
export function checkCanary(canary: string, keyring: Keyring): void {
  const opened = keyring.open(Buffer.from(canary, 'base64url'), bind)
  if (Buffer.from(opened).toString('utf8') !== words)
    throw new KeyringError('seal_broken', 'The ledger’s canary is not the one put there.')
}
