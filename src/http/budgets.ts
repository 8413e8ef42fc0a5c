import { Hono } from 'hono'
import { type BudgetUsage, budgetUsage } from '../broker/budget-usage.ts'
import { authenticateOperator, authorizeOperator } from '../broker/operators.ts'
import { bearer } from './bearer.ts'
import type { Env } from './guard.ts'
import { given, page, query } from './page.ts'
import { budgetsQuery } from './schemas.ts'

/** `/v1/budgets`, for operators: what is used up of what. */
export function budgetRoutes(): Hono<Env> {
  const routes = new Hono<Env>()

  routes.get('/', async c => {
    const broker = c.get('broker')
    const operator = await authenticateOperator(broker, bearer(c))
    const { limit, after, ...filter } = query(c, budgetsQuery)
    const { agent, owner } = filter
    await authorizeOperator(broker, operator, 'read', given({ agent, owner }))
    return c.json(page(await budgetUsage(broker, given(filter), given({ limit, after })), renderUsage))
  })

  return routes
}

function renderUsage({ of, id, budgets }: BudgetUsage) {
  return {
    [of]: id,
    budgets: budgets.map(({ name, limit, used, frees }) => ({
      budget: name,
      limit,
      used,
      frees_at: frees === null ? null : new Date(frees).toISOString(),
    })),
  }
}
