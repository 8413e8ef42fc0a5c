/**
 * A ledger that was put back from a backup has forgotten what came after it: evidence that was used, credentials
 * that were minted, ends. Announcing it moves the epoch: evidence from before is refused for good, and until
 * everything the ledger knows of is over, what it knows is ended and nothing begins (docs/decisions/0018).
 */
import { record } from '../../audit/record.ts'
import { LIMITS, MINUTE_MS } from '../../limits.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { RevocationRow, TaskRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { registryMac, verifiedRegistry } from '../verified-rows.ts'
import { rejectEvidence } from './attest.ts'

const metaKey = 'restored'
/** No task is longer: those that were active in the backup are over by then. */
const LONGEST_TASK_MS = LIMITS.taskMinutes * MINUTE_MS
const reason = 'the ledger was restored from a backup'

export type Restored = {
  /** Counts the times that it was announced. */
  epoch: number
  /** Of before are refused: evidence, operators' sessions and tokens; and tasks mint no more. Epoch ms, by the ledger's clock. */
  at: number
  /** The longest `dead_by` of what is outstanding; `at` where nothing is. Nothing is opened or minted before. */
  revoke_only_until: number
  /** The revocation that refuses meanwhile. It ends nothing by itself, and operators may unblock it. */
  block: string
}

/** One transaction; a later announcement takes the place of an earlier one. */
export async function announceRestored(broker: Broker, actor: string): Promise<Restored> {
  const deadBy = await longestDeadBy(broker)
  const block = broker.newId('rev')
  return broker.ledger.write(async tx => {
    await leaveGenerations(broker, tx)
    await tx.awaitMints()
    const earlier = await restoredIn(tx)
    if (earlier !== undefined) await lift(tx, earlier.block, actor)
    const restored: Restored = {
      epoch: (earlier?.epoch ?? 0) + 1,
      at: tx.now,
      revoke_only_until: Math.max(tx.now, deadBy),
      block,
    }
    await tx.insertRevocation({
      ...{ id: block, filter: '{}', actor, reason, hold: 1, state: 'done', blocking: 1 },
      ...{ created_at: tx.now, cursor: null, tasks_ended: 0, finished_at: tx.now },
      ...{ unblocked_at: null, unblocked_by: null },
    })
    await tx.setMeta(metaKey, JSON.stringify(restored))
    await record(tx, 'ledger.restored', { actor }, restored)
    return restored
  })
}

/**
 * Generations that the backup has forgotten are counted again, and a broker that was never stopped may have
 * installed one of that number. The seconds of the clock are above all of them, of this restore and of earlier ones.
 *
 * @throws AlteredRow
 */
async function leaveGenerations(broker: Broker, tx: LedgerWrite): Promise<void> {
  const head = await tx.lockRegistry()
  if (head === undefined) return
  verifiedRegistry(broker, head)
  const generation = Math.max(head.generation + 1, Math.floor(tx.now / 1000))
  const { mac: _, ...unsigned } = { ...head, generation }
  await tx.setRegistry({ ...unsigned, mac: registryMac(broker, unsigned) })
}

/**
 * Tells the refusal of a restored ledger from an operator's own, and takes it back when its time is over.
 * Asked only where something refuses, so that it costs an ordinary mint nothing.
 *
 * @param line the task that would mint, and those above it
 * @returns whether the block stands as one of an operator's. @throws BrokerError `ledger_restored`, `blocked`
 */
export async function standsStill(
  tx: LedgerWrite,
  block: RevocationRow,
  line: readonly TaskRow[],
): Promise<boolean> {
  if (block.reason !== reason) return true
  const restored = await restoredIn(tx)
  if (restored?.block !== block.id) return true
  const leftMs = restored.revoke_only_until - tx.now
  if (leftMs > 0)
    throw new BrokerError(
      'ledger_restored',
      'the ledger was restored from a backup: for now what it knows is ended, and nothing is opened or minted',
      { retryAfterMs: leftMs },
    )
  if (line.some(task => task.opened_at <= restored.at))
    throw new BrokerError(
      'blocked',
      'the task is of before the ledger was restored, and may have ended since: it keeps what it holds until ' +
        'its end, and mints nothing more. Open another',
    )
  if (tx.now > restored.at + LONGEST_TASK_MS) await lift(tx, block.id, 'broker')
  return false
}

/**
 * What was issued before the announcement may have been used after the backup. Evidence that does not say when
 * it was issued is refused for as long as any could live that was there then.
 *
 * @throws BrokerError `evidence_rejected`
 */
export async function demandNewer(broker: Broker, { attestor, replay }: Identity): Promise<void> {
  const restored = parse(await broker.ledger.read.meta(metaKey))
  if (restored === undefined) return
  const { clockSkewMs, undatedEvidenceMs } = broker.limits
  const isNewer =
    replay.issuedAt === undefined
      ? (await broker.ledger.now()) > restored.at + undatedEvidenceMs
      : replay.issuedAt > restored.at + clockSkewMs
  if (isNewer) return
  const detail = `it is of before the ledger was restored (epoch ${restored.epoch})`
  throw await rejectEvidence(broker, attestor, 'before_restore', detail)
}

/**
 * Whether a token of an operator was made before the announcement: it may have been ended after the backup.
 *
 * @param madeAt epoch ms, by the ledger's clock
 */
export async function isOfBefore(broker: Broker, madeAt: number): Promise<boolean> {
  const restored = parse(await broker.ledger.read.meta(metaKey))
  return restored !== undefined && madeAt <= restored.at
}

/**
 * The moment of the announcement (epoch ms), for as long as credentials of before may be alive, or taken back, that
 * the ledger has forgotten. Undefined: there are none.
 */
export async function mayHaveForgotten({ ledger }: Broker): Promise<number | undefined> {
  const restored = parse(await ledger.read.meta(metaKey))
  if (restored === undefined || (await ledger.now()) > restored.at + LONGEST_TASK_MS) return undefined
  return restored.at
}

async function lift(tx: LedgerWrite, block: string, actor: string): Promise<void> {
  if (await tx.unblockRevocation(block, actor))
    await record(tx, 'revocation.unblocked', { actor }, { revocation: block })
}

async function longestDeadBy({ ledger, limits }: Broker): Promise<number> {
  let longest = 0
  for (let after: string | null | undefined; after !== null; ) {
    const page = await ledger.read.leases(
      { state: 'outstanding' },
      { limit: limits.pageItems, ...(after === undefined ? {} : { after }) },
    )
    longest = Math.max(longest, ...page.items.map(lease => lease.dead_by))
    after = page.next
  }
  return longest
}

async function restoredIn(tx: LedgerWrite): Promise<Restored | undefined> {
  return parse(await tx.initMeta(metaKey, ''))
}

function parse(text: string | undefined): Restored | undefined {
  // Written by this file alone; empty where it was only looked for.
  return text === undefined || text === '' ? undefined : (JSON.parse(text) as Restored)
}
