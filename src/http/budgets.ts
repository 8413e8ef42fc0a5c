import { Hono } from 'hono'
import type { Broker } from '../broker/broker.ts'
import { type BudgetUsage, budgetUsage } from '../broker/budgets/budget-usage.ts'
import { authenticateOperator, authorizeOperator } from '../broker/people/operators.ts'
import { bearer } from './bearer.ts'
import { agentOfTask, demandSeen, eyesOf, type Sees, seen } from './eyes.ts'
import type { Env } from './guard.ts'
import { given, page, query } from './page.ts'
import { budgetsQuery } from './schemas.ts'
import { time } from './time.ts'

/** `/v1/budgets`, for operators: what is used up of what. */
export function budgetRoutes(): Hono<Env> {
  const routes = new Hono<Env>()

  routes.get('/', async c => {
    const broker = c.get('broker')
    const operator = await authenticateOperator(broker, bearer(c))
    const { limit, after, ...filter } = query(c, budgetsQuery)
    const { agent, owner, task } = filter
    await authorizeOperator(broker, operator, 'read', given({ agent, owner }))
    const sees = await eyesOf(c)
    if (task !== undefined) await demandSeen(c, await agentOfTask(broker, task), 'task', sees)
    const found = await budgetUsage(broker, given(filter), given({ limit, after }))
    const items: BudgetUsage[] = []
    for (const usage of found.items) if (await isSeen(broker, usage, sees)) items.push(usage)
    return c.json(page({ ...found, items }, renderUsage))
  })

  return routes
}

/** What a team uses up is for whoever sees an agent of it. */
async function isSeen({ agents }: Broker, { of, id }: BudgetUsage, sees: Sees): Promise<boolean> {
  if (of === 'agent') return sees(id)
  if (of !== 'owner') return true
  const theirs = [...agents().values()].filter(one => one.owner.business === id)
  return (await seen(theirs, sees, one => one.name)).length > 0
}

function renderUsage({ of, id, budgets }: BudgetUsage) {
  return {
    [of]: id,
    budgets: budgets.map(({ name, limit, used, frees }) => ({
      budget: name,
      limit,
      used,
      frees_at: time(frees),
    })),
  }
}
