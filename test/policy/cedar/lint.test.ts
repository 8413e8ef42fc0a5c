import { describe, expect, test } from 'vitest'
import { lintPolicies } from '../../../src/policy/cedar/lint.ts'
import { compiled, problemsOf, vocabulary } from './facts.ts'

const facts = {
  vocabulary,
  attestors: ['github', 'spire'],
  riskyAttestors: ['github'],
  agents: ['shop-triage'],
  teams: ['shop'],
}
const lint = (...policies: string[]) => lintPolicies(compiled(...policies).policies, facts)
const told = (...policies: string[]) => lint(...policies).map(({ severity, rule }) => `${severity} ${rule}`)

const READ = 'action in Mayfly::Action::"*:read"'
const permit = (when: string) => `@id("p") permit(principal, ${READ}, resource) when { ${when} };`
const forbid = (when: string) => `@id("f") forbid(principal, ${READ}, resource) when { ${when} };`

describe('finds', () => {
  test.each<[string, string[], string[]]>([
    [
      'everything for everybody',
      ['@id("p") permit(principal, action, resource);'],
      ['warning open-permit', 'warning risky-events'],
    ],
    ['a floor under nothing', [`@id("p") permit(principal, ${READ}, resource);`], ['warning open-permit']],
    [
      'a pattern that only forbids more',
      [forbid('context.subject like "repo:evil*"')],
      ['warning like-on-identity'],
    ],
    [
      'a pattern that ends within a name',
      [permit('context.claims has environment && context.claims.environment like "prod*"')],
      ['warning like-unanchored'],
    ],
    [
      'a name of a repository',
      [permit('resource == Mayfly::Repository::"acme/shop"')],
      ['error name-for-id'],
    ],
    [
      'a name of a repository in the head',
      [`@id("p") permit(principal, ${READ}, resource == Mayfly::Repository::"acme/shop");`],
      ['error name-for-id'],
    ],
    ['a name that is compared', [permit('resource.name == "acme/shop"')], ['warning name-for-id']],
    [
      'a claim that names',
      [permit('context.identity.hasTag("actor") && ["dana"].contains(context.identity.getTag("actor"))')],
      ['warning name-for-id'],
    ],
    [
      'two values of one fact',
      [permit('context.subject == "a" && context.subject == "b"')],
      ['warning never-applies'],
    ],
    [
      'a value that is also excluded',
      [permit('["a", "b"].contains(context.subject) && !(context.subject == "a" || context.subject == "b")')],
      ['warning never-applies'],
    ],
    [
      'figures that leave none between them',
      [forbid('context.ttlSeconds > 900 && 300 > context.ttlSeconds')],
      ['error never-applies'],
    ],
    ['an hour there is not', [forbid('context.hour > 23')], ['error never-applies']],
    ['a phase that does not exist', [permit('context.phase == "write"')], ['warning never-applies']],
    ['an issuer that does not exist', [permit('context.issuer == "gitlab"')], ['warning never-applies']],
    ['an attestor that does not exist', [permit('context.attestor == "ci"')], ['warning never-applies']],
    [
      'a tier that does not exist, for a rule that was to forbid it',
      [forbid('context.agent.riskTier == "critical"')],
      ['error never-applies'],
    ],
    ['a phase beside the action', [permit('context.phase == "deploy"')], ['warning never-applies']],
    [
      'a team that nobody is in',
      [`@id("p") permit(principal in Mayfly::Team::"shopp", ${READ}, resource);`],
      ['warning no-such-principal'],
    ],
    [
      'an agent that is not registered',
      [`@id("p") permit(principal == Mayfly::Agent::"triage", ${READ}, resource);`],
      ['warning no-such-principal'],
    ],
    [
      'a permit under a forbid',
      [
        permit('context.depth == 0'),
        '@id("f") forbid(principal is Mayfly::Agent, action in Mayfly::Action::"github-app:*", resource);',
        '@id("g") forbid(principal, action in Mayfly::Action::"*:*", resource);',
      ],
      ['warning overshadowed'],
    ],
    [
      'a write on any event',
      [
        '@id("p") permit(principal, action in [Mayfly::Action::"*:read", Mayfly::Action::"*:deploy"], resource) when { context.depth == 0 };',
      ],
      ['warning risky-events'],
    ],
    [
      'a permit by the words of the caller',
      [permit('context.purpose == "release"')],
      ['warning caller-words'],
    ],
    [
      'a permit by the confidence of the caller',
      [permit('context has confidence && context.confidence > 90')],
      ['warning caller-words'],
    ],
  ])('%s', (_, policies, expected) => {
    expect(told(...policies)).toEqual(expected)
  })
})

// THREATS G5: such a rule is not loaded at all.
test.each([
  ['a subject', permit('context.subject like "repo:acme*"')],
  ['a claim', permit('context.claims has repository_id && context.claims.repository_id like "4*"')],
  [
    'a tag',
    permit('context.identity.hasTag("repository") && context.identity.getTag("repository") like "acme/*"'),
  ],
  ['what is touched', permit('resource.name like "acme/*"')],
  ['the agent', permit('context.agent.name like "release-*"')],
  [
    'an exception of a forbid',
    `@id("p") forbid(principal, ${READ}, resource) unless { context.subject like "repo:acme*" };`,
  ],
])('a pattern on %s refuses the set', (_, policy) => {
  expect(problemsOf(`\n${policy}`)).toEqual([
    {
      ...{ file: '0.cedar', line: 2, policy: 'p' },
      message: expect.stringContaining('which others can be named to fit'),
      remedy: expect.stringContaining('List what is meant'),
    },
  ])
})

describe('leaves alone', () => {
  const writes = (when: string) =>
    `@id("p") permit(principal, action in Mayfly::Action::"*:deploy", resource) when { ${when} };`
  test.each<[string, string[]]>([
    [
      'a floor under forbids',
      [`@id("p") permit(principal, ${READ}, resource);`, forbid('context.agent.riskTier == "high"')],
    ],
    [
      'a write that says on which events',
      [writes('context.claims has event_name && context.claims.event_name == "push"')],
    ],
    [
      'a write under a forbid that says on which not',
      [
        writes('context.depth == 0'),
        '@id("f") forbid(principal, action in Mayfly::Action::"*:deploy", resource) when { context.claims has event_name && context.claims.event_name == "pull_request_target" };',
      ],
    ],
    ['a write for another attestor', [writes('context.attestor == "spire"')]],
    [
      'numbers and places',
      [
        permit(
          'resource == Mayfly::Repository::"42" && context.claims has environment && context.claims.environment like "prod/*"',
        ),
      ],
    ],
    ['a team that exists', [`@id("p") permit(principal in Mayfly::Team::"shop", ${READ}, resource);`]],
    ['either of two values', [permit('context.subject == "a" || context.subject == "b"')]],
    ['figures with room', [permit('context.ttlSeconds >= 1 && context.ttlSeconds <= 1')]],
    [
      'a forbid with a condition over a permit',
      [
        permit('context.depth == 0'),
        `@id("f") forbid(principal, ${READ}, resource) when { context.depth > 3 };`,
      ],
    ],
  ])('%s', (_, policies) => {
    expect(lint(...policies)).toEqual([])
  })

  test('names and attestors that it is not told of', () => {
    const { policies } = compiled(
      `@id("p") permit(principal in Mayfly::Team::"anybody", ${READ}, resource) when { context.attestor == "any" };`,
    )
    expect(lintPolicies(policies, { vocabulary })).toEqual([])
  })
})

test('a finding has a place, and says what to do', () => {
  const [found] = lint(`\n\n${forbid('context.subject like "repo:evil*"')}`)
  expect(found).toMatchObject({ line: 3, policy: 'f', file: '0.cedar' })
  expect(found!.message).toContain('"repo:evil*"')
  expect(found!.remedy).toContain('contains(context.subject)')
})
