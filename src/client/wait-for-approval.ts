import { readTask, type TaskStatus } from './answers.ts'
import { CLIENT_LIMITS } from './limits.ts'
import { inert, MayflyError } from './mayfly-error.ts'
import { type TaskKey, waitCall } from './task-calls.ts'
import type { Call } from './transport.ts'
import { sleep, type World } from './world.ts'

export type ApprovalWait = {
  /** The id of one ask; otherwise every one of the task. */
  ask?: string
  timeoutMs?: number
  signal?: AbortSignal
  /** Told of each answer. */
  note(status: TaskStatus): void
}

/**
 * Waits until humans have answered for everything that was asked of them.
 *
 * @throws MayflyError `approval_pending` when the time is up, `approval_over` where something is not granted,
 * `task_not_active`; the signal's reason
 */
export async function waitForApproval(
  call: (what: Call) => Promise<unknown>,
  world: World,
  task: TaskKey,
  { ask, timeoutMs = Number.POSITIVE_INFINITY, signal, note }: ApprovalWait,
): Promise<void> {
  const until = world.now() + timeoutMs
  for (;;) {
    const left = Math.max(0, Math.ceil((until - world.now()) / 1_000))
    const status = readTask(await call(waitCall(task, left)))
    note(status)
    const asks = status.asks.filter(one => ask === undefined || one.id === ask)
    if (!asks.some(one => one.state === 'pending')) return demandGranted(status, asks)
    if (world.now() >= until)
      throw new MayflyError(`humans have not answered yet: ${named(status, asks, 'pending')}`, {
        ...{ code: 'approval_pending', retryable: true },
      })
    // The broker may have had no place for one more that waits.
    await sleep(world, CLIENT_LIMITS.waitPollMs, signal)
  }
}

function demandGranted(status: TaskStatus, asks: TaskStatus['asks']): void {
  const over = asks.find(one => one.state !== 'granted')
  if (over !== undefined)
    throw new MayflyError(
      `not granted: ${named(status, asks, over.state)}.\n  Ask anew, and better: an ask that is over stays so.`,
      { code: 'approval_over' },
    )
  if (status.state !== 'active')
    throw new MayflyError(`task ${status.id} has ended (${status.end ?? status.state}): open a new one`, {
      code: 'task_not_active',
    })
}

/** Those in one state, with their approvals and what humans gave as their reason. */
function named({ approvals }: TaskStatus, asks: TaskStatus['asks'], state: string): string {
  return asks
    .filter(one => one.state === state)
    .map(({ id }) => {
      const approval = approvals.findLast(one => one.ask === id)
      if (approval === undefined) return `${inert(id)} is ${state}`
      const reason = approval.reason === null ? '' : `, because: ${inert(approval.reason)}`
      return `${inert(id)} is ${state} (${inert(approval.id)}${reason})`
    })
    .join('; ')
}
