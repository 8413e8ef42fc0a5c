/**
 * A new key-encryption key (KEK) for a ledger, in two steps: the root key is sealed under the new one, too, so that
 * both open the ledger; and once every broker has the new one, the old one's is deleted. Each step is one
 * conditional update, and either can be repeated.
 */
import { record } from '../audit/record.ts'
import type { Kek } from './kek.ts'
import { KeyringError } from './keyring-error.ts'
import { isUnsealed, type OpenedRoot, openSealed, type SealedLedger } from './open-keyring.ts'
import type { RandomBytes } from './random.ts'
import { ROOT_KEY, type SealedRoot, sealRoot } from './root-key.ts'

const OPERATOR = { actor: 'operator:offline' }

/**
 * Seals the root key under `next` as well; it is the one to stay from then on. Where it is the other one of a
 * rotation under way, the rotation is turned round.
 * @returns whether that was so before, and the id of the KEK that opens the ledger besides, if one does
 * @throws KeyringError kek_rotating, kek_wrong, canary_missing, seal_broken, seal_malformed; LedgerUnavailable
 */
export async function rotateKek(
  ledger: SealedLedger,
  { kek, next }: { kek: Kek; next: Kek },
  random: RandomBytes,
): Promise<{ changed: boolean; besides: string | undefined }> {
  await demandSealed(ledger)
  const opened = await openSealed(ledger.read, [kek, next], random)
  const standing = opened.sealed?.value
  const besides = (standing?.sealed.map(one => one.kek) ?? [kek.id]).find(id => id !== next.id)
  if (besides === undefined || standing?.sealed.at(-1)?.kek === next.id) {
    // Whoever relies on it now may find that it opens the ledger.
    await openSealed(ledger.read, [next], random)
    return { changed: false, besides }
  }
  const [first, second] = standing?.sealed ?? []
  if (second !== undefined && first?.kek !== next.id)
    throw new KeyringError(
      'kek_rotating',
      `A rotation from key ${first?.kek} to ${second.kek} is under way, and ${next.id} is neither. ` +
        'Finish that one first: mayfly kek rotate --finish.',
    )
  await exchange(ledger, opened, { event: 'kek.sealed', from: besides, to: next.id }, at => {
    const of = standing?.ledger ?? Buffer.from(random(16)).toString('hex')
    const sealed = (by: Kek) => sealRoot(opened.root, { kek: by, ledger: of, at }, random)
    const stays = second ?? first ?? sealed(kek)
    return { ledger: of, sealed: [stays, sealed(next)], former: standing?.former ?? null }
  })
  return { changed: true, besides }
}

/**
 * Deletes what the KEK that goes opened the ledger by. `kek` is the one that stays.
 * @returns the id of the one that went, and whether it is the root key itself: in a ledger of before root keys
 * @throws KeyringError kek_rotating, kek_wrong, canary_missing, seal_broken, seal_malformed; LedgerUnavailable
 */
export async function finishRotation(
  ledger: SealedLedger,
  kek: Kek,
  random: RandomBytes,
): Promise<{ gone: string; wasRoot: boolean } | undefined> {
  await demandSealed(ledger)
  const opened = await openSealed(ledger.read, [kek], random)
  const standing = opened.sealed?.value
  const [first, second] = standing?.sealed ?? []
  if (standing === undefined || first === undefined || second === undefined) return undefined
  if (second.kek !== kek.id)
    throw new KeyringError(
      'kek_rotating',
      `kek_file still holds key ${kek.id}, and the ledger is rotating to ${second.kek}. Put the file of ${second.kek} ` +
        'where kek_file points, for every broker, and finish then. To keep the old key instead, name its file: ' +
        'mayfly kek rotate --new-kek-file.',
    )
  await exchange(ledger, opened, { event: 'kek.retired', from: first.kek, to: second.kek }, () => ({
    ...{ ledger: standing.ledger, sealed: [second], former: first.kek },
  }))
  return { gone: first.kek, wasRoot: first.kek === opened.root.id }
}

async function demandSealed({ read }: SealedLedger): Promise<void> {
  if (!(await isUnsealed(read))) return
  throw new KeyringError(
    'canary_missing',
    'Nothing is sealed in this ledger yet, so there is nothing to rotate: put the new key where kek_file points, ' +
      'and start the broker.',
  )
}

/** @throws KeyringError kek_rotating where another was there first */
async function exchange(
  { write }: SealedLedger,
  { sealed }: OpenedRoot,
  { event, ...keys }: { event: 'kek.sealed' | 'kek.retired'; from: string; to: string },
  make: (at: number) => SealedRoot,
): Promise<void> {
  const isOurs = await write(async tx => {
    const text = JSON.stringify(make(tx.now))
    const won =
      sealed === undefined
        ? (await tx.initMeta(ROOT_KEY, text)) === text
        : await tx.swapMeta(ROOT_KEY, sealed.text, text)
    if (won) await record(tx, event, OPERATOR, keys)
    return won
  })
  if (isOurs) return
  throw new KeyringError(
    'kek_rotating',
    'Somebody else rotated this ledger’s key at the same moment, and nothing was changed here. Run it again.',
  )
}
