import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { LeaseRow, TaskEnd, TaskRow } from '../../store/rows.ts'
import { cancelApprovals } from '../approvals/end-approvals.ts'
import type { Broker } from '../broker.ts'
import { activeTasksBudget } from '../budgets/budgets.ts'
import { endedEarly } from '../budgets/credential-budget.ts'
import { tellOfEnds } from '../proof/tell-webhooks.ts'

export type EndOptions = {
  actor: string
  detail?: string
  /** Asked under the lock: what was a reason to end it when it was looked for may have passed. */
  onlyIf?: (task: TaskRow, now: number, tx: LedgerWrite) => boolean | Promise<boolean>
}

export type Ended = {
  ended: TaskRow[]
  leases: LeaseRow[]
  /** Approvals that waited for humans. */
  cancelled: number
}

/**
 * Ends a task and everything below it: in one transaction the tasks end and their leases, minted or being
 * minted, are on their way to being revoked. The reaper is woken at once. Ending an ended task changes
 * nothing and is no error.
 */
export async function endTask(
  broker: Broker,
  task: string,
  end: TaskEnd,
  options: EndOptions,
): Promise<Ended> {
  const done = await broker.ledger.write(tx => endWithin(broker, tx, task, end, options))
  wakeEnded(broker, done)
  return done
}

/** After the commit: whoever has something to do now. */
export function wakeEnded(broker: Broker, { ended, leases, cancelled }: Ended): void {
  broker.wake()
  const holding = new Set(leases.map(lease => lease.task))
  if (ended.some(({ id }) => !holding.has(id))) broker.settled()
  for (const { id } of ended) broker.waits.wake(id)
  const isTold = ended.length > 0 && broker.outbox.ending !== undefined
  if (cancelled > 0 || isTold) broker.outbox.wake()
}

/** Why a task ended that stood below this one. */
export const endedAbove = (task: string): string => `${task} ended`

/** The same inside a transaction that does more (a retry that replaces the earlier task). */
export async function endWithin(
  broker: Pick<Broker, 'newId' | 'outbox'>,
  tx: LedgerWrite,
  task: string,
  end: TaskEnd,
  options: EndOptions,
): Promise<Ended> {
  const descent = await tx.lockDescent(task)
  const top = descent.find(row => row.id === task)
  const isReason = top === undefined || (await options.onlyIf?.(top, tx.now, tx)) !== false
  if (!isReason) return { ended: [], leases: [], cancelled: 0 }
  const below = descent.filter(row => row.id !== task).map(row => row.id)
  const ended = await tx.endTasks([task], end, options.detail ?? null)
  if (below.length > 0)
    ended.push(...(await tx.endTasks(below, end === 'revoked' ? 'revoked' : 'cancelled', endedAbove(task))))
  if (ended.length === 0) return { ended, leases: [], cancelled: 0 }

  const ids = ended.map(row => row.id)
  const leases = await tx.revokeLeasesOf(ids)
  const cancelled = await cancelApprovals(broker, tx, ids, options.actor)
  for (const row of ended) {
    await record(
      tx,
      'task.ended',
      { actor: options.actor, task: row.id, agent: row.agent },
      {
        end: row.end,
        detail: row.end_detail,
        leases: leases.filter(lease => lease.task === row.id).map(lease => lease.id),
      },
    )
  }
  await tellOfEnds(broker, tx, ended)
  // In one order everywhere, so that two ends of lines with the same agents wait for each other and never cross.
  const agents = ended.filter(row => row.system === 0).map(row => row.agent)
  for (const agent of agents.toSorted()) await tx.giveBudget(activeTasksBudget(agent))
  await tx.cutHolds([...ids, ...endedEarly(leases)], tx.now)
  for (const id of await tx.settleTasks(ids)) await record(tx, 'task.settled', { actor: 'broker', task: id })
  return { ended, leases, cancelled }
}
