/** THREATS R5 and its kind: whatever a request holds, the engine denies it or judges it, and judges on. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canaryFault } from '../../../src/policy/cedar/canary.ts'
import { judgeCompiled } from '../../../src/policy/cedar/judge.ts'
import type { PolicyRequest } from '../../../src/policy/facts.ts'
import { compiled, request } from './facts.ts'

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'
const SET = compiled(
  ALL,
  `@id("fenced") forbid(principal, action in Mayfly::Action::"*:*", resource)
   when { context.ttlSeconds > 900 || context.mayLeaveAccess || context.purpose == "evil" || resource.name like "evil*" }
   unless { context.claims has verified && context.claims.verified && context.permissions.contains("x") && context.subject != "" };`,
)
const judge = (one: PolicyRequest) => judgeCompiled(SET, one).outcome
const wild = (context: object, rest: object = {}) =>
  ({ ...request(), ...rest, context: { ...request().context, ...context } }) as PolicyRequest

function nested(depth: number): unknown {
  let value: unknown = 'deep'
  for (let left = depth; left > 0; left -= 1) value = left % 2 === 0 ? [value] : { a: value }
  return value
}

describe('a hostile request', () => {
  test('nested 17, 200 or 100,000 deep, 2,000 times over, is denied, and the canary still answers', () => {
    const deep = [17, 200, 100_000].map(depth => nested(depth))
    for (let round = 0; round < 2_000; round += 1) {
      const value = deep[round % 3]
      const one =
        round % 2 === 0
          ? wild({ claims: { groups: value } })
          : wild({}, { agent: { ...request().agent, systems: value } })
      expect(judge(one)).toBe('deny')
    }
    expect(canaryFault()).toBeUndefined()
    expect(judge(request())).toBe('allow')
  })

  const bad: [string, PolicyRequest][] = [
    ['a negative time to live', wild({ ttlSeconds: -1 })],
    ['a time to live that is no number', wild({ ttlSeconds: Number.NaN })],
    ['an endless one', wild({ ttlSeconds: Number.POSITIVE_INFINITY })],
    ['a fraction', wild({ ttlSeconds: 0.5 })],
    ['a number beyond 2^53', wild({ claims: { level: 2 ** 53 } })],
    ['a number beyond 2^63', wild({ claims: { level: 1e300 } })],
    ['a big integer', wild({ claims: { level: 1n } })],
    ['a function', wild({ claims: { level: () => 1 } })],
    ['a symbol', wild({ claims: { level: Symbol('1') } })],
    ['a null', wild({ subject: null })],
    ['a claim of another type', wild({ claims: { verified: 'true' } })],
    ['a list of something else', wild({ claims: { groups: [1] } })],
    ['an entity in a claim', wild({ claims: { groups: { __entity: { type: 'Mayfly::Agent', id: 'x' } } } })],
    ['an extension in a claim', wild({ claims: { event_name: { __extn: { fn: 'unknown', arg: 'x' } } } })],
    ['a lone surrogate', wild({ subject: 'repo:\ud800' })],
    ['a lone surrogate in a name', wild({ claims: { '\udc00': 'x' } })],
    ['a text of a megabyte', wild({ purpose: 'x'.repeat(1_000_000) })],
    [
      'a hundred thousand claims',
      wild({ claims: Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`c${n}`, 'x'])) }),
    ],
    ['a time beyond the calendar', wild({ now: 8.64e15 })],
    ['an unknown phase', wild({}, { phase: 'destroy' })],
    ['an unknown issuer', wild({}, { issuer: 'github-app"; permit(principal, action, resource); //' })],
    ['the name of a prototype', wild({}, { issuer: '__proto__' })],
    ['nothing that is touched', wild({}, { resources: [] })],
    ['a member that is missing', wild({ held: undefined, ttlSeconds: undefined })],
    [
      'a list that writes itself as another',
      wild({ permissions: Object.assign(['x'], { toJSON: () => [] }) }),
    ],
    ['an object with a class', wild({ claims: new Map() })],
  ]
  test.each(bad)('%s: denied', (_, one) => {
    expect(judge(one)).toBe('deny')
    expect(judge(request())).toBe('allow')
  })

  test('quotes and code in ids are data', () => {
    const id = '"]; permit(principal, action, resource); //\n\\"'
    const resources = [{ type: 'Repository', id, name: id, parents: [{ type: 'Owner', id }] }]
    expect(judge(wild({ subject: id, purpose: id }, { resources }))).toBe('allow')
    expect(judge(wild({}, { resources: [{ ...resources[0], name: 'evil"' }] }))).toBe('deny')
    const { agent } = request()
    expect(judge(wild({ ttlSeconds: 901 }, { agent: { ...agent, name: id, team: id } }))).toBe('deny')
  })

  test('members of a prototype are neither read nor set', () => {
    const claims = JSON.parse('{"__proto__": "verified", "constructor": "x", "toString": "y"}')
    expect(judge(wild({ claims }))).toBe('allow')
    expect(judge(wild({ claims, ttlSeconds: 901, permissions: ['x'] }))).toBe('deny')
    expect(Object.hasOwn(Object.prototype, 'verified')).toBe(false)
  })

  test('a forbid that cannot be evaluated denies', () => {
    const set = compiled(
      ALL,
      '@id("sums") forbid(principal, action in Mayfly::Action::"*:*", resource) when { context.ttlSeconds + context.held.credentials.agent < 0 };',
    )
    const held = {
      ...request().context.held,
      credentials: { lineage: 0, agent: Number.MAX_SAFE_INTEGER, owner: 0 },
    }
    expect(judgeCompiled(set, request({ context: { held } })).outcome).toBe('allow')
    const overflows = compiled(
      ALL,
      '@id("sums") forbid(principal, action in Mayfly::Action::"*:*", resource) when { context.ttlSeconds + 9223372036854775807 < 0 };',
    )
    expect(judgeCompiled(overflows, request({ context: { ttlSeconds: 0 } })).outcome).toBe('allow')
    expect(judgeCompiled(overflows, request())).toMatchObject({
      outcome: 'deny',
      reasons: [expect.stringMatching(/^sums failed: .*overflow/)],
    })
  })

  test('2,000 of any kind: what the forbid names is never allowed, and the canary still answers', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('evil', 'evil-1', '"', '\\', '\u0000', '\ud800', '__proto__', 'x'),
    )
    const figure = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.constantFrom(900, 901, -1, 2 ** 53, 1e308, undefined),
    )
    const facts = fc.record({
      ttlSeconds: figure,
      now: fc.oneof(fc.nat(), figure),
      purpose: text,
      subject: text,
      mayLeaveAccess: fc.boolean(),
      permissions: fc.array(text, { maxLength: 5 }),
      claims: fc.dictionary(
        fc.oneof(text, fc.constantFrom('verified', 'groups', 'level')),
        fc.oneof(text, figure, fc.boolean(), fc.array(text), fc.anything({ maxDepth: 3, withBigInt: true })),
        { maxKeys: 5 },
      ),
    })
    const outcomes = { allow: 0, deny: 0, needs_approval: 0 }
    fc.assert(
      fc.property(facts, text, (context, name) => {
        const one = wild(context, { resources: [{ type: 'Repository', id: name, name, parents: [] }] })
        const outcome = judge(one)
        outcomes[outcome] += 1
        const { ttlSeconds, mayLeaveAccess, purpose, claims } = one.context
        const fenced =
          !(ttlSeconds <= 900) ||
          ttlSeconds < 0 ||
          mayLeaveAccess ||
          purpose === 'evil' ||
          name.startsWith('evil')
        return outcome !== 'allow' || !fenced || claims.verified === true
      }),
      { numRuns: 2_000 },
    )
    expect(outcomes.allow).toBeGreaterThan(0)
    expect(outcomes.deny).toBeGreaterThan(0)
    expect(canaryFault()).toBeUndefined()
    expect(judge(request())).toBe('allow')
  })
})
