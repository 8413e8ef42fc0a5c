/** From the key-encryption key (KEK) and what the ledger holds to the keyring that the broker works with. */
import type { Ledger, LedgerRead } from '../store/ledger.ts'
import { CANARY, checkCanary, sealCanary } from './canary.ts'
import { type Kek, kekOf, type RootKey } from './kek.ts'
import { createKeyring, type Keyring } from './keyring.ts'
import { KeyringError } from './keyring-error.ts'
import type { RandomBytes } from './random.ts'
import { openRoot, parseSealedRoot, ROOT_KEY, type SealedRoot, sealRoot } from './root-key.ts'

export type SealedLedger = { read: Pick<LedgerRead, 'meta' | 'signingKeys'>; write: Ledger['write'] }

/** What the ledger is sealed with. Both texts are placed in one transaction; of before, there is a canary alone. */
type Seals = { canary: string; sealedRoot: string | undefined }
/** `sealed` with its own text, to be exchanged for another; undefined in a ledger of before root keys. */
export type OpenedRoot = { root: RootKey; sealed: { text: string; value: SealedRoot } | undefined }

/** Whether nothing was ever sealed in this ledger, so that a new KEK loses nothing. */
export async function isUnsealed(read: SealedLedger['read']): Promise<boolean> {
  const parts = [await read.meta(CANARY), await read.meta(ROOT_KEY)]
  return parts.every(part => part === undefined) && (await read.signingKeys('task-jwt')).length === 0
}

/**
 * The keyring of this ledger, whose root key is made where nothing was ever sealed. Of brokers that start at once,
 * one makes it and all open that one.
 * @returns `rotation`, where two KEKs open the ledger: the one to go and the one to stay
 * @throws KeyringError kek_wrong, seal_broken, seal_malformed, canary_missing; LedgerUnavailable
 */
export async function openKeyring({
  ledger,
  kek,
  random,
}: {
  ledger: SealedLedger
  kek: Kek
  random: RandomBytes
}): Promise<{ keyring: Keyring; rotation?: { from: string; to: string } }> {
  if (await isUnsealed(ledger.read)) await placeRoot(ledger, kek, random)
  const { root, sealed } = await openSealed(ledger.read, [kek], random)
  const keyring = createKeyring({ root, random })
  const [from, to] = sealed?.value.sealed ?? []
  return from && to ? { keyring, rotation: { from: from.kek, to: to.kek } } : { keyring }
}

/**
 * The root key, opened by the first of these KEKs that it is sealed under, and the canary opened by it.
 * @throws KeyringError kek_wrong, seal_broken, seal_malformed, canary_missing; LedgerUnavailable
 */
export async function openSealed(
  read: SealedLedger['read'],
  keks: readonly [Kek, ...Kek[]],
  random: RandomBytes,
): Promise<OpenedRoot> {
  const { canary, sealedRoot } = await readSeals(read)
  if (sealedRoot === undefined) {
    // Of before root keys: it opens with the KEK it was created with, and no other.
    const [root] = keks
    openCanary(canary, createKeyring({ root, random }), notThisKek)
    return { root, sealed: undefined }
  }
  const value = parseSealedRoot(sealedRoot)
  const kek = keks.find(one => value.sealed.some(({ kek: id }) => id === one.id)) ?? keks[0]
  const root = openRoot(value, kek)
  openCanary(canary, createKeyring({ root, random }), notThisLedgers)
  return { root, sealed: { text: sealedRoot, value } }
}

/** In this order: where the canary is seen, the root key that was placed with it is, too. */
async function readSeals(read: SealedLedger['read']): Promise<Seals> {
  const canary = await read.meta(CANARY)
  if (canary !== undefined) return { canary, sealedRoot: await read.meta(ROOT_KEY) }
  throw new KeyringError(
    'canary_missing',
    'The ledger holds sealed keys but no canary to check the key-encryption key by. Restore the ledger.',
  )
}

/** The canary is the gate: whoever places it places the root key. */
async function placeRoot({ write }: SealedLedger, kek: Kek, random: RandomBytes): Promise<void> {
  const root = kekOf(random(32))
  const ledger = Buffer.from(random(16)).toString('hex')
  const canary = sealCanary(createKeyring({ root, random }))
  await write(async tx => {
    if ((await tx.initMeta(CANARY, canary)) !== canary) return
    const sealed = [sealRoot(root, { kek, ledger, at: tx.now }, random)]
    await tx.initMeta(ROOT_KEY, JSON.stringify({ ledger, sealed, former: null } satisfies SealedRoot))
  })
}

function openCanary(canary: string, keyring: Keyring, refusal: (why: string) => KeyringError): void {
  try {
    checkCanary(canary, keyring)
  } catch (error) {
    if (!(error instanceof KeyringError) || error.code !== 'root_wrong') throw error
    throw refusal(error.message)
  }
}

const notThisKek = (why: string) =>
  new KeyringError(
    'kek_wrong',
    `The key-encryption key does not open this ledger. ${why} Point kek_file at the key this ledger was created ` +
      `with; where the row of its root key (meta, ${ROOT_KEY}) was taken away, restore the ledger.`,
  )

const notThisLedgers = (why: string) =>
  new KeyringError(
    'root_wrong',
    `The root key that the ledger holds (meta, ${ROOT_KEY}) is another ledger’s. ${why} Restore the ledger.`,
  )
