import type { Budgets } from '../../src/policy/budgets.ts'

/** So that they are reached now and then: the two agents may have six tasks between them. */
export const SIM_BUDGETS: Budgets = {
  owners: { default: { active_tasks: 5, write_minutes_per_day: 300 }, teams: {} },
  lineages: { active_tasks: 4, credentials_per_hour: 12, write_minutes_per_day: 60 },
}
