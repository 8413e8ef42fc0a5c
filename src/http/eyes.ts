/** Whose rows an operator sees: lists leave the others out, and a single one of them is not there (404). */
import type { Context } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { BrokerError } from '../broker/broker-error.ts'
import {
  authenticateOperator,
  authorizeOperator,
  type OperatedOn,
  type OperatorAction,
} from '../broker/people/operators.ts'
import type { Page } from '../store/ledger.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'
import { page } from './page.ts'

/** Null: it is of no agent, and for everybody who reads here at all. */
export type Sees = (agent: string | null | undefined) => Promise<boolean>

/**
 * By the role policies, which are asked once about each agent. An operator token sees everything.
 *
 * @param actions any of which is enough; whoever may answer for something may look at it, too.
 */
export async function eyesOf(c: Context<Env>, actions?: readonly OperatorAction[]): Promise<Sees> {
  const may = await judgeOf(c, actions)
  return async agent => agent === null || agent === undefined || may({ agent })
}

/** The same of what a namespace has registered; null: of the operator's own. */
export async function namespaceEyesOf(
  c: Context<Env>,
  actions?: readonly OperatorAction[],
): Promise<(namespace: string | null) => Promise<boolean>> {
  const may = await judgeOf(c, actions)
  return namespace => may(namespace === null ? {} : { namespace })
}

async function judgeOf(c: Context<Env>, actions: readonly OperatorAction[] = ['read']) {
  const broker = c.get('broker')
  const operator = await authenticateOperator(broker, bearer(c))
  const known = new Map<string, Promise<boolean>>()
  async function may(on: OperatedOn): Promise<boolean> {
    for (const action of actions)
      try {
        await authorizeOperator(broker, operator, action, on)
        return true
      } catch (error) {
        // They may, once they have signed in for it.
        if (error instanceof BrokerError && error.code === 'fresh_sign_in_needed') return true
        if (!(error instanceof BrokerError && error.code === 'forbidden')) throw error
      }
    return false
  }
  return async (on: OperatedOn): Promise<boolean> => {
    if (operator.kind === 'token') return true
    const key = JSON.stringify(on)
    const answer = known.get(key) ?? may(on)
    known.set(key, answer)
    return answer
  }
}

/** Those that are seen; in their order. */
export async function seen<Row>(
  rows: readonly Row[],
  sees: Sees,
  agentOf: (row: Row) => Promise<string | null | undefined> | string | null | undefined,
): Promise<Row[]> {
  const kept: Row[] = []
  for (const row of rows) if (await sees(await agentOf(row))) kept.push(row)
  return kept
}

/** A page of what is seen: it may hold fewer than were asked for, though there is a next one. */
export async function seenPage<Row extends { agent: string | null }, Shown>(
  c: Context<Env>,
  found: Page<Row>,
  show: (row: Row) => Shown,
  sees?: Sees,
) {
  const items = await seen(found.items, sees ?? (await eyesOf(c)), row => row.agent)
  return page({ ...found, items }, show)
}

/** @param what as its 404 names it. @throws BrokerError `not_found` */
export async function demandSeen(
  c: Context<Env>,
  agent: string | null | undefined,
  what: string,
  sees?: Sees,
) {
  if (!(await (sees ?? (await eyesOf(c)))(agent))) throw new BrokerError('not_found', `no such ${what}`)
}

/** For rows that name a task and not its agent. */
export async function agentOfTask({ ledger: { read } }: Broker, task: string | null): Promise<string | null> {
  return task === null ? null : ((await read.task(task))?.agent ?? null)
}
