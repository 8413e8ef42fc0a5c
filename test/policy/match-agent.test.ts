import { expect, test } from 'vitest'
import type { ClaimValue } from '../../attestors/attestor.ts'
import type { Agent } from '../../src/policy/agent.ts'
import { matchAgent } from '../../src/policy/match-agent.ts'

const agentWith = (level: readonly (string | number | boolean)[]): Agent => ({
  ...{ name: 'release', owner: { business: 'b', technical: 't' }, purpose: 'p', risk_tier: 'low' },
  ...{ systems: ['api'], expires_at: 2_000, attest: [{ attestor: 'ci', claims: { level } }], ceiling: {} },
  limits: { task_minutes: 1, active_tasks: 1, credentials_per_hour: 1, child_depth: 0, children: 0 },
  ...{ may_outlive_minutes: {}, may_delegate_to: [], digest: '' },
})
const matches = (rule: readonly (string | number | boolean)[], claim: ClaimValue) =>
  matchAgent([agentWith(rule)], { attestor: 'ci', subject: 's', claims: { level: claim } }, undefined, 1_000)
    .ok

// A claim of type integer could be matched by no rule.
test.each<[readonly (string | number | boolean)[], ClaimValue]>([
  [[3], 3],
  [[2, 3], 3],
  [['3'], '3'],
  [[true], true],
])('a rule of %j takes %j', (rule, claim) => {
  expect(matches(rule, claim)).toBe(true)
})

test.each<[readonly (string | number | boolean)[], ClaimValue]>([
  [[3], '3'],
  [['3'], 3],
  [[1], true],
  [['true'], true],
  [[3], 4],
  [['a'], ['a']],
])('a rule of %j does not take %j', (rule, claim) => {
  expect(matches(rule, claim)).toBe(false)
})
