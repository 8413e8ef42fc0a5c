/**
 * Attenuation is monotone: whatever a child is granted, each task above it, and the human on whose behalf, could have
 * been granted. Random lines, ceilings, tickets, policies and roles at GitHub, judged by the code that judges.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Issuer } from '../../issuers/issuer.ts'
import { type GithubAsk, githubAsk, githubCovers, githubFacts } from '../../issuers/shared/github-ask.ts'
import { neededFor, type Role } from '../../issuers/shared/github-collaborator.ts'
import type { Broker } from '../../src/broker/broker.ts'
import { decide } from '../../src/broker/decisions/decide.ts'
import type { Judged } from '../../src/broker/decisions/judged.ts'
import type { Human } from '../../src/broker/people/human.ts'
import { LIMITS } from '../../src/limits.ts'
import type { Agent } from '../../src/policy/agent.ts'
import { judgeCompiled } from '../../src/policy/cedar/judge.ts'
import type { Bounds } from '../../src/policy/judge-ask.ts'
import type { TaskRow } from '../../src/store/rows.ts'
import { task as taskRow } from '../conformance/store/subject.ts'
import { compiled } from '../policy/cedar/facts.ts'

const NOW = Date.UTC(2026, 10, 22, 5, 0)
const GITHUB = 'github-app'
const ROLES: readonly Role[] = ['none', 'read', 'triage', 'write', 'maintain', 'admin']
const agentName = (depth: number) => `agent-${depth}`

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'
const forbid = (who: string, phase: string) =>
  `@id("${who}-${phase}") forbid(principal == Mayfly::Agent::"${who}", action in Mayfly::Action::"*:${phase}", resource);`
/** Each takes something from somebody. */
const SETS = [
  compiled(ALL),
  ...[0, 1, 2].map(depth => compiled(ALL, forbid(agentName(depth), 'propose'))),
  compiled(ALL, forbid(agentName(0), 'execute'), forbid(agentName(2), 'read')),
  compiled(
    '@id("agents") permit(principal is Mayfly::Agent, action in Mayfly::Action::"*:*", resource);',
    '@id("staff") permit(principal in Mayfly::Group::"staff", action in Mayfly::Action::"*:*", resource);',
    '@id("all-read") permit(principal is Mayfly::Human, action in Mayfly::Action::"*:read", resource);',
  ),
]

type Sample = {
  ceilings: (readonly GithubAsk[])[]
  tickets: (readonly GithubAsk[])[]
  ask: GithubAsk
  set: number
  human: { groups: readonly string[]; role: Role } | undefined
}

const wide = githubAsk.parse({
  repository_ids: [1, 2],
  permissions: { contents: 'write', issues: 'write', actions: 'write' },
})
const level = fc.constantFrom('read', 'write')
const anyAsk = fc
  .record({
    repository_ids: fc.constantFrom([1], [2], [1, 2]),
    permissions: fc
      .record({ contents: level, issues: level, actions: level }, { requiredKeys: [] })
      .filter(all => Object.keys(all).length > 0),
  })
  .map(ask => githubAsk.parse(ask))
/** Mostly wide, so that lines of four let something through. */
const bound = fc.oneof(
  { weight: 5, arbitrary: fc.constant([wide]) },
  { weight: 1, arbitrary: fc.array(anyAsk, { minLength: 1, maxLength: 2 }) },
)
const human = fc.option(
  fc.record({
    groups: fc.constantFrom(['staff'], ['staff', 'guests'], ['guests']),
    role: fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom<Role>('write', 'maintain', 'admin') },
      { weight: 1, arbitrary: fc.constantFrom(...ROLES) },
    ),
  }),
  { nil: undefined },
)
const sample: fc.Arbitrary<Sample> = fc.integer({ min: 1, max: 4 }).chain(depth =>
  fc.record({
    ceilings: fc.array(bound, { minLength: depth, maxLength: depth }),
    tickets: fc.array(bound, { minLength: depth - 1, maxLength: depth - 1 }),
    ask: anyAsk,
    set: fc.nat({ max: SETS.length - 1 }),
    human,
  }),
)

/** The one thing asked of GitHub, answered by the role. */
function issuerFor(role: Role): Issuer {
  const issuer: Pick<Issuer<GithubAsk>, 'revocability' | 'covers' | 'facts' | 'allows'> = {
    revocability: 'immediate',
    covers: githubCovers,
    facts: githubFacts,
    allows: async (_human, ask) => ({ ok: true, allowed: roleAllows(role, ask), detail: role }),
  }
  // Nothing else of an issuer is called by a decision.
  return issuer as unknown as Issuer
}

function roleAllows(role: Role, ask: GithubAsk): boolean {
  return Object.entries(ask.permissions).every(([name, wanted]) => {
    const needed = neededFor(name, wanted)
    return needed !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(needed)
  })
}

function brokerFor({ ceilings, set }: Sample): Broker {
  const agents = new Map(
    ceilings.map((ceiling, depth) => {
      const name = agentName(depth)
      const owner = { business: 'shop', technical: 'dana' }
      const agent = { name, owner, risk_tier: 'low', systems: [], ceiling: { [GITHUB]: ceiling } }
      return [name, agent as unknown as Agent]
    }),
  )
  const broker = {
    limits: LIMITS,
    now: () => NOW,
    newId: () => 'dec_1',
    agents: () => agents,
    policy: {
      hash: () => 'a set',
      needs: () => ({ held: [], digest: false }),
      judge: async (request: Parameters<typeof judgeCompiled>[1]) => judgeCompiled(SETS[set]!, request),
    },
    ledger: { read: { agent: async () => undefined } },
  }
  // The rest of a broker has no part in a decision.
  return broker as unknown as Broker
}

/** What is decided of the ask for the task at this depth of the line. */
async function outcomeAt(broker: Broker, it: Sample, depth: number): Promise<string> {
  const who: Human | undefined = it.human && {
    ...{ issuer: 'https://id.test', subject: 'hanna', name: 'Hanna', use: 'human/1', accounts: [] },
    groups: it.human.groups,
  }
  const identity = { attestor: 'ci', issuer: 'https://ci.test', subject: 'job', claims: {} }
  const line: TaskRow[] = it.ceilings.slice(0, depth).map((_, above) =>
    taskRow(`tsk_${above}`, {
      ...{ agent: agentName(above), identity: JSON.stringify(identity), deadline: NOW + 60_000 },
      ...(who === undefined ? {} : { human: 'hanna', human_facts: JSON.stringify(who) }),
    }),
  )
  const bounds: Bounds = it.ceilings
    .slice(0, depth + 1)
    .flatMap((ceiling, at) => [
      { name: `ceiling ${at}`, allows: ceiling.map(ask => ({ issuer: GITHUB, ask })) },
      ...(at === 0
        ? []
        : [{ name: `ticket ${at}`, allows: it.tickets[at - 1]!.map(ask => ({ issuer: GITHUB, ask })) }]),
    ])
  const about: Judged = {
    ...{ task: null, agent: agentName(depth), identity, purpose: 'p', deadline: NOW + 60_000, line },
    ...(who === undefined ? {} : { human: who }),
  }
  const issuer = issuerFor(it.human?.role ?? 'none')
  const { row } = await decide(broker, about, [{ issuerName: GITHUB, issuer, ask: it.ask }], bounds)
  return row.outcome
}

test('whatever a child is granted, every task above it and the human could have been granted', async () => {
  let granted = 0
  let total = 0
  await fc.assert(
    fc.asyncProperty(sample, async it => {
      total += 1
      const broker = brokerFor(it)
      const depth = it.ceilings.length - 1
      if ((await outcomeAt(broker, it, depth)) !== 'allow') return
      granted += 1
      for (let above = 0; above < depth; above += 1)
        expect(await outcomeAt(broker, it, above), `of the task at ${above}`).toBe('allow')
      for (const bound of [...it.ceilings, ...it.tickets])
        expect(bound.some(allowance => githubCovers(allowance, it.ask))).toBe(true)
      if (it.human !== undefined) expect(roleAllows(it.human.role, it.ask)).toBe(true)
    }),
    { numRuns: 400 },
  )
  expect(granted / total).toBeGreaterThan(0.3)
})

test('a human takes away and never gives', async () => {
  let narrower = 0
  await fc.assert(
    fc.asyncProperty(sample, async it => {
      const depth = it.ceilings.length - 1
      const broker = brokerFor(it)
      const [alone, withHuman] = [
        await outcomeAt(broker, { ...it, human: undefined }, depth),
        await outcomeAt(broker, it, depth),
      ]
      if (withHuman === 'allow') expect(alone).toBe('allow')
      else if (alone === 'allow') narrower += 1
    }),
    { numRuns: 200 },
  )
  expect(narrower).toBeGreaterThan(0)
})
