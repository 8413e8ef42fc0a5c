/**
 * What the ledger refuses under its locks (a budget, an operator's hold, how an agent stands) is rolled back with all
 * that was to be written. It is a denial like any other, so it is written down afterwards.
 */
import { createHash } from 'node:crypto'
import { newId } from '../../keys/ids.ts'
import type { DecisionRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError, type ErrorCode } from '../broker-error.ts'
import { newDecision, recordDenial } from './record-decision.ts'

const KEPT: ReadonlySet<ErrorCode> = new Set(['budget_exhausted', 'blocked', 'agent_not_active'])

/** What was to be done, and as what it was judged so far: `facts` of a decision, as JSON. */
export type Refusable = Pick<DecisionRow, 'task' | 'facts'> & { agent: string }

/**
 * Runs it, and keeps its refusal. Whoever knocks again and again is told the same decision: one for each task or, at
 * an opening, each agent, for each thing that stands in the way and each window of time.
 *
 * @throws BrokerError as `run` did, with the decision
 */
export async function keepRefusal<T>(broker: Broker, about: Refusable, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof BrokerError) || !KEPT.has(error.code) || error.decision !== undefined) throw error
    const { code, message, retryAfterMs, cause } = error
    const decision = await keep(broker, about, error)
    throw new BrokerError(code, message, {
      ...{ decision, cause },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    })
  }
}

async function keep(
  broker: Broker,
  { task, agent, facts }: Refusable,
  { code, bound, message }: BrokerError,
): Promise<string> {
  const { refusalWindowMs: windowMs, clockSkewMs } = broker.limits
  const from = Math.floor(broker.now() / windowMs) * windowMs
  const digest = createHash('sha256')
    .update(JSON.stringify([code, bound, task, agent, from]))
    .digest()
  const id = newId('dec', from, size => digest.subarray(0, size))
  if ((await broker.ledger.read.decision(id)) !== undefined) return id
  const made = { task, agent, outcome: 'deny', reasons: [`${code}: ${message}`], facts: {} } as const
  const decision = { ...newDecision(broker, made), facts, id }
  const isFirst = await broker.ledger.write(async tx => {
    if (!(await tx.takeBudget(`denied/${id}`, 1, from + windowMs + clockSkewMs))) return false
    await recordDenial(tx, decision)
    return true
  })
  if (isFirst) broker.log.info({ code, agent, task, decision: id }, 'refused under the locks')
  return id
}
