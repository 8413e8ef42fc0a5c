/** `Prefer: wait=N` (RFC 7240 section 4.3): the answer may wait until humans have said something. */
import type { Context } from 'hono'
import type { Broker } from '../broker/broker.ts'
import type { Env } from './guard.ts'

/**
 * Waits while an ask of the task is pending, where the caller prefers that, within the limits. The request has no
 * place among those at work meanwhile, and needs none for what is left to do.
 *
 * @returns whether it was asked for.
 */
export async function waitForHumans(c: Context<Env>, broker: Broker, task: string): Promise<boolean> {
  const seconds = preferredWait(c.req.header('prefer'))
  if (seconds === undefined) return false
  c.header('preference-applied', `wait=${Math.min(seconds, broker.limits.approvalWaitSeconds)}`)
  const { read } = broker.ledger
  const isOver = async () =>
    c.env.outgoing.destroyed || !(await read.asks(task)).some(ask => ask.state === 'pending')
  if (await isOver()) return true
  c.get('place')?.leave()
  await broker.waits.until(task, Math.min(seconds, broker.limits.approvalWaitSeconds) * 1_000, isOver)
  return true
}

function preferredWait(header: string | undefined): number | undefined {
  const [, digits] = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])/i.exec(header ?? '') ?? []
  return digits === undefined ? undefined : Number(digits)
}
