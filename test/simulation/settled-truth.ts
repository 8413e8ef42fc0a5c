/** What is still under way: when everything that waits has come, nothing. */
import { untoldEnds } from './delivery-truth.ts'
import { drillsThatDidNotPass } from './drill-truth.ts'
import type { Facts } from './oracle.ts'

export function* unsettled(facts: Facts): Generator<string> {
  const { rows, providers } = facts
  for (const task of rows.tasks.values())
    if (task.state !== 'settled') yield `task ${task.id} is ${task.state} and never settled`
  for (const lease of rows.leases.values())
    if (lease.state !== 'closed') yield `lease ${lease.id} is ${lease.state} and never closed`
  for (const one of providers.alive()) yield `${one.lease} outlived everything`
  for (const { key, used } of rows.budgets.values())
    if (key.startsWith('active_tasks/') && used !== 0) yield `${key} counts ${used} tasks, and there is none`
  for (const { holder, key, until } of rows.budget_holds.values())
    if (until === null) yield `${holder} holds on to ${key}`
  for (const { name, standing } of rows.agents.values())
    if (standing === 'offboarding') yield `${name} is still on its way out`
  for (const { id, state } of rows.approvals.values()) if (state === 'pending') yield `${id} waits for ever`
  for (const task of rows.tasks.values())
    if (task.system === 0 && rows.receipts.get(task.id)?.jws == null) yield `task ${task.id} has no receipt`
  yield* untoldEnds(facts)
  yield* drillsThatDidNotPass(facts)
}
