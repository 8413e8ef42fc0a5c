import { record } from '../audit/record.ts'
import type { LeaseRow, TaskRow } from '../store/rows.ts'
import type { Broker } from './broker.ts'
import { endTask } from './end-task.ts'
import { secretHash } from './lease-plan.ts'

/** Takes one credential back; the task goes on. False: it was on its way out, or out, already. */
export async function revokeLease(broker: Broker, lease: LeaseRow, actor: string): Promise<boolean> {
  const revoking = await broker.ledger.write(async tx => {
    const row = await tx.revokeLease(lease.id)
    if (row !== undefined)
      await record(tx, 'lease.revoking', { actor, task: lease.task, agent: lease.agent, lease: lease.id })
    return row
  })
  broker.wake()
  return revoking !== undefined
}

/**
 * RFC 7009 for a holder: a credential of this task or of one below it. A token that is not the caller's to
 * revoke is left alone, and the answer is the same.
 */
export async function revokePresented(broker: Broker, holder: TaskRow, token: string): Promise<void> {
  const lease = await broker.ledger.read.leaseBySecret(secretHash(token))
  if (lease === undefined) return
  if (lease.task !== holder.id) {
    const above = await broker.ledger.read.ancestors(lease.task)
    if (!above.some(task => task.id === holder.id)) return
  }
  await revokeLease(broker, lease, `task:${holder.id}`)
}

export type RevocationTarget = { task: string } | { agent: string } | { lease: string } | { everything: true }

/** The operator's switch: ends tasks (or one lease) whatever they are doing. Returns what it reached. */
export async function revokeByOperator(
  broker: Broker,
  target: RevocationTarget,
  actor: string,
  reason: string,
): Promise<{ tasks: string[]; leases: string[] }> {
  if ('lease' in target) {
    const lease = await broker.ledger.read.lease(target.lease)
    const done = lease !== undefined && (await revokeLease(broker, lease, actor))
    return { tasks: [], leases: done ? [target.lease] : [] }
  }
  const tasks: string[] = []
  const leases: string[] = []
  for await (const id of reach(broker, target)) {
    const ended = await endTask(broker, id, 'revoked', { actor, detail: reason })
    tasks.push(...ended.ended.map(task => task.id))
    leases.push(...ended.leases.map(lease => lease.id))
  }
  return { tasks, leases }
}

/** The tasks a target names, read a page at a time; ended ones fall out of the next page by themselves. */
async function* reach(
  broker: Broker,
  target: { task: string } | { agent: string } | { everything: true },
): AsyncGenerator<string> {
  if ('task' in target) {
    yield target.task
    return
  }
  const filter = { state: 'active', ...('agent' in target ? { agent: target.agent } : {}) } as const
  let after: string | undefined
  do {
    const page = await broker.ledger.read.tasks(filter, {
      limit: broker.limits.endBatch,
      ...(after === undefined ? {} : { after }),
    })
    for (const task of page.items) yield task.id
    after = page.next ?? undefined
  } while (after !== undefined)
}
