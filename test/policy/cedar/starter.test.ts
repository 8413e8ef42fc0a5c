/** Each rule that is shipped, both ways: what it stops and what it lets through. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type CompiledSet, compilePolicies } from '../../../src/policy/cedar/compile.ts'
import { judgeCompiled } from '../../../src/policy/cedar/judge.ts'
import { PHASES } from '../../../src/policy/cedar/schema.ts'
import type { PolicyRequest } from '../../../src/policy/facts.ts'
import { request, vocabulary } from './facts.ts'

const shipped = join(import.meta.dirname, '../../../config/policies')

function load(folder: string): CompiledSet {
  const names = readdirSync(folder).filter(name => name.endsWith('.cedar'))
  const result = compilePolicies(
    names.map(name => ({ name, text: readFileSync(join(folder, name), 'utf8') })),
    vocabulary,
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.set
}

describe('the default set', () => {
  const set = load(shipped)

  test('permits whatever was within the bounds', () => {
    expect(set.policies.map(({ id }) => id)).toEqual(['ceilings-are-enough'])
    for (const phase of PHASES)
      for (const riskTier of ['low', 'high'] as const)
        for (const human of [undefined, { issuer: 'https://id.example', subject: 'u', groups: [] }])
          expect(
            judgeCompiled(set, {
              ...request({
                phase,
                agent: { riskTier, status: 'quarantined' },
                context: { mayLeaveAccess: true, revocability: 'expiry_only', claims: {} },
              }),
              ...(human === undefined ? {} : { human }),
            }).outcome,
          ).toBe('allow')
  })
})

type Case = [rule: string, stopped: PolicyRequest, passed: PolicyRequest]

describe('the starter set', () => {
  const set = load(join(shipped, 'starter'))
  const production = { event_name: 'push', environment: 'production' }
  const held = (line: PolicyRequest['phase'][], agent: PolicyRequest['phase'][] = []) => ({
    held: {
      phases: { lineage: line, agent, owner: ['execute', 'deploy'] as const },
      credentials: { lineage: 1, agent: 1, owner: 2 },
    },
  })
  const approval = (count: number) => ({ approval: { digest: request().context.digest, count, groups: [] } })

  const forbidden: Case[] = [
    ...['pull_request_target', 'issue_comment', 'workflow_run'].map(
      (event_name): Case => [
        'no-write-on-risky-events',
        request({ phase: 'propose', context: { claims: { event_name } } }),
        request({ phase: 'read', context: { claims: { event_name } } }),
      ],
    ),
    [
      'no-write-from-pull-requests',
      request({ phase: 'propose', context: { claims: { event_name: 'pull_request' } } }),
      request({ phase: 'read', context: { claims: { event_name: 'pull_request' } } }),
    ],
    [
      'no-write-from-pull-requests',
      request({ phase: 'execute', context: { claims: { event_name: 'push', head_ref: 'feature' } } }),
      request({ phase: 'execute', context: { claims: { event_name: 'push', head_ref: '' } } }),
    ],
    [
      'deploy-from-protected-environments',
      request({ phase: 'deploy', context: { claims: { event_name: 'push', environment: 'preview' } } }),
      request({ phase: 'deploy', context: { claims: production } }),
    ],
    [
      'deploy-from-protected-environments',
      request({ phase: 'deploy', context: { claims: { event_name: 'push' } } }),
      request({ phase: 'execute', context: { claims: { event_name: 'push' } } }),
    ],
    ...[{ mayLeaveAccess: true }, { revocability: 'expiry_only' as const }].map(
      (kind): Case => [
        'highest-tier-leaves-nothing-behind',
        request({ agent: { riskTier: 'high' }, context: { ...kind, ...approval(2) } }),
        request({ agent: { riskTier: 'medium' }, context: { ...kind, ...approval(2) } }),
      ],
    ),
  ]
  test.each(forbidden)('%s', (rule, stopped, passed) => {
    const denied = judgeCompiled(set, stopped)
    expect(denied.outcome).toBe('deny')
    expect(denied.determining).toContain(rule)
    expect(judgeCompiled(set, passed)).toMatchObject({ outcome: 'allow' })
  })

  const waiting: [
    rule: string,
    quorum: number,
    context: Partial<PolicyRequest['context']>,
    PolicyRequest['phase'],
  ][] = [
    ['write-after-deploy-takes-two', 2, held(['deploy']), 'execute'],
    ['write-after-deploy-takes-two', 2, held([], ['deploy']), 'execute'],
    ['write-after-deploy-takes-two', 2, held(['deploy']), 'propose'],
    ['deploy-after-write-takes-two', 2, { ...held(['execute']), claims: production }, 'deploy'],
    ['deploy-after-write-takes-two', 2, { ...held([], ['propose']), claims: production }, 'deploy'],
    ['irrevocable-needs-approval', 1, { revocability: 'expiry_only' }, 'read'],
    ['lasting-access-needs-approval', 1, { mayLeaveAccess: true }, 'execute'],
  ]
  test.each(waiting)('%s', (rule, quorum, context, phase) => {
    const asked = judgeCompiled(set, request({ phase, context }))
    expect(asked).toMatchObject({ outcome: 'needs_approval', requires: [{ policy: rule, quorum }] })
    const judged = (count: number) =>
      judgeCompiled(set, request({ phase, context: { ...context, ...approval(count) } })).outcome
    expect(judged(quorum - 1)).toBe('needs_approval')
    expect(judged(quorum)).toBe('allow')
    expect(judgeCompiled(set, request({ phase, context: { claims: production } })).outcome).toBe('allow')
  })

  const permitted: Case[] = [
    [
      'read-and-propose',
      request({ context: { ttlSeconds: 28_801 } }),
      request({ context: { ttlSeconds: 28_800 } }),
    ],
    [
      'change-things-briefly',
      request({ phase: 'execute', context: { ttlSeconds: 3_601 } }),
      request({ phase: 'execute', context: { ttlSeconds: 3_600 } }),
    ],
    [
      'quarantined-agents-read',
      request({ agent: { status: 'quarantined' }, context: { ttlSeconds: 3_601 } }),
      request({ phase: 'read', agent: { status: 'quarantined' } }),
    ],
    [
      'read-and-propose',
      request({ agent: { status: 'suspended' } }),
      request({ human: { issuer: 'https://id.example', subject: 'u', groups: [] } }),
    ],
  ]
  test.each(permitted)('%s', (rule, stopped, passed) => {
    const denied = judgeCompiled(set, stopped)
    expect(denied).toMatchObject({ outcome: 'deny', determining: [] })
    expect(denied.nearest.join()).toContain(rule)
    expect(judgeCompiled(set, passed)).toMatchObject({ outcome: 'allow' })
  })

  test('has a test for each of its rules', () => {
    const tested = [...forbidden, ...waiting, ...permitted].map(([rule]) => rule)
    const untested = set.policies.map(({ id }) => id).filter(id => !tested.includes(id))
    expect(untested).toEqual(['humans-add-no-bound'])
  })
})
