/** What a caller is told of asks that wait for humans. */
import type { Context } from 'hono'
import { ApprovalPending } from '../broker/approvals/ask-approval.ts'
import type { Broker } from '../broker/broker.ts'
import type { AskRow } from '../store/rows.ts'
import { time } from './time.ts'

export const isPending = (ask: Pick<AskRow, 'state'>): boolean => ask.state === 'pending'

/** The approvals of a task: nothing is looked up where every ask was granted as it came. */
export async function approvalsOf(broker: Broker, task: string, asks: readonly AskRow[]) {
  if (asks.every(ask => ask.state === 'granted')) return {}
  const { items } = await broker.ledger.read.approvals({ task }, { limit: broker.limits.pageItems })
  return {
    approvals: items.map(({ id, ask, state, expires_at, reason }) => ({
      ...{ id, ask, state, expires_at: time(expires_at), reason },
    })),
  }
}

export function comeBack(c: Context, { limits }: Pick<Broker, 'limits'>, task: string): void {
  c.header('location', `/v1/tasks/${task}`)
  c.header('retry-after', String(limits.approvalPollMs / 1_000))
}

/** A new ask that waits is no refusal: it was taken. @throws whatever else went wrong */
export function accepted(c: Context, broker: Pick<Broker, 'limits'>, error: unknown): Response {
  if (!(error instanceof ApprovalPending)) throw error
  comeBack(c, broker, error.task)
  const { ask, approval } = error
  return c.json({ status: 'approval_pending', ask, approval, detail: error.message }, 202)
}
