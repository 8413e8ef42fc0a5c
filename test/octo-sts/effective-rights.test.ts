/** What is given is within the file and within the ceiling, for every file and every ceiling. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { githubAsk, githubCovers } from '../../issuers/shared/github-ask.ts'
import { GITHUB_PERMISSIONS, type Level, levelCovers } from '../../issuers/shared/github-permissions.ts'
import { effectiveRights } from '../../src/octo-sts/effective-rights.ts'

const place = { owner: 'acme', repository: 'api', repositoryId: 1, isOrganization: false }
const ceiling = { permissions: { contents: 'write', issues: 'read' } } as const

describe('what a policy gives', () => {
  test('is what both say', () => {
    const given = effectiveRights({ permissions: { contents: 'read' } }, place, ceiling)
    expect(given).toEqual({
      ok: true,
      rights: { repositories: [{ name: 'acme/api', id: 1 }], permissions: { contents: 'read' } },
      narrowed: [],
    })
  })

  test('is cut to the ceiling, and says so', () => {
    const asked = { contents: 'write', issues: 'write', actions: 'read' } as const
    expect(effectiveRights({ permissions: asked }, place, ceiling)).toMatchObject({
      ok: true,
      rights: { permissions: { contents: 'write', issues: 'read' } },
      narrowed: ['issues: write is cut to read', 'actions: read is above it'],
    })
  })

  test('is nothing where nothing is left, and never "all"', () => {
    const refused = (permissions: Record<string, Level>, at = place, most: object = ceiling) =>
      effectiveRights({ permissions }, at, { ...ceiling, ...most })
    expect(refused({}).ok).toBe(false)
    expect(refused({ actions: 'read' }).ok).toBe(false)
    expect(refused({ contents: 'read' }, place, { repositories: ['web'] }).ok).toBe(false)
    const organization = { ...place, repository: '.github', isOrganization: true }
    expect(refused({ contents: 'read' }, organization)).toMatchObject({ ok: false })
  })
})

const levels = (name: string) => fc.constantFrom(...GITHUB_PERMISSIONS[name]!.levels)
const permissions = fc
  .uniqueArray(fc.constantFrom(...Object.keys(GITHUB_PERMISSIONS)), { maxLength: 6 })
  .chain(names => fc.record(Object.fromEntries(names.map(name => [name, levels(name)]))))
const repositories = fc.uniqueArray(fc.constantFrom('api', 'web', 'infra', 'API', '.github'), {
  minLength: 1,
})

test('effective is within the ceiling and within the file, and an ask that GitHub takes', () => {
  const property = fc.property(
    permissions,
    permissions,
    fc.option(repositories, { nil: undefined }),
    fc.option(repositories, { nil: undefined }),
    fc.boolean(),
    (asked, most, wanted, allowed, isOrganization) => {
      const at = { ...place, repository: isOrganization ? '.github' : 'api', isOrganization }
      const policy = { permissions: asked, ...(isOrganization && wanted ? { repositories: wanted } : {}) }
      const given = effectiveRights(policy, at, { permissions: most, repositories: allowed })
      if (!given.ok) return
      const ask = githubAsk.parse(given.rights)
      const names = ask.repositories.map(({ name = '' }) => name.toLowerCase())
      const lower = (list: readonly string[]) => list.map(one => `acme/${one}`.toLowerCase())
      if (allowed !== undefined) {
        const whole = githubAsk.parse({
          repositories: allowed.map(one => `acme/${one}`),
          permissions: { ...most, metadata: 'read' },
        })
        expect(githubCovers(whole, ask)).toBe(true)
        expect(lower(allowed)).toEqual(expect.arrayContaining(names))
      }
      expect(isOrganization ? lower(wanted ?? allowed ?? []) : ['acme/api']).toEqual(
        expect.arrayContaining(names),
      )
      for (const [name, level] of Object.entries(given.rights.permissions)) {
        expect(levelCovers(asked[name], level)).toBe(true)
        expect(name === 'metadata' || levelCovers(most[name], level)).toBe(true)
      }
      expect(names.length * Object.keys(given.rights.permissions).length).toBeGreaterThan(0)
    },
  )
  fc.assert(property)
})
