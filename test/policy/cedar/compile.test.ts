import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../../src/limits.ts'
import { compilePolicies } from '../../../src/policy/cedar/compile.ts'
import { judgeCompiled } from '../../../src/policy/cedar/judge.ts'
import { cedarSchema } from '../../../src/policy/cedar/schema.ts'
import { vocabularyOf } from '../../../src/policy/cedar/vocabulary.ts'
import { compiled, problemsOf, request, vocabulary } from './facts.ts'

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'

describe('a set', () => {
  test('is told by its policies, not by their files, order and layout', () => {
    const other =
      '@id("other") forbid(principal, action, resource is Mayfly::Role) when { context.depth > 2 };'
    const spaced = `// why\n@id("all")\npermit ( principal,action in Mayfly::Action::"*:*",\n resource ) ; // so\n`
    const { hash } = compiled(ALL, other)
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(compiled(other + spaced).hash).toBe(hash)
    expect(compiled(ALL, other.replace('> 2', '> 3')).hash).not.toBe(hash)
    expect(compiled(ALL).hash).not.toBe(hash)
  })

  test('says which costly facts it looks at', () => {
    const holding =
      '@id("once") forbid(principal, action, resource) when { context.held.credentials.agent > 5 };'
    const matching = `@id("same") forbid(principal, action, resource)
when { context has approval && context.approval.digest != context.digest };`
    expect(compiled(ALL).needs).toEqual({ held: [], digest: false })
    expect(compiled(ALL, holding).needs).toEqual({ held: ['credentials.agent'], digest: false })
    expect(compiled(ALL, matching).needs).toEqual({ held: [], digest: true })
  })

  test('forgets what no policy looks at', () => {
    const set = compiled(
      '@id("a") permit(principal, action, resource) when { context.claims has environment && context.ttlSeconds < 9 };',
    )
    expect(set.reads).toEqual({ context: ['ttlSeconds'], claims: ['environment'], held: [] })
  })

  test.each([
    ['context.held.phases.agent.contains("deploy")', ['phases.agent']],
    ['context.held.credentials.owner > 5', ['credentials.owner']],
    ['context.held.phases == context.held.phases', null],
    ['context == context', null],
  ])('of what was given out before, by %s, it looks at %j', (condition, held) => {
    const set = compiled(`@id("a") permit(principal, action, resource) when { ${condition} };`)
    expect(set.reads.held).toEqual(held)
  })
})

describe('a policy is refused', () => {
  test.each([
    ['without an id', 'permit(principal, action, resource);', /@id/],
    ['with an empty id', '@id("") permit(principal, action, resource);', /@id/],
    ['with an id that is no name', '@id("a b") permit(principal, action, resource);', /@id/],
    ['with an id that another has', `${ALL}\n${ALL}`, /0\.cedar:1 has it/],
    [
      'with an unknown annotation',
      '@id("a") @onDeni("needs_approval") forbid(principal, action, resource);',
      /@onDeni/,
    ],
    [
      'with an unknown value',
      '@id("a") @onDeny("ask") forbid(principal, action, resource);',
      /needs_approval/,
    ],
    [
      'that waits for humans and permits',
      '@id("a") @onDeny("needs_approval") permit(principal, action, resource);',
      /forbid/,
    ],
    [
      'that no approval could meet',
      '@id("a") @onDeny("needs_approval") forbid(principal, action, resource);',
      /context\.approval/,
    ],
    [
      'with approvers for nothing',
      '@id("a") @approvers("group:x") forbid(principal, action, resource);',
      /@approvers/,
    ],
    ['with approvers that are no groups', waiting('@approvers("leads")'), /group:a/],
    ['with a quorum of none', waiting('@quorum("0")'), /@quorum/],
    ['with a quorum that nobody can fill', waiting('@quorum("99")'), /@quorum/],
    ['with an owner who may something else', waiting('@ownerMay("deny")'), /@ownerMay/],
    ['with a typo', '@id("a") permit(principal, action, resource) when { context.aproval == 1 };', /aproval/],
    [
      'with an unknown action',
      '@id("a") permit(principal, action == Mayfly::Action::"nope:read", resource);',
      /nope:read/,
    ],
    [
      'that compares text and number',
      '@id("a") permit(principal, action, resource) when { context.ttlSeconds == "1" };',
      /types/,
    ],
    ['that can never apply', '@id("a") forbid(principal, action, resource) when { false };', /impossible/],
    ['that is a template', '@id("a") permit(principal == ?principal, action, resource);', /template/],
    ['that does not end', '@id("a") permit(principal, action, resource)', /ends with ;/],
    [
      'that does not parse',
      '@id("a") permit(principal, action, resource) when { 1 +* 2 };',
      /unexpected token/,
    ],
    [
      'with an attribute that may be absent',
      '@id("a") permit(principal, action, resource) when { context.approval.count > 1 };',
      /approval/,
    ],
    ['with a string that does not end', '@id("a) permit(principal, action, resource);', /string that ends/],
  ])('%s', (_, text, message) => {
    const problems = problemsOf(text)
    expect(problems).toHaveLength(1)
    expect(problems[0]!.message).toMatch(message)
    expect(problems[0]!.file).toBe('0.cedar')
  })

  test('where it stands', () => {
    const text = `// ünïcode\n${ALL}\n\n// two\n@id("é")\npermit(principal, action, resource);`
    expect(problemsOf(text)).toEqual([expect.objectContaining({ line: 5 })])
    const typo = `${ALL}\n@id("typo")\nforbid(principal, action, resource)\nwhen {\n  "é" == context.subjekt\n};`
    expect(problemsOf('', typo)).toEqual([
      expect.objectContaining({
        file: '1.cedar',
        policy: 'typo',
        line: 5,
        remedy: 'did you mean `subject`?',
      }),
    ])
  })
})

describe("a team's policy", () => {
  const team = (text: string) => compilePolicies([{ name: 't', text, namespace: 'shop' }], vocabulary)
  const NEVER = '@id("shop.never") forbid(principal, action in Mayfly::Action::"*:*", resource)'

  test('reaches its own agents, whatever it says', () => {
    for (const text of [`${NEVER};`, `${NEVER} // ;\n;`, `${NEVER} unless { 1 == 2 };`]) {
      const files = [
        { name: 'all', text: ALL },
        { name: 't', text, namespace: 'shop' },
      ]
      const result = compilePolicies(files, vocabulary)
      if (!result.ok) throw new Error(JSON.stringify(result.problems))
      const judged = (name: string) => judgeCompiled(result.set, request({ agent: { name } })).outcome
      expect(judged('shop.coder')).toBe('deny')
      expect(['shop', 'shopping.coder', 'shop-triage', 'other.shop.coder'].map(judged)).toEqual(
        Array(4).fill('allow'),
      )
    }
  })

  test.each([
    ['permits nothing', `${NEVER.replace('forbid', 'permit')};`, /permits nothing/],
    ['takes no id of others', `${NEVER.replace('shop.never', 'never')};`, /begins with shop\./],
    ['does not leave its fence', `${NEVER} when { true } };`, /unexpected token/],
  ])('%s', (_, text, message) => {
    expect(team(text)).toMatchObject({ ok: false, problems: [{ message: expect.stringMatching(message) }] })
  })
})

function waiting(annotation: string): string {
  return `@id("a") @onDeny("needs_approval") ${annotation} forbid(principal, action, resource) unless { context has approval };`
}

// THREATS R6: a policy upload with 150 nested parentheses, and one of 10 MB.
describe('what would overrun the parser is refused before it', () => {
  const when = (body: string) => `@id("a") permit(principal, action, resource) when { ${body} };`
  test.each([
    ['150 nested parentheses', when(`${'('.repeat(150)}true${')'.repeat(150)}`)],
    ['nested sets', when(`${'['.repeat(150)}1${']'.repeat(150)} == [1]`)],
    ['nested records', when(`${'{"a":'.repeat(150)}1${'}'.repeat(150)} == 1`)],
    ['10 MB of text', `// ${'x'.repeat(10_000_000)}\n${ALL}`],
    ['a long chain', when(Array(5_000).fill('true').join(' && '))],
    ['endless negation', when(`${'!'.repeat(5_000)}true`)],
    ['endless else', when(`${'if true then true else '.repeat(2_000)}true`)],
    [
      'too many policies',
      Array.from({ length: LIMITS.policies + 1 }, (_, n) => ALL.replace('all', `p${n}`)).join('\n'),
    ],
    ['a lone surrogate', `// \ud800\n${ALL}`],
    ['a zero character', `// \0\n${ALL}`],
  ])('%s', (_, text) => {
    expect(problemsOf(text)).toHaveLength(1)
    expect(judgeCompiled(compiled(ALL), request()).outcome).toBe('allow')
  })

  test('and what is within the bounds is parsed, validated and judged', () => {
    const chain = (LIMITS.policyTokens - 40) / 3
    const inner = LIMITS.policyDepth - 1
    for (const body of [
      Array(Math.floor(chain)).fill('true').join(' && '),
      `${'('.repeat(inner)}true${')'.repeat(inner)}`,
      `${'['.repeat(inner)}1${']'.repeat(inner)} == ${'['.repeat(inner)}1${']'.repeat(inner)}`,
      `${'if context.depth == 0 then true else '.repeat(90)}true`,
    ])
      expect(judgeCompiled(compiled(when(body)), request()).outcome).toBe('allow')
  })

  test('many files count together', () => {
    const file = `// ${'x'.repeat(LIMITS.policyFileChars - 100)}`
    expect(problemsOf(file)).toEqual([])
    expect(problemsOf(...Array<string>(5).fill(file))).toHaveLength(1)
  })
})

describe('the schema', () => {
  test('is the same for the same installation', () => {
    expect(cedarSchema(vocabulary)).toBe(cedarSchema(structuredClone(vocabulary)))
    expect(cedarSchema(vocabulary)).toContain(
      'action "github-app:deploy" in ["*:*", "*:deploy", "github-app:*"]',
    )
    expect(cedarSchema(vocabulary)).toContain('entity Repository in [Owner, Resource]')
  })

  test('takes whatever plugins declare', () => {
    const odd = vocabularyOf(
      new Map([
        ['a', { claimTypes: { 'a "quoted" \\ claim': 'string', __proto: 'string', shared: 'string' } }],
        ['b', { claimTypes: { shared: 'integer', 'ü\u2028': 'boolean' } }],
        ['c', { claimTypes: { shared: 'string' } }],
      ]),
      new Map([
        ['x', { resourceTypes: { Team: [], Bucket: ['Bucket', 'no name'], 'a b': [], Long: [] } }],
        ['y', { resourceTypes: { Bucket: ['Region'] } }],
        ['phase', {}],
      ]),
    )
    expect(Object.keys(odd.claims)).toEqual(['a "quoted" \\ claim', 'ü\u2028'])
    expect(Object.keys(odd.issuers.x!)).toEqual(['Bucket'])
    const policy = '@id("a") permit(principal, action in Mayfly::Action::"x:*", resource is Mayfly::Bucket);'
    expect(compilePolicies([{ name: 'a', text: policy }], odd)).toMatchObject({ ok: true })
  })

  test('stands without any plugin', () => {
    const none = vocabularyOf(new Map(), new Map())
    expect(compilePolicies([], none)).toMatchObject({ ok: true })
  })
})
