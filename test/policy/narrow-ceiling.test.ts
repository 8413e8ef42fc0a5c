import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type GithubAsk, githubCovers, githubFacts } from '../../issuers/shared/github-ask.ts'
import { useOfCeiling } from '../../src/policy/narrow-ceiling.ts'

type Judge = Parameters<typeof useOfCeiling>[0]
const github: Judge = {
  covers: (ceiling, wanted) => githubCovers(ceiling as GithubAsk, wanted as GithubAsk),
  facts: ask => githubFacts(ask as GithubAsk),
}

const repository = fc.constantFrom(
  { id: 1, name: 'acme/api' },
  { id: 2, name: 'acme/web' },
  { id: 3, name: 'acme/docs' },
)
const ask = fc.record({
  repositories: fc.uniqueArray(repository, { minLength: 1, maxLength: 3, selector: ({ id }) => id }),
  permissions: fc.dictionary(
    fc.constantFrom('contents', 'issues', 'actions'),
    fc.constantFrom('read', 'write'),
    { minKeys: 1 },
  ),
}) as fc.Arbitrary<GithubAsk>

test('what would have been enough covers everything that was minted, and nothing beyond the ceiling', () => {
  let narrower = 0
  const property = fc.property(
    fc.array(ask, { minLength: 1, maxLength: 3 }),
    fc.array(ask, { maxLength: 8 }),
    fc.integer({ min: 1, max: 4 }),
    (ceiling, wanted, most) => {
      const minted = wanted.filter(one => ceiling.some(entry => githubCovers(entry, one)))
      const use = useOfCeiling(
        github,
        ceiling,
        minted.map(one => ({ ask: one, count: 1 })),
        most,
      )
      const enough = use.enough as GithubAsk[]
      for (const one of minted) expect(enough.some(entry => githubCovers(entry, one))).toBe(true)
      for (const entry of enough) expect(ceiling.some(one => githubCovers(one, entry))).toBe(true)
      if (minted.length === 0) expect(enough).toEqual([])
      else if (ceiling.some(one => !enough.some(entry => githubCovers(entry, one)))) narrower += 1
    },
  )
  fc.assert(property, { numRuns: 300 })
  expect(narrower).toBeGreaterThan(30)
})

test('each entry says what of it was never used, permission by permission and resource by resource', () => {
  const ceiling: GithubAsk[] = [
    {
      repositories: [
        { id: 1, name: 'acme/api' },
        { id: 2, name: 'acme/web' },
      ],
      permissions: { contents: 'write', issues: 'write' },
    },
    { repositories: [{ id: 3, name: 'acme/docs' }], permissions: { contents: 'read' } },
  ]
  const minted = { repositories: [{ id: 1, name: 'acme/api' }], permissions: { contents: 'write' } } as const
  const use = useOfCeiling(github, ceiling, [{ ask: minted, count: 4 }], 8)
  expect(use.entries).toEqual([
    { entry: ceiling[0], minted: 4, neverUsed: ['issues:write'], neverTouched: ['acme/web'] },
    { entry: ceiling[1], minted: 0, neverUsed: ['contents:read'], neverTouched: ['acme/docs'] },
  ])
  expect(use.enough).toEqual([minted])
})
