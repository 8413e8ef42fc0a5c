import type { Ledger, LedgerRead } from '../store/ledger.ts'
import type { Keyring } from './keyring.ts'
import { KeyringError } from './keyring-error.ts'

const metaKey = 'kek-canary'
const bind = { row: metaKey, column: 'meta.value' }
const words = 'mayfly kek canary v1'

/** Whether nothing was ever sealed in this ledger, so that a new KEK loses nothing. */
export async function isUnsealed(read: Pick<LedgerRead, 'meta' | 'signingKeys'>): Promise<boolean> {
  return (await read.meta(metaKey)) === undefined && (await read.signingKeys('task-jwt')).length === 0
}

/**
 * Proves that this broker holds the KEK that the ledger was sealed with: opens the ledger's canary, or puts
 * one there when nothing was ever sealed. Of brokers that start at once, one sets it and all open that one.
 * @throws KeyringError kek_wrong, seal_broken, seal_malformed, canary_missing; LedgerUnavailable
 */
export async function checkCanary(
  ledger: { read: Pick<LedgerRead, 'meta' | 'signingKeys'>; write: Ledger['write'] },
  keyring: Keyring,
): Promise<void> {
  const standing = (await ledger.read.meta(metaKey)) ?? (await placeCanary(ledger, keyring))
  try {
    const opened = keyring.open(Buffer.from(standing, 'base64url'), bind)
    if (Buffer.from(opened).toString('utf8') !== words) throw broken()
  } catch (error) {
    if (!(error instanceof KeyringError) || error.code !== 'kek_wrong') throw error
    throw new KeyringError(
      'kek_wrong',
      `The key-encryption key does not open this ledger. ${error.message} ` +
        'Point kek_file at the key this ledger was created with.',
    )
  }
}

async function placeCanary(ledger: Parameters<typeof checkCanary>[0], keyring: Keyring): Promise<string> {
  if (!(await isUnsealed(ledger.read))) {
    // Another broker may have set it between the two reads.
    const late = await ledger.read.meta(metaKey)
    if (late !== undefined) return late
    throw new KeyringError(
      'canary_missing',
      'The ledger holds sealed keys but no canary to check the key-encryption key by. Restore the ledger.',
    )
  }
  const canary = Buffer.from(keyring.seal(words, bind)).toString('base64url')
  return ledger.write(tx => tx.initMeta(metaKey, canary))
}

function broken(): KeyringError {
  return new KeyringError('seal_broken', 'The ledger’s canary is not the one put there.')
}
