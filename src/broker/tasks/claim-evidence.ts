/**
 * What may open one task only: evidence that is good once, and a ticket. A retry after a lost answer is told
 * from a replay by the request, by time, and by what was done with the earlier answer (docs/decisions/0002).
 */
import type { BoundKey } from '../../../attestors/attestor.ts'
import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { EvidenceRow, TaskRow } from '../../store/rows.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { humanOf } from '../people/human.ts'
import { evidenceRejected } from './attest.ts'
import { endWithin } from './end-task.ts'
import type { Parent } from './new-task.ts'

/** The end of a task whose opener never learned its token: nothing was handed out. */
export const FIRST_CREDENTIAL_FAILED = 'its first credential was not minted'

export type Claim = {
  what: 'evidence' | 'ticket' | 'human'
  id: string
  requestDigest: string
  until: number
}

/** What this opening uses up, if anything: single-use evidence, otherwise the ticket. */
export function claimOf(
  broker: Broker,
  identity: Identity,
  parent: Parent | undefined,
  requestDigest: string,
): Claim | undefined {
  const { id, singleUse, until } = identity.replay
  if (singleUse) return { what: 'evidence', id, requestDigest, until: until + broker.limits.reissueWindowMs }
  if (parent === undefined) return undefined
  const { id: ticket, expires_at } = parent.ticket
  return {
    what: 'ticket',
    id: `ticket/${ticket}`,
    requestDigest,
    until: expires_at + broker.limits.reissueWindowMs,
  }
}

/** The ids under which the opening of a task may stand as a use. A child did not present its human. */
export function usedUpBy(task: Pick<TaskRow, 'evidence' | 'ticket' | 'parent' | 'human_facts'>): string[] {
  const { evidence, ticket, parent } = task
  const { human } = parent === null ? humanOf(task) : {}
  return [
    ...(evidence === null ? [] : [evidence]),
    ...(ticket === null ? [] : [`ticket/${ticket}`]),
    ...(human === undefined ? [] : [human.use]),
  ]
}

/** A cheap look before anything is asked of a provider; the ledger's unique key is what decides. */
export async function refuseSpent(broker: Broker, claim: Claim | undefined): Promise<void> {
  if (claim === undefined) return
  const earlier = await broker.ledger.read.evidence(claim.id)
  if (earlier === undefined || earlier.request_digest === claim.requestDigest) return
  throw await refuseAgain(broker, claim, earlier)
}

/**
 * Uses it up, by the ledger's unique key. A retry ends the earlier task and takes its place.
 *
 * @returns the id of the task that was replaced, if one was. @throws SpentEvidence
 */
export async function claimEvidence(
  broker: Broker,
  tx: LedgerWrite,
  claim: Claim | undefined,
  task: TaskRow,
): Promise<string | undefined> {
  if (claim === undefined) return undefined
  const earlier = await tx.useEvidence(useOf(broker, tx, claim, task))
  if (earlier === undefined) return undefined
  const before = (await tx.lockDescent(earlier.task)).find(row => row.id === earlier.task)
  if (!isRetry(broker, tx.now, claim, earlier, before)) throw new SpentEvidence(earlier, claim)
  if (!(await tx.reuseEvidence(claim.id, { task: earlier.task }, { task: task.id, used_at: tx.now })))
    throw new SpentEvidence(earlier, claim)
  await endWithin(broker, tx, earlier.task, 'cancelled', {
    actor: 'broker',
    detail: 'the answer was lost; opened again',
  })
  return earlier.task
}

/**
 * What is used up beside that: good for the task that takes the place of the one which it opened before.
 * @param replaced what {@link claimEvidence} returned. @throws SpentEvidence
 */
export async function claimBeside(
  broker: Broker,
  tx: LedgerWrite,
  claim: Claim | undefined,
  task: TaskRow,
  replaced: string | undefined,
): Promise<void> {
  if (claim === undefined) return
  const earlier = await tx.useEvidence(useOf(broker, tx, claim, task))
  if (earlier === undefined) return
  const again = earlier.task === replaced && earlier.request_digest === claim.requestDigest
  const to = { task: task.id, used_at: tx.now }
  if (!again || !(await tx.reuseEvidence(claim.id, { task: earlier.task }, to)))
    throw new SpentEvidence(earlier, claim)
}

/** A use as it is written down: for as long as a lost answer may be asked for again, at least. */
export function useOf(
  { limits }: Broker,
  { now }: LedgerWrite,
  { id, requestDigest, until, key }: Omit<Claim, 'what'> & { key?: BoundKey | undefined },
  task: TaskRow,
): EvidenceRow {
  return {
    id,
    task: task.id,
    request_digest: requestDigest,
    bound_key: key === undefined ? null : JSON.stringify(key),
    used_at: now,
    until: Math.max(until, now + limits.reissueWindowMs),
  }
}

/** The same request, neither a race nor late, and nobody ended the earlier task or ever used its token. */
export function isRetry(
  { limits }: Broker,
  now: number,
  claim: Pick<Claim, 'requestDigest'>,
  earlier: EvidenceRow,
  before: TaskRow | undefined,
): boolean {
  if (before === undefined || before.token_used_at !== null) return false
  const unanswered = before.end === 'failed' && before.end_detail === FIRST_CREDENTIAL_FAILED
  if (before.state !== 'active' && !unanswered) return false
  const age = now - earlier.used_at
  // What certainly failed needs no telling from a race.
  const floor = unanswered ? 0 : limits.reissueFloorMs
  return earlier.request_digest === claim.requestDigest && age >= floor && age <= limits.reissueWindowMs
}

/** Rolls the opening back; what is to be said of it is said afterwards. */
export class SpentEvidence extends Error {
  readonly earlier: EvidenceRow
  readonly claim: Claim
  constructor(earlier: EvidenceRow, claim: Claim) {
    super('the evidence was used before')
    this.earlier = earlier
    this.claim = claim
  }
}

/** What the caller is told of a second use. Of evidence, in whatever spelling, it is an alarm. */
export async function refuseAgain(broker: Broker, claim: Claim, earlier: EvidenceRow): Promise<BrokerError> {
  if (claim.what === 'ticket') return ticketRejected()
  broker.log.warn({ alarm: 'evidence_replayed', task: earlier.task }, 'evidence was presented again')
  await broker.ledger.write(tx => record(tx, 'evidence.replayed', { actor: 'broker', task: earlier.task }))
  return evidenceRejected(new SpentEvidence(earlier, claim))
}

/**
 * Whether a refusal is of the same request so soon after the first one that a retry could not be told from a race.
 * Whoever sent it may come again after that second, and is then answered as a retry.
 */
export function cameTooSoon({ limits, now }: Broker, error: unknown): boolean {
  const spent = error instanceof BrokerError ? error.cause : undefined
  if (!(spent instanceof SpentEvidence)) return false
  const { earlier, claim } = spent
  return earlier.request_digest === claim.requestDigest && now() - earlier.used_at < limits.reissueFloorMs
}

/** One message for every cause, a lost race too. */
export function ticketRejected(): BrokerError {
  return new BrokerError(
    'ticket_rejected',
    'the ticket is unknown, used, past its time, or for another agent',
  )
}

/** An alarm, too: most likely an answer was lost, but a thief's copy of the request looks the same. */
export function reissued(broker: Broker, task: string, instead: string): void {
  broker.log.warn({ alarm: 'task_reissued', task, instead_of: instead }, 'the same request opened again')
}
