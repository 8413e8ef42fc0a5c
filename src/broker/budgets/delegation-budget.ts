/** How deep tasks may be nested, and how many children one may have: what bounds it most is what is named. */
import { ownerLimits } from '../../policy/budgets.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type Scope, scopesOf } from './budgets.ts'

/**
 * Each agent of the line says how deep tasks may be nested below its own, and so does its owner; the lineage says
 * how deep below the root. @param line root first, up to the task that delegates.
 *
 * @throws BrokerError `ask_denied`: nothing frees it
 */
export function demandDepth(broker: Broker, line: readonly TaskRow[]): void {
  const depth = line.length
  for (const [index, task] of line.entries()) {
    const tooDeep = depthScopes(broker, task, index === 0).find(
      ({ limits }) => depth - index > (limits.child_depth ?? broker.limits.lineageDepth),
    )
    if (tooDeep === undefined) continue
    const { kind, id, limits } = tooDeep
    throw new BrokerError('ask_denied', `child_depth of ${kind} ${id}: ${limits.child_depth ?? 0} at most`)
  }
  if (depth >= broker.limits.lineageDepth)
    throw new BrokerError('ask_denied', `tasks may be nested ${broker.limits.lineageDepth} deep`)
}

function depthScopes(broker: Broker, task: TaskRow, isRoot: boolean): readonly Scope[] {
  const agent = broker.agents().get(task.agent)
  const own: Scope = { kind: 'agent', id: task.agent, limits: agent?.limits ?? { child_depth: 0 } }
  const owner = agent?.owner.business ?? ''
  return [
    own,
    { kind: 'owner', id: owner, limits: ownerLimits(broker.budgets, owner) },
    ...(isRoot ? [{ kind: 'lineage', id: task.root, limits: broker.budgets.lineages } as const] : []),
  ]
}

/**
 * One ticket of those that a task may give, over its whole life.
 *
 * @throws BrokerError `budget_exhausted`
 */
export async function takeTicket(broker: Broker, tx: LedgerWrite, parent: TaskRow): Promise<void> {
  const most = broker.limits.childrenPerTask
  const tightest = scopesOf(broker, parent).reduce<{ of: string; limit: number }>(
    (least, { kind, id, limits }) =>
      (limits.children ?? most) < least.limit
        ? { of: `${kind} ${id}`, limit: limits.children ?? most }
        : least,
    { of: 'every task', limit: most },
  )
  const { of, limit } = tightest
  if (await tx.takeBudget(`children/${parent.id}`, limit, parent.deadline + broker.limits.ticketMs)) return
  const message = `children of ${of}: a task may open ${limit} tickets, and has`
  throw new BrokerError('budget_exhausted', message, { bound: 'children' })
}
