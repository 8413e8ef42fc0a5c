/** Which role takes which permission, and what is read of GitHub's answers. The rest is shown through the broker. */
import { describe, expect, test } from 'vitest'
import { ProviderUnavailable, type Refused } from '../../issuers/issuer.ts'
import { githubAsk } from '../../issuers/shared/github-ask.ts'
import { githubAllows, neededFor, roleOf } from '../../issuers/shared/github-collaborator.ts'
import { GITHUB_PERMISSIONS } from '../../issuers/shared/github-permissions.ts'
import type { Answer } from '../../issuers/shared/github-rest.ts'
import { Secret } from '../../issuers/shared/secret.ts'

test.each([
  ['write', 'maintain', 'maintain'],
  ['write', 'write', 'write'],
  ['read', 'triage', 'triage'],
  ['admin', 'admin', 'admin'],
  ['none', 'none', 'none'],
  // Custom roles, by what they come to.
  ['write', 'release-manager', 'write'],
  ['read', 'auditor', 'read'],
  // What contradicts itself, by the lesser word.
  ['read', 'admin', 'read'],
  ['write', 'admin', 'write'],
  ['none', 'admin', 'none'],
  // What GitHub may say tomorrow.
  ['owner', 'owner', 'none'],
  ['triage', 'triage', 'none'],
])('permission %s by the role %s is %s', (permission, name, role) => {
  expect(roleOf(permission, name)).toBe(role)
})

test('a permission that no role in a repository gives is never had by proxy', () => {
  const names = Object.keys(GITHUB_PERMISSIONS).filter(name => neededFor(name, 'read') === undefined)
  expect(names).toEqual(
    expect.arrayContaining(['members', 'organization_secrets', 'git_ssh_keys', 'profile']),
  )
  for (const name of ['contents', 'issues', 'administration', 'secrets']) expect(names).not.toContain(name)
  expect(neededFor('constructor', 'read')).toBeUndefined()
})

test.each(['administration', 'secrets', 'repository_hooks', 'dependabot_secrets'])('%s takes admin', name => {
  expect([neededFor(name, 'read'), neededFor(name, 'write')]).toEqual(['admin', 'admin'])
})

describe('what GitHub answers', () => {
  const human = {
    ...{ issuer: 'https://id.test', subject: 'hanna' },
    accounts: [{ provider: 'github.com', login: 'hanna', id: '7' }],
  }
  const ask = githubAsk.parse({ repository_ids: [1], permissions: { contents: 'read' } })
  const user = { login: 'Hanna', id: 7 }
  const allowed = (answer: Partial<Answer>) =>
    githubAllows(
      {
        provider: 'github.com',
        rest: {
          asApp: async () => expect.fail('nothing is asked as the App'),
          asToken: async () => ({ status: 200, data: {}, message: '', ...answer }),
        },
      },
      human,
      ask,
      (_own, use) => use({ secret: new Secret('ghs_own'), lease: 'lse_1' }),
    )

  test('access', async () => {
    const data = { permission: 'read', role_name: 'read', user }
    expect(await allowed({ data })).toMatchObject({ ok: true, allowed: true })
  })

  test.each<[string, Partial<Answer>]>([
    ['nobody', { status: 404 }],
    ['no access', { data: { permission: 'none', role_name: 'none', user } }],
    ['somebody else by that login', { data: { permission: 'admin', user: { login: 'hanna', id: 8 } } }],
    ['another login', { data: { permission: 'admin', user: { login: 'other', id: 7 } } }],
  ])('%s is no access', async (_, answer) => {
    expect(await allowed(answer)).toMatchObject({ ok: true, allowed: false })
  })

  test.each<[string, Partial<Answer>]>([
    ['an outage', { status: 502 }],
    ['a token that is not taken', { status: 401 }],
    ['what cannot be read', { data: { permission: 'admin' } }],
    ['a redirect', { status: 301 }],
  ])('%s is thrown', async (_, answer) => {
    await expect(allowed(answer)).rejects.toThrow(ProviderUnavailable)
  })

  test('a limit is a refusal that says how long', async () => {
    const refused: Refused = {
      ok: false,
      reason: 'rate_limited',
      detail: expect.any(String),
      retryAfterMs: 9,
    }
    expect(await allowed({ status: 403, rateLimited: 9 })).toEqual(refused)
  })
})
