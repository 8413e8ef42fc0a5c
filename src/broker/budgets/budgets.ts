/**
 * Counters that are taken in the transaction of what they bound: of an agent, of its owner and of its lineage.
 * They are taken late, since whoever else wants the same one waits for the end of the transaction, and in one
 * order everywhere: what few share before what many share, tasks before credentials, minutes last.
 */
import { LIMITS, MINUTE_MS } from '../../limits.ts'
import { type BudgetLimits, type BudgetName, ownerLimits } from '../../policy/budgets.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** No task below outlives the root, and an hour is more than the end of one is ever late. */
const LONGEST_LINEAGE_MS = LIMITS.taskMinutes * MINUTE_MS + HOUR_MS

export type CountedBudget = Exclude<BudgetName, 'child_depth' | 'children'>

/** One counter: `limit` in tasks, credentials, or ms of a write permission. */
export type Budget = {
  name: CountedBudget
  /** As people read it: `agent coder`. */
  of: string
  key: string
  limit: number
  /** When it begins anew, epoch ms; null where only ends give back. */
  frees: number | null
  /** When its counter may be forgotten, epoch ms. */
  until: number
}

/** Whose counters one task or credential goes against. */
export type BudgetSubject = { agent: string; root: string }

/** Who bounds what this subject does. Nobody where the broker does it for itself. */
export function scopesOf(
  broker: Pick<Broker, 'agents' | 'budgets'>,
  { agent: name, root }: BudgetSubject,
): readonly Scope[] {
  const agent = broker.agents().get(name)
  if (agent === undefined) return []
  const owner = agent.owner.business
  return [
    { kind: 'agent', id: agent.name, limits: agent.limits },
    { kind: 'lineage', id: root, limits: broker.budgets.lineages },
    { kind: 'owner', id: owner, limits: ownerLimits(broker.budgets, owner) },
  ]
}

/** The counters of these that are configured, in the order in which they are taken. @param at epoch ms. */
export function budgetsOf(scopes: readonly Scope[], names: readonly CountedBudget[], at: number): Budget[] {
  return names.flatMap(name => scopes.flatMap(scope => budgetOf(scope, name, at)))
}

export type Scope = { kind: 'agent' | 'lineage' | 'owner'; id: string; limits: BudgetLimits }

/** None where the scope does not bound it. */
function budgetOf({ kind, id, limits }: Scope, name: CountedBudget, at: number): Budget[] {
  const limit = limits[name]
  if (limit === undefined) return []
  const of = `${kind} ${id}`
  // Agents' names hold no slash, so that none is in the way of another kind's.
  const whose = kind === 'agent' ? id : `${kind}/${id}`
  if (name === 'active_tasks') {
    // Nobody asks for a lineage again that is over; agents and owners are as many as they are.
    const until = kind === 'lineage' ? at + LONGEST_LINEAGE_MS : Number.MAX_SAFE_INTEGER
    return [{ name, of, key: `active_tasks/${whose}`, limit, frees: null, until }]
  }
  const [windowMs, word] = WINDOWS[name]
  const window = Math.floor(at / windowMs)
  const inMs = name === 'write_minutes_per_day' ? limit * MINUTE_MS : limit
  const key = `${word}/${whose}/${window}`
  const frees = (window + 1) * windowMs
  return [{ name, of, key, limit: inMs, frees, until: frees + windowMs }]
}

const WINDOWS = {
  credentials_per_hour: [HOUR_MS, 'credentials'],
  credentials_per_day: [DAY_MS, 'credentials_per_day'],
  write_minutes_per_day: [DAY_MS, 'write_minutes_per_day'],
} as const

/**
 * One active task. The agent's own counter is given back by every end; the others are held, so that what was
 * taken is given back, whatever the configuration says by then.
 *
 * @throws BrokerError `budget_exhausted`
 */
export async function takeTask(broker: Broker, tx: LedgerWrite, task: TaskRow): Promise<void> {
  for (const budget of budgetsOf(scopesOf(broker, task), ['active_tasks'], tx.now)) {
    const { key, limit, until } = budget
    const hold = { holder: task.id, key, amount: 1, until: null }
    const isTaken =
      key === activeTasksBudget(task.agent)
        ? await tx.takeBudget(key, limit, until)
        : await tx.holdBudget(hold, limit, until)
    if (!isTaken) throw exhausted(broker, budget, tx.now)
  }
}

/** The counter of one agent's active tasks. */
export function activeTasksBudget(agent: string): string {
  return `active_tasks/${agent}`
}

/** What it is, how much there is of it, and when there is some again. */
export function exhausted(broker: Broker, { name, of, limit, frees }: Budget, now: number): BrokerError {
  const anew = frees === null ? '' : `it begins anew at ${new Date(frees).toISOString()}`
  const message = {
    active_tasks: `all ${limit} are active; the end of one frees it`,
    credentials_per_hour: `all ${limit} were given; ${anew}`,
    credentials_per_day: `all ${limit} were given; ${anew}`,
    write_minutes_per_day: `too little is left of ${limit / MINUTE_MS}; ${anew}, and what ends early is given back`,
  }[name]
  const bound = `${name} of ${of}`
  return new BrokerError('budget_exhausted', `${bound}: ${message}`, {
    bound,
    retryAfterMs: frees === null ? broker.limits.budgetRetryAfterMs : Math.max(1, frees - now),
  })
}
