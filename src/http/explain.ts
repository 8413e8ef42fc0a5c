/** A decision as operators read it: the row, and what stands of it today. No secret and no evidence is in it. */
import type { Explained } from '../broker/decisions/explain-decision.ts'
import { renderDecision } from './render.ts'

export function renderExplained(explained: Explained) {
  const { decision, inForce, hashInForce, agent, task, asks, policies } = explained
  return {
    ...renderDecision(decision),
    in_force: inForce,
    policy_hash_in_force: hashInForce,
    ask_whom: agent?.owner ?? null,
    risk_tier: agent?.risk_tier ?? null,
    task_state: task === undefined ? null : (task.end ?? task.state),
    asks: asks.map(({ id, issuer, state }) => ({ id, issuer, state })),
    policies,
  }
}
