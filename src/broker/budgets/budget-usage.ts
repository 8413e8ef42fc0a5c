/** How much of each counted budget is used up now: of every owner and agent, or of one lineage. */
import { MINUTE_MS } from '../../limits.ts'
import { ownerLimits } from '../../policy/budgets.ts'
import type { Page } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { budgetsOf, type CountedBudget, type Scope } from './budgets.ts'

const COUNTED: readonly CountedBudget[] = [
  'active_tasks',
  'credentials_per_hour',
  'credentials_per_day',
  'write_minutes_per_day',
]

export type BudgetUsage = {
  of: Scope['kind']
  id: string
  /** In tasks, credentials or minutes; a minute that was begun is used. */
  budgets: { name: CountedBudget; limit: number; used: number; frees: number | null }[]
}

/** Owners first, then agents, each by name. `agent`: it and its owner. `owner`: it and its agents. */
export type BudgetFilter = { agent?: string; owner?: string; task?: string }

/** @throws BrokerError `not_found` where the task or the agent is not known */
export async function budgetUsage(
  broker: Broker,
  filter: BudgetFilter,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<BudgetUsage>> {
  const now = await broker.ledger.now()
  const bounded = (await scopesFor(broker, filter))
    .map(scope => ({ scope, cursor: `${scope.kind === 'owner' ? 0 : 1}:${scope.id}` }))
    .filter(({ scope }) => budgetsOf([scope], COUNTED, now).length > 0)
    .sort((a, b) => (a.cursor < b.cursor ? -1 : 1))
    .filter(({ cursor }) => after === undefined || cursor > after)
  const shown = bounded.slice(0, limit)
  const keys = shown.flatMap(({ scope }) => budgetsOf([scope], COUNTED, now).map(({ key }) => key))
  const rows = await broker.ledger.read.budgets(keys)
  const used = new Map(rows.filter(row => row.until > now).map(row => [row.key, row.used]))
  return {
    items: shown.map(({ scope }) => usageOf(scope, used, now)),
    next: bounded.length > limit ? (shown.at(-1)?.cursor ?? null) : null,
  }
}

function usageOf(scope: Scope, used: ReadonlyMap<string, number>, now: number): BudgetUsage {
  const budgets = budgetsOf([scope], COUNTED, now).map(({ name, key, limit, frees }) => {
    const unit = name === 'write_minutes_per_day' ? MINUTE_MS : 1
    return { name, limit: limit / unit, used: Math.ceil((used.get(key) ?? 0) / unit), frees }
  })
  return { of: scope.kind, id: scope.id, budgets }
}

async function scopesFor(broker: Broker, { agent, owner, task }: BudgetFilter): Promise<Scope[]> {
  if (task !== undefined) {
    const row = await broker.ledger.read.task(task)
    if (row === undefined) throw new BrokerError('not_found', 'no such task')
    return [{ kind: 'lineage', id: row.root, limits: broker.budgets.lineages }]
  }
  const agents = [...broker.agents().values()].filter(
    one =>
      (agent === undefined || one.name === agent) && (owner === undefined || one.owner.business === owner),
  )
  if (agent !== undefined && agents.length === 0) throw new BrokerError('not_found', 'no such agent')
  const owners = new Set(agents.map(one => one.owner.business))
  return [
    ...[...owners].map(
      id => ({ kind: 'owner', id, limits: ownerLimits(broker.budgets, id) }) satisfies Scope,
    ),
    ...agents.map(({ name, limits }) => ({ kind: 'agent', id: name, limits }) satisfies Scope),
  ]
}
