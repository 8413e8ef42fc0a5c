/**
 * Policies stand beside the bounds and never instead of them: what they allow is within the ceiling, the ticket and
 * everything above; and where there is no policy, or no ceiling, nothing is allowed.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Issuer } from '../../issuers/issuer.ts'
import { type GithubAsk, githubAsk, githubCovers, githubFacts } from '../../issuers/shared/github-ask.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { decide } from '../../src/broker/decisions/decide.ts'
import { LIMITS } from '../../src/limits.ts'
import type { Agent } from '../../src/policy/agent.ts'
import { judgeCompiled } from '../../src/policy/cedar/judge.ts'
import { noPolicy, type PolicyEngine, type PolicyRequest } from '../../src/policy/facts.ts'
import type { Bounds } from '../../src/policy/judge-ask.ts'
import { compiled } from '../policy/cedar/facts.ts'

const NOW = Date.UTC(2026, 10, 22, 5, 0)
const GITHUB = 'github-app'
const permit = (id: string, phase: string, resource = 'resource') =>
  `@id("${id}") permit(principal, action in Mayfly::Action::"*:${phase}", ${resource});`

const EMPTY = 0
/** From nothing to everything; an approval is given beforehand where a rule wants one. */
const SETS = [
  compiled(),
  compiled(permit('all', '*')),
  compiled(permit('read', 'read'), permit('propose', 'propose')),
  compiled(permit('one', '*', 'resource == Mayfly::Repository::"1"')),
  compiled(
    permit('all', '*'),
    '@id("waits") @onDeny("needs_approval") forbid(principal, action, resource) unless { context has approval };',
  ),
]
const engineOf = (set: number): PolicyEngine => ({
  hash: () => `set-${set}`,
  needs: () => ({ held: [], digest: false }),
  judge: async (request: PolicyRequest) => judgeCompiled(SETS[set]!, request),
})

const level = fc.constantFrom('read', 'write')
const anyAsk = fc
  .record({
    repository_ids: fc.constantFrom([1], [2], [1, 2]),
    permissions: fc
      .record({ contents: level, issues: level }, { requiredKeys: [] })
      .filter(all => Object.keys(all).length > 0),
  })
  .map(ask => githubAsk.parse(ask))
const wide = githubAsk.parse({
  repository_ids: [1, 2],
  permissions: { contents: 'write', issues: 'write' },
})
type Sample = { bounds: readonly (readonly GithubAsk[])[]; ask: GithubAsk; set: number }
const bound: fc.Arbitrary<readonly GithubAsk[]> = fc.oneof(
  { weight: 6, arbitrary: fc.constant([wide]) },
  { weight: 2, arbitrary: fc.array(anyAsk, { minLength: 1, maxLength: 2 }) },
  { weight: 1, arbitrary: fc.constant([]) },
)
const sample: fc.Arbitrary<Sample> = fc.record({
  bounds: fc.oneof(
    {
      weight: 9,
      arbitrary: fc.array(bound, { minLength: 1, maxLength: 3 }) as fc.Arbitrary<Sample['bounds']>,
    },
    { weight: 1, arbitrary: fc.constant([]) },
  ),
  ask: anyAsk,
  set: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 4, arbitrary: fc.nat(SETS.length - 1) }),
})

async function outcome({ bounds, ask }: Sample, policy: PolicyEngine): Promise<string> {
  const owner = { business: 'shop', technical: 'dana' }
  const agent = { name: 'shop', owner, risk_tier: 'low', systems: [] } as unknown as Agent
  // The rest of a broker, and of an issuer, has no part in a decision.
  const broker = {
    ...{ limits: LIMITS, now: () => NOW, newId: () => 'dec_1', policy },
    agents: () => new Map([['shop', agent]]),
    ledger: { read: { agent: async () => undefined } },
  } as unknown as Broker
  const plain: Pick<Issuer<GithubAsk>, 'revocability' | 'covers' | 'facts'> = {
    ...{ revocability: 'immediate', covers: githubCovers, facts: githubFacts },
  }
  const issuer = plain as unknown as Issuer
  const identity = { attestor: 'ci', issuer: 'https://ci.test', subject: 'job', claims: {} }
  const within: Bounds = bounds.map((allowed, at) => ({
    name: `bound ${at}`,
    allows: allowed.map(one => ({ issuer: GITHUB, ask: one })),
  }))
  const about = { task: null, agent: 'shop', identity, purpose: 'p', deadline: NOW + 60_000, line: [] }
  const { row } = await decide(broker, about, [{ issuerName: GITHUB, issuer, ask }], within)
  return row.outcome
}

test('whatever the policies allow, or let humans allow, is within every bound', async () => {
  let [given, total] = [0, 0]
  await fc.assert(
    fc.asyncProperty(sample, async it => {
      total += 1
      const decided = await outcome(it, engineOf(it.set))
      if (decided === 'deny') return
      given += 1
      expect(it.set).not.toBe(EMPTY)
      expect(it.bounds.length).toBeGreaterThan(0)
      for (const allowed of it.bounds) expect(allowed.some(one => githubCovers(one, it.ask))).toBe(true)
      // Without the policies it is allowed, too: they only ever take away.
      expect(await outcome(it, noPolicy)).toBe('allow')
    }),
    { numRuns: 400 },
  )
  expect(given / total).toBeGreaterThanOrEqual(0.3)
})

test('without a ceiling nothing is allowed, and without a policy in force nothing is either', async () => {
  let [allowed, total] = [0, 0]
  await fc.assert(
    fc.asyncProperty(sample, async it => {
      total += 1
      for (const policy of [noPolicy, ...SETS.map((_, set) => engineOf(set))]) {
        expect(await outcome({ ...it, bounds: [] }, policy)).toBe('deny')
        expect(await outcome({ ...it, bounds: [...it.bounds, []] }, policy)).toBe('deny')
      }
      expect(await outcome(it, engineOf(EMPTY))).toBe('deny')
      // The same ask with both is given: it is their absence that denies it.
      if ((await outcome({ ...it, bounds: [[wide]] }, engineOf(1))) === 'allow') allowed += 1
    }),
    { numRuns: 150 },
  )
  expect(allowed / total).toBeGreaterThanOrEqual(0.3)
})
