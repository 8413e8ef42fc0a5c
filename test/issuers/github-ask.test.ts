/** Asks of the GitHub issuer: what is well-formed, what covers what, and what policy is told. No GitHub needed. */
import { describe, expect, test } from 'vitest'
import { githubAsk, githubCovers, githubFacts } from '../../issuers/shared/github-ask.ts'

const githubIssuer = { ask: githubAsk, covers: githubCovers, facts: githubFacts }
const READ_API = { repositories: ['acme/api'], permissions: { contents: 'read' } }

describe('asks', () => {
  const refused: [string, unknown][] = [
    ['no repositories at all', { permissions: { contents: 'read' } }],
    ['two empty lists', { repositories: [], repository_ids: [], permissions: { contents: 'read' } }],
    ['no permissions', { repositories: ['acme/api'] }],
    ['empty permissions', { repositories: ['acme/api'], permissions: {} }],
    ['a permission GitHub does not have', { ...READ_API, permissions: { everything: 'write' } }],
    ['a level the permission does not have', { ...READ_API, permissions: { contents: 'admin' } }],
    ['write as the only level asked lower', { ...READ_API, permissions: { workflows: 'read' } }],
    ['__proto__ as a permission', JSON.parse('{"repositories":["a/b"],"permissions":{"__proto__":"write"}}')],
    ['a name without an owner', { ...READ_API, repositories: ['api'] }],
    ['a wildcard', { ...READ_API, repositories: ['acme/*'] }],
    ['a path', { ...READ_API, repositories: ['acme/api/../web'] }],
    ['a dot segment', { ...READ_API, repositories: ['acme/..'] }],
    ['a line break', { ...READ_API, repositories: ['acme/api\n'] }],
    ['an id as text', { ...READ_API, repository_ids: ['42'] }],
    ['an id of zero', { ...READ_API, repository_ids: [0] }],
    ['an id with a fraction', { ...READ_API, repository_ids: [1.5] }],
    ['an entry that is empty', { ...READ_API, repositories: [{}] }],
    ['501 repositories', { ...READ_API, repository_ids: Array.from({ length: 501 }, (_, i) => i + 1) }],
    [
      '501 in two lists',
      {
        repositories: Array.from({ length: 250 }, (_, i) => `acme/r${i}`),
        repository_ids: Array.from({ length: 251 }, (_, i) => i + 1),
        permissions: { contents: 'read' },
      },
    ],
  ]
  test.each(refused)('%s: refused', (_, input) => {
    expect(githubIssuer.ask.safeParse(input).success).toBe(false)
  })

  test('both lists become one, without repeats, and metadata:read is said', () => {
    const ask = githubIssuer.ask.parse({
      repositories: ['acme/web', 'acme/api', 'ACME/api'],
      repository_ids: [7, 7],
      permissions: { issues: 'write', contents: 'read' },
    })
    expect(ask.repositories.map(({ id, name }) => name?.toLowerCase() ?? id)).toEqual([
      7,
      'acme/api',
      'acme/web',
    ])
    expect(ask.permissions).toEqual({ contents: 'read', issues: 'write', metadata: 'read' })
  })
})

describe('covers', () => {
  const covers = (ceiling: object, wanted: object) => {
    const { ask, covers } = githubIssuer
    const withRead = (one: object) => ask.parse({ permissions: { contents: 'read' }, ...one })
    return covers(withRead(ceiling), withRead(wanted))
  }
  const resolvedApi = { repositories: [{ id: 42, name: 'acme/api' }] }

  test('a ceiling by name covers the resolved ask; one by id does, too, whatever the name is now', () => {
    expect(covers({ repositories: ['Acme/API'] }, resolvedApi)).toBe(true)
    expect(covers({ repository_ids: [42] }, resolvedApi)).toBe(true)
  })
  test('a ceiling by id does not cover the repository that took the name', () => {
    expect(covers({ repository_ids: [42] }, { repositories: [{ id: 77, name: 'acme/api' }] })).toBe(false)
    expect(covers(resolvedApi, { repositories: [{ id: 77, name: 'acme/api' }] })).toBe(false)
  })
  test('near-miss names are not covered', () => {
    for (const name of ['acme/api2', 'acme/ap', 'acme-evil/api', 'acm/eapi']) {
      expect(covers({ repositories: ['acme/api'] }, { repositories: [name] })).toBe(false)
    }
  })
  test('levels are a lattice, and what the answer may hold beyond the words we know is never covered', () => {
    const { ask, covers } = githubIssuer
    const ceiling = ask.parse({
      repositories: ['acme/api'],
      permissions: { organization_projects: 'write' },
    })
    const { repositories } = ceiling
    expect(covers(ceiling, { repositories, permissions: { organization_projects: 'read' } })).toBe(true)
    expect(covers(ceiling, { repositories, permissions: { organization_projects: 'admin' } })).toBe(false)
    const answered: unknown = { repositories, permissions: { organization_projects: 'owner' } }
    expect(covers(ceiling, answered as typeof ceiling)).toBe(false)
    expect(covers(ceiling, { repositories: [{ name: '*' }], permissions: {} })).toBe(false)
  })
})

test.each([
  [{ contents: 'read' }, 'read', false],
  [{ secrets: 'read' }, 'read', false],
  [{ contents: 'write', pull_requests: 'write', issues: 'write' }, 'propose', false],
  [{ actions: 'write', contents: 'write' }, 'execute', false],
  [{ deployments: 'write', actions: 'write' }, 'deploy', false],
  [{ packages: 'write' }, 'deploy', false],
  [{ environments: 'write' }, 'deploy', true],
  [{ workflows: 'write' }, 'execute', true],
  [{ administration: 'write' }, 'transact', true],
  [{ secrets: 'write' }, 'transact', true],
  [{ repository_hooks: 'write' }, 'transact', true],
  [{ git_ssh_keys: 'write' }, 'transact', true],
  [{ members: 'write' }, 'transact', true],
])('facts of %o: %s, may leave access: %s', (permissions, phase, mayLeaveAccess) => {
  const { ask, facts } = githubIssuer
  expect(facts(ask.parse({ repositories: ['acme/api'], permissions }))).toMatchObject({
    phase,
    mayLeaveAccess,
  })
})
