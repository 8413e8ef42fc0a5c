/**
 * The root key of a ledger: 32 random bytes that every other key at rest is derived from. It is kept in the ledger
 * itself, sealed under the key-encryption key (KEK) outside; another KEK seals the same root key, and nothing else
 * changes (docs/decisions/0042).
 */
import { z } from 'zod'
import { type Kek, kekOf, type RootKey } from './kek.ts'
import { createKeyring } from './keyring.ts'
import { KeyringError } from './keyring-error.ts'
import type { RandomBytes } from './random.ts'

export const ROOT_KEY = 'root-key'

const id = z.string().regex(/^[0-9a-f]{16}$/)
const shape = z.strictObject({
  /** Random, 32 hex digits: what a sealed root key is bound to. */
  ledger: z.string().regex(/^[0-9a-f]{32}$/),
  /** While a rotation is under way two, the one that is to stay last. `at`: since when, epoch ms. */
  sealed: z
    .array(z.strictObject({ kek: id, root_key: z.base64url(), at: z.int() }))
    .min(1)
    .max(2),
  /** The KEK before, for who still starts with it. */
  former: id.nullable(),
})
export type SealedRoot = z.infer<typeof shape>

export function sealRoot(
  root: RootKey,
  { kek, ledger, at }: { kek: Kek; ledger: string; at: number },
  random: RandomBytes,
): SealedRoot['sealed'][number] {
  const sealed = createKeyring({ root: kek, random }).seal(root.key.export(), bindTo(ledger))
  return { kek: kek.id, root_key: Buffer.from(sealed).toString('base64url'), at }
}

/** @throws KeyringError kek_wrong, seal_broken, seal_malformed */
export function openRoot({ ledger, sealed, former }: SealedRoot, kek: Kek): RootKey {
  const ours = sealed.find(one => one.kek === kek.id)
  if (ours === undefined) throw wrong({ sealed, former }, kek)
  const opening = createKeyring({ root: kek, random: noRandom })
  return kekOf(opening.open(Buffer.from(ours.root_key, 'base64url'), bindTo(ledger)))
}

/** @throws KeyringError seal_malformed */
export function parseSealedRoot(text: string): SealedRoot {
  const parsed = shape.safeParse(parseJson(text))
  if (parsed.success) return parsed.data
  throw new KeyringError(
    'seal_malformed',
    `The ledger’s root key (meta, ${ROOT_KEY}) is not of a form that this broker writes: something else wrote it. ` +
      'Restore the ledger.',
  )
}

/** The column is of nothing else, so that nothing else that a KEK ever sealed opens as a root key. */
const bindTo = (ledger: string) => ({ row: `${ROOT_KEY} ${ledger}`, column: 'meta.root_key' })

function wrong({ sealed, former }: Pick<SealedRoot, 'sealed' | 'former'>, kek: Kek): KeyringError {
  const last = sealed.at(-1)
  const since = last === undefined ? '' : ` since ${new Date(last.at).toISOString().slice(0, 10)}`
  const now = `it is sealed under key ${sealed.map(one => one.kek).join(' and ')}${since}`
  return new KeyringError(
    'kek_wrong',
    former === kek.id
      ? `The key-encryption key does not open this ledger any more: it was rotated. kek_file holds ${kek.id}, ` +
          `and ${now}. Put the file of that key where kek_file points.`
      : `The key-encryption key does not open this ledger: kek_file holds ${kek.id}, and ${now}. Point kek_file at ` +
          'the file of that key. A backup of before a rotation opens with the key of then.',
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function noRandom(): never {
  throw new Error('opening needs no randomness')
}
