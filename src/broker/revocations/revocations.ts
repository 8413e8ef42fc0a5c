/**
 * The operator's switch. A revocation is a row in the ledger: while its run goes on, and as long as it holds,
 * every broker refuses new tasks and credentials of the same filter. The run goes over the ledger in bounded
 * batches, and whichever broker is there goes on with it.
 */
import { record } from '../../audit/record.ts'
import { isFor, isOfTasks, type RevocationFilter } from '../../policy/revocation-filter.ts'
import type { LeaseFilter, LedgerWrite, RevocationProgress, TaskFilter } from '../../store/ledger.ts'
import type { LeaseRow, RevocationRow } from '../../store/rows.ts'
import { cancelAboveRead } from '../agents/agent-quarantine.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { endedEarly } from '../budgets/credential-budget.ts'
import { endWithin, wakeEnded } from '../tasks/end-task.ts'

export const revocationPrefix = 'revocation/'

export type RevocationOrder = { filter: RevocationFilter; reason: string; hold: boolean }

/** Refuses from here on; the run is begun, and goes on in the background where it is long. */
export async function startRevocation(
  broker: Broker,
  { filter, reason, hold }: RevocationOrder,
  actor: string,
): Promise<RevocationRow> {
  const id = broker.newId('rev')
  await broker.ledger.write(async tx => {
    if (hold && (await tx.blocks()).length >= broker.limits.blocks)
      throw new BrokerError('budget_exhausted', `${broker.limits.blocks} revocations are held; unblock one`)
    await insertRun(tx, { id, filter, actor, reason, hold, blocking: true })
  })
  // It is in the ledger: what fails now is done by the reaper.
  await continueRevocation(broker, revocationPrefix + id).catch(error =>
    broker.log.warn({ revocation: id, err: error }, 'a revocation stopped short; it will go on'),
  )
  broker.wake()
  return readRow(broker, id)
}

/**
 * Part of the transaction that begins it.
 * @param run `blocking`: false where something else refuses what the run ends.
 */
export async function insertRun(
  tx: LedgerWrite,
  run: RevocationOrder & { id: string; actor: string; blocking: boolean },
): Promise<void> {
  const { id, filter, actor, reason, hold, blocking } = run
  await tx.insertRevocation({
    ...{ id, actor, reason, filter: JSON.stringify(filter) },
    ...{ hold: hold ? 1 : 0, state: 'running', blocking: blocking ? 1 : 0 },
    ...{ created_at: tx.now, cursor: null, tasks_ended: 0 },
    ...{ finished_at: null, unblocked_at: null, unblocked_by: null },
  })
  // Due until it is given back: should this broker fall over, another goes on.
  const claim = revocationPrefix + id
  const { fence } = (await tx.takeClaim(claim, tx.now)) ?? { fence: 0 }
  await tx.giveClaim(claim, fence, { pausedUntil: null, due_at: tx.now })
  await record(tx, 'revocation.started', { actor }, { revocation: id, filter, reason, hold })
}

/** One batch of a run that nobody else is at. @returns whether there is more to do. */
export async function continueRevocation(broker: Broker, claimName: string): Promise<boolean> {
  const { ledger, limits } = broker
  const claim = await ledger.write(tx => tx.takeClaim(claimName, tx.now + limits.revocationClaimMs))
  if (claim === undefined) return false
  const row = await ledger.read.revocation(claimName.slice(revocationPrefix.length))
  // What fails is left claimed, and tried again when the claim has run out.
  const isDone = row === undefined || row.state === 'done' || (await runBatch(broker, row))
  await ledger.write(tx =>
    tx.giveClaim(claimName, claim.fence, { pausedUntil: null, due_at: isDone ? null : tx.now }),
  )
  return !isDone
}

/** Ends tasks while there are any to end, then goes through the leases. @returns whether the run is done. */
async function runBatch(broker: Broker, row: RevocationRow): Promise<boolean> {
  const filter = JSON.parse(row.filter) as RevocationFilter

  // 1. What began before the refusal was to be seen is over when this returns, and in the ledger.
  if (row.cursor === null && row.tasks_ended === 0) await broker.ledger.write(tx => tx.awaitMints())

  // 2. Tasks: those that ended are not in the next page.
  if (isOfTasks(filter)) {
    const { items, next: more } = await broker.ledger.read.tasks(tasksOf(filter), {
      limit: broker.limits.endBatch,
    })
    const queue = items.values()
    const lanes = Math.min(items.length, broker.limits.revocationLanes)
    await Promise.all(
      Array.from({ length: lanes }, async () => {
        for (let next = queue.next(); !next.done; next = queue.next())
          await endForRevocation(broker, row, next.value.id)
      }),
    )
    if (more !== null) return false
  }

  // 3. Asks that wait for humans: a task that ended has none any more.
  if (filter.above_read === true && filter.agent !== undefined && row.cursor === null)
    await cancelAboveRead(broker, filter.agent, row.actor)

  // 4. Credentials: what is on its way out already is counted, too.
  const page = await leasesFrom(broker, filter, row.cursor)
  const cursor = page.next === null ? {} : { cursor: page.next }
  const isDone = await broker.ledger.write(async tx => {
    for (const lease of page.items) await revokeForRevocation(tx, row, lease)
    await tx.noteReached(row.id, { tasks: 0, leases: page.items.map(lease => lease.id), ...cursor })
    if (page.next !== null) return false
    if (await tx.finishRevocation(row.id))
      await record(tx, 'revocation.finished', { actor: 'broker' }, { revocation: row.id })
    return true
  })
  if (page.items.length > 0) broker.wake()
  return isDone
}

async function endForRevocation(broker: Broker, row: RevocationRow, task: string): Promise<void> {
  const done = await broker.ledger.write(async tx => {
    const options = { actor: row.actor, detail: row.reason }
    const { ended, leases, cancelled } = await endWithin(broker, tx, task, 'revoked', options)
    await tx.noteReached(row.id, { tasks: ended.length, leases: leases.map(lease => lease.id) })
    return { ended, leases, cancelled }
  })
  wakeEnded(broker, done)
}

async function revokeForRevocation(tx: LedgerWrite, row: RevocationRow, lease: LeaseRow): Promise<void> {
  const revoking = await tx.revokeLease(lease.id)
  if (revoking === undefined) return
  const subject = { actor: row.actor, task: lease.task, agent: lease.agent, lease: lease.id }
  await record(tx, 'lease.revoking', subject, { because: row.id })
  await tx.cutHolds(endedEarly([revoking]), tx.now)
}

export function tasksOf({ task, agent, human }: RevocationFilter): TaskFilter {
  return {
    state: 'active',
    ...(task === undefined ? {} : { within: task }),
    ...(agent === undefined ? {} : { agent }),
    ...(human === undefined ? {} : { human }),
  }
}

/** Those that are not closed and that the filter reaches, of one page of the ledger's. */
export async function leasesFrom(
  broker: Broker,
  filter: RevocationFilter,
  after: string | null,
): Promise<{ items: LeaseRow[]; next: string | null }> {
  const { task, agent, human, issuer, lease, above_read } = filter
  if (lease !== undefined) {
    const row = await broker.ledger.read.lease(lease)
    const above = row === undefined ? [] : await broker.ledger.read.ancestors(row.task)
    const isWithin = task === undefined || row?.task === task || above.some(one => one.id === task)
    const isMeant =
      row !== undefined &&
      row.state !== 'closed' &&
      isWithin &&
      (agent === undefined || agent === row.agent) &&
      (human === undefined || human === (await broker.ledger.read.task(row.task))?.human) &&
      isFor(filter, row.issuer, JSON.parse(row.granted))
    return { items: isMeant ? [row] : [], next: null }
  }
  const wanted: LeaseFilter = {
    state: 'outstanding',
    ...(task === undefined ? {} : { within: task }),
    ...(agent === undefined ? {} : above_read === true ? { below: agent } : { agent }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(human === undefined ? {} : { human }),
  }
  const { items, next } = await broker.ledger.read.leases(wanted, {
    limit: broker.limits.revocationBatch,
    ...(after === null ? {} : { after }),
  })
  const isMeant = (row: LeaseRow) =>
    isFor(filter, row.issuer, JSON.parse(row.granted)) && (above_read !== true || row.phase !== 'read')
  return { items: items.filter(isMeant), next }
}

/** Ends the refusal. @throws BrokerError `not_found` */
export async function unblock(broker: Broker, id: string, actor: string): Promise<RevocationRow> {
  await readRow(broker, id)
  await broker.ledger.write(async tx => {
    if (await tx.unblockRevocation(id, actor))
      await record(tx, 'revocation.unblocked', { actor }, { revocation: id })
  })
  return readRow(broker, id)
}

export type RevocationStatus = { row: RevocationRow; progress: RevocationProgress }

/** @throws BrokerError `not_found` */
export async function revocationStatus(broker: Broker, id: string): Promise<RevocationStatus> {
  return { row: await readRow(broker, id), progress: await broker.ledger.read.revocationProgress(id) }
}

async function readRow(broker: Broker, id: string): Promise<RevocationRow> {
  const row = await broker.ledger.read.revocation(id)
  if (row === undefined) throw new BrokerError('not_found', 'no such revocation')
  return row
}
