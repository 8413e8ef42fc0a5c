/**
 * The key-encryption key (KEK): 32 random bytes outside the database, which the ledger's root key is sealed under.
 * The file holds them as 64 hexadecimal digits and a newline, mode 0600.
 */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { KeyringError } from './keyring-error.ts'
import type { RandomBytes } from './random.ts'

export type Kek = {
  /** First 16 hex digits of a labelled SHA-256 of the key. Tells keys apart, tells nothing of the key. */
  id: string
  /** 32 bytes; a KeyObject, so that it cannot print. */
  key: KeyObject
}

/** What every other key at rest is derived from; for a ledger of before root keys, the KEK it was created with. */
export type RootKey = Kek

export type KekFiles = {
  /** Content and mode bits of one file, taken from one open handle; undefined where there is none. */
  read(path: string): Promise<{ text: string; mode: number } | undefined>
  /** Creates the file with mode 0600 and makes it durable. Throws where it exists already. */
  create(path: string, text: string): Promise<void>
}

/**
 * Reads the KEK, or makes it where `mayCreate` says so: only ever for a ledger that holds nothing yet, since
 * a new key opens nothing that an earlier one sealed. For a `shared` ledger none is made: of two brokers that
 * start at once each would make its own.
 * @throws KeyringError kek_missing, kek_readable_by_others, kek_malformed
 */
export async function loadKek(
  { path, mayCreate, shared = false }: { path: string; mayCreate: boolean; shared?: boolean },
  { files, random }: { files: KekFiles; random: RandomBytes },
): Promise<Kek> {
  const kek = await readKek(path, files)
  if (kek !== undefined) return kek
  if (!mayCreate) {
    throw new KeyringError(
      'kek_missing',
      `${path}: there is no key-encryption key here, and this ledger needs the one it is sealed under. ` +
        'Put that file back (mode 0600), or point kek_file at it.',
    )
  }
  if (shared) {
    throw new KeyringError(
      'kek_missing',
      `${path}: there is no key-encryption key here. Brokers that share a ledger share one, so it is made by hand: ` +
        `(umask 077; openssl rand -hex 32 > ${path}), and the same file given to each of them.`,
    )
  }
  const bytes = random(32)
  await files.create(path, `${Buffer.from(bytes).toString('hex')}\n`)
  return kekOf(bytes)
}

/** @returns undefined where there is no such file. @throws KeyringError kek_readable_by_others, kek_malformed */
export async function readKek(path: string, files: Pick<KekFiles, 'read'>): Promise<Kek | undefined> {
  const file = await files.read(path)
  if (file === undefined) return undefined
  refuseOpenMode(path, file.mode)
  return kekOf(parseKek(path, file.text))
}

/** A KEK from its 32 bytes, or a root key. */
export function kekOf(bytes: Uint8Array): Kek {
  if (bytes.length !== 32) throw new KeyringError('kek_malformed', 'A key-encryption key is 32 bytes.')
  const id = createHash('sha256').update('mayfly kek id v1\0').update(bytes).digest('hex').slice(0, 16)
  return { id, key: createSecretKey(bytes) }
}

function refuseOpenMode(path: string, mode: number): void {
  if ((mode & 0o077) === 0) return
  throw new KeyringError(
    'kek_readable_by_others',
    `${path}: mode ${(mode & 0o777).toString(8).padStart(4, '0')} lets others reach the key-encryption key. ` +
      `Run: chmod 600 ${path}`,
  )
}

function parseKek(path: string, text: string): Uint8Array {
  if (!/^[0-9a-f]{64}\n?$/.test(text)) {
    throw new KeyringError(
      'kek_malformed',
      `${path}: not a key-encryption key. The file holds 64 lower-case hexadecimal digits and nothing else ` +
        '(openssl rand -hex 32).',
    )
  }
  return Buffer.from(text.slice(0, 64), 'hex')
}
