/**
 * What may be used up together: by one agent, by all agents of one owner, by one lineage (a root task and all
 * below it). The figures of agents are among their own limits; these are the rest.
 */
export const budgetNames = [
  'active_tasks',
  'credentials_per_hour',
  'credentials_per_day',
  'write_minutes_per_day',
  'child_depth',
  'children',
] as const

export type BudgetName = (typeof budgetNames)[number]

/** What is not named is not bounded. */
export type BudgetLimits = { readonly [Name in BudgetName]?: number | undefined }

export type Budgets = {
  owners: {
    /** For every owner, where the owner's own figures do not say otherwise. */
    default: BudgetLimits
    /** By `owner.business` of the agents. */
    teams: Readonly<Record<string, BudgetLimits>>
  }
  lineages: BudgetLimits
}

export const noBudgets: Budgets = { owners: { default: {}, teams: {} }, lineages: {} }

export function ownerLimits({ owners }: Budgets, owner: string): BudgetLimits {
  const own = Object.hasOwn(owners.teams, owner) ? owners.teams[owner] : undefined
  return own === undefined ? owners.default : { ...owners.default, ...own }
}
