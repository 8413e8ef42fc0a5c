/** A vocabulary like that of a small installation, and requests in its words. */
import { type CompiledSet, compilePolicies } from '../../../src/policy/cedar/compile.ts'
import { type Vocabulary, vocabularyOf } from '../../../src/policy/cedar/vocabulary.ts'
import type { PolicyRequest } from '../../../src/policy/facts.ts'

export const vocabulary: Vocabulary = vocabularyOf(
  new Map([
    [
      'github',
      {
        claimTypes: {
          event_name: 'string',
          environment: 'string',
          head_ref: 'string',
          repository_id: 'string',
          runner_environment: 'string',
        },
      },
    ],
    ['ci', { claimTypes: { groups: 'string_list', level: 'integer', verified: 'boolean' } }],
  ]),
  new Map([
    ['github-app', { resourceTypes: { Repository: ['Owner'] } }],
    ['aws', { resourceTypes: { Role: ['Account'] } }],
    ['tokens', { resourceTypes: { Audience: [] } }],
    ['vault', {}],
  ]),
)

type Changes = Omit<Partial<PolicyRequest>, 'agent' | 'context'> & {
  agent?: Partial<PolicyRequest['agent']>
  context?: Partial<PolicyRequest['context']>
}

export function request({ agent, context, ...rest }: Changes = {}): PolicyRequest {
  return {
    issuer: 'github-app',
    phase: 'read',
    resources: [
      { type: 'Repository', id: '42', name: 'acme/shop', parents: [{ type: 'Owner', id: 'acme' }] },
    ],
    ...rest,
    agent: {
      name: 'shop-triage',
      team: 'shop',
      technicalOwner: 'dana',
      riskTier: 'low',
      status: 'active',
      systems: ['shop'],
      ...agent,
    },
    context: {
      attestor: 'github',
      subject: 'repo:acme/shop:ref:refs/heads/main',
      claims: { event_name: 'push' },
      purpose: 'triage',
      ttlSeconds: 900,
      parents: [],
      permissions: ['contents:read'],
      targets: [],
      revocability: 'immediate',
      mayLeaveAccess: false,
      held: {
        phases: { lineage: [], agent: [], owner: [] },
        credentials: { lineage: 0, agent: 0, owner: 0 },
      },
      now: Date.UTC(2026, 10, 22, 4, 30),
      digest: 'd'.repeat(64),
      ...context,
    },
  }
}

/** @throws where the policies are not taken */
export function compiled(...texts: string[]): CompiledSet {
  const result = compilePolicies(
    texts.map((text, index) => ({ name: `${index}.cedar`, text })),
    vocabulary,
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.set
}

/** None where the policies are taken. */
export function problemsOf(...texts: string[]) {
  const result = compilePolicies(
    texts.map((text, index) => ({ name: `${index}.cedar`, text })),
    vocabulary,
  )
  return result.ok ? [] : result.problems
}
