/**
 * Evidence that a workload is handed more than once (a JWT-SVID from an agent's cache, a pod's token): good for
 * whoever holds the key that its first use was bound to; without a key for one task at a time, and after the first
 * for reading only. What a thief finds in a pod's memory is then worth no more than that.
 */
import type { BoundKey } from '../../../attestors/attestor.ts'
import type { Phase } from '../../../issuers/issuer.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { TaskRow } from '../../store/rows.ts'
import { type HeldKeys, keyOf } from '../bound/held-keys.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { readsOnly } from '../lock-mintable.ts'
import { taskMac } from '../verified-rows.ts'
import { isRetry, SpentEvidence, useOf } from './claim-evidence.ts'
import { endWithin } from './end-task.ts'

export type Reuse = { id: string; requestDigest: string; until: number; key: BoundKey | undefined }

/** Undefined where evidence counts once, or as often as it comes. */
export function reuseOf(
  { limits }: Broker,
  { replay, boundKey }: Identity,
  held: HeldKeys,
  requestDigest: string,
): Reuse | undefined {
  if (replay.singleUse || replay.reuse === 'open') return undefined
  const until = replay.until + limits.reissueWindowMs
  return { id: reuseId(replay.id), requestDigest, until, key: boundKey ?? keyOf(held) }
}

/** Under which the last use stands. */
export function reuseId(replayId: string): string {
  return `again/${replayId}`
}

/**
 * Inside the transaction that opens.
 *
 * @returns the task as it may be recorded, and the id of the one that it replaces, after a lost answer
 * @throws SpentEvidence where it belongs to another key; BrokerError `evidence_in_use`, `ask_denied`
 */
export async function reuseEvidence(
  broker: Broker,
  tx: LedgerWrite,
  reuse: Reuse | undefined,
  { task, phases }: { task: TaskRow; phases: readonly Phase[] },
): Promise<{ task: TaskRow; replaced?: string }> {
  if (reuse === undefined) return { task }
  const use = useOf(broker, tx, reuse, task)
  const earlier = await tx.useEvidence(use)
  if (earlier === undefined) return { task }
  if (earlier.bound_key !== null) {
    if (earlier.bound_key === use.bound_key) return { task }
    const { id, requestDigest, until } = reuse
    throw new SpentEvidence(earlier, { what: 'evidence', id, requestDigest, until })
  }
  const before = (await tx.lockDescent(earlier.task)).find(row => row.id === earlier.task)
  const isAgain = isRetry(broker, tx.now, reuse, earlier, before)
  if (!isAgain && before?.state === 'active') {
    // The same request so soon that it may be a race: after that second it is a retry.
    const isSame = earlier.request_digest === reuse.requestDigest
    throw inUse(isSame ? broker.limits.reissueFloorMs : undefined)
  }
  const row = isAgain && before?.read_only === 0 ? task : readOnly(broker, task)
  if (row.read_only === 1 && phases.some(phase => phase !== 'read')) throw readsOnly()
  const taken = { task: task.id, used_at: tx.now, request_digest: use.request_digest, until: use.until }
  if (!(await tx.reuseEvidence(earlier.id, { task: earlier.task }, taken))) throw inUse()
  if (!isAgain) return { task: row }
  const why = { actor: 'broker', detail: 'the answer was lost; opened again' } as const
  await endWithin(broker, tx, earlier.task, 'cancelled', why)
  return { task: row, replaced: earlier.task }
}

function readOnly(broker: Broker, task: TaskRow): TaskRow {
  const row = { ...task, read_only: 1 as const }
  return { ...row, mac: taskMac(broker, row) }
}

const inUse = (retryAfterMs?: number) =>
  new BrokerError(
    'evidence_in_use',
    'another task was opened with this evidence and goes on: end it, bind tasks to a key, or bring fresh evidence',
    retryAfterMs === undefined ? {} : { retryAfterMs },
  )
