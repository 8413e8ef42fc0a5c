import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ApprovalRequirement, Declared, PolicyRequest, PolicyVerdict } from '../../src/policy/facts.ts'
import { judgeNarrowOnly, STRICTNESS } from '../../src/policy/narrow-only.ts'

const requirement = fc.record<ApprovalRequirement>({
  policy: fc.constantFrom('a', 'b', 'c'),
  quorum: fc.integer({ min: 1, max: 3 }),
  groups: fc.constant([]),
  ownerMay: fc.boolean(),
})
const verdict: fc.Arbitrary<PolicyVerdict> = fc
  .record({
    outcome: fc.constantFrom<PolicyVerdict['outcome']>('allow', 'deny', 'needs_approval'),
    determining: fc.uniqueArray(fc.constantFrom('a', 'b', 'c')),
    reasons: fc.constant([]),
    requires: fc.uniqueArray(requirement, { minLength: 1, selector: ({ policy }) => policy }),
    nearest: fc.constant([]),
  })
  .map(one => (one.outcome === 'needs_approval' ? one : { ...one, requires: [] }))
const declared = fc.record<Declared>(
  {
    confidence: fc.integer({ min: 0, max: 100 }),
    urgency: fc.constantFrom<'low' | 'normal' | 'high'>('low', 'normal', 'high'),
  },
  { requiredKeys: [] },
)
const request = { context: {} } as PolicyRequest

/** Any policy whatever: it says one thing to a caller that declares nothing, and any other thing otherwise. */
const engine = (silent: PolicyVerdict, told: PolicyVerdict) => ({
  judge: async ({ context }: PolicyRequest) =>
    context.confidence === undefined && context.urgency === undefined ? silent : told,
})

test('whatever the policies say to it, a declared confidence or urgency only narrows', async () => {
  const seen = { narrowed: 0, held: 0 }
  await fc.assert(
    fc.asyncProperty(verdict, verdict, declared, async (silent, told, said) => {
      const outcome = await judgeNarrowOnly(engine(silent, told), request, said)
      expect(STRICTNESS[outcome.outcome]).toBeGreaterThanOrEqual(STRICTNESS[silent.outcome])
      if (silent.outcome === 'needs_approval' && outcome.outcome === 'needs_approval')
        for (const one of silent.requires)
          expect(outcome.requires.map(({ policy }) => policy)).toContain(one.policy)
      const saysSomething = Object.keys(said).length > 0
      if (saysSomething && STRICTNESS[told.outcome] > STRICTNESS[silent.outcome]) {
        expect(outcome.outcome).toBe(told.outcome)
        seen.narrowed += 1
      } else seen.held += 1
    }),
    { numRuns: 500 },
  )
  expect(seen.narrowed).toBeGreaterThan(50)
  expect(seen.held).toBeGreaterThan(50)
})

test('what is demanded of a silent caller is not weakened by words', async () => {
  const demand = (quorum: number, ownerMay: boolean): PolicyVerdict => ({
    ...{ outcome: 'needs_approval', determining: ['a'], reasons: [], nearest: [] },
    requires: [{ policy: 'a', quorum, groups: ['leads'], ownerMay }],
  })
  const outcome = await judgeNarrowOnly(engine(demand(2, false), demand(1, true)), request, { confidence: 1 })
  expect(outcome.requires).toEqual(demand(2, false).requires)
})
