/** Whether Cedar still judges as it should: asked of a thread before it is believed. */

import type { PolicyRequest, PolicyVerdict } from '../facts.ts'
import { compilePolicies } from './compile.ts'
import { judgeOrThrow } from './judge.ts'

const POLICIES = `
@id("permits") permit(principal, action in Mayfly::Action::"*:*", resource) when { context.ttlSeconds <= 60 };
@id("forbids") forbid(principal, action in Mayfly::Action::"*:deploy", resource);
@id("waits") @onDeny("needs_approval") forbid(principal, action in Mayfly::Action::"*:execute", resource)
  unless { context has approval };
@id("errs") forbid(principal, action in Mayfly::Action::"*:transact", resource)
  when { context.depth + 9223372036854775807 > 0 };`

const EXPECTED: readonly [PolicyRequest['phase'], ttlSeconds: number, PolicyVerdict['outcome']][] = [
  ['read', 60, 'allow'],
  ['read', 61, 'deny'],
  ['deploy', 60, 'deny'],
  ['execute', 60, 'needs_approval'],
  ['execute', 61, 'deny'],
  ['transact', 60, 'deny'], // a forbid that cannot be evaluated
]

/** @returns what is wrong; undefined where nothing is. @throws where Cedar's module is broken */
export function canaryFault(): string | undefined {
  const compiled = compilePolicies([{ name: 'canary', text: POLICIES }], {
    issuers: { canary: {} },
    claims: {},
  })
  if (!compiled.ok) return `the canary's policies do not compile: ${compiled.problems[0]?.message}`
  const wrong = EXPECTED.find(
    ([phase, ttlSeconds, outcome]) =>
      judgeOrThrow(compiled.set, request(phase, ttlSeconds)).outcome !== outcome,
  )
  return wrong === undefined ? undefined : `the canary's ${wrong[0]} is not judged ${wrong[2]}`
}

function request(phase: PolicyRequest['phase'], ttlSeconds: number): PolicyRequest {
  const none = { lineage: [], agent: [], owner: [] }
  return {
    agent: {
      ...{ name: 'canary', team: 'canary', technicalOwner: 'canary' },
      ...{ riskTier: 'low', status: 'active', systems: [] },
    },
    issuer: 'canary',
    phase,
    resources: [{ type: 'Cage', id: '1', name: 'cage', parents: [] }],
    context: {
      ...{ attestor: 'canary', subject: 'canary', claims: {}, purpose: 'sings', ttlSeconds },
      // One agent above it: what is added to this overflows.
      ...{ parents: ['miner'], permissions: [], targets: [], revocability: 'immediate' },
      ...{ mayLeaveAccess: false, now: 0, digest: 'canary' },
      held: { phases: none, credentials: { lineage: 0, agent: 0, owner: 0 } },
    },
  }
}
