import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { appId, createWorld, installationId, minted, refusal, startMs, type World } from './fixture.ts'
import { generateAppKey } from './github.ts'

let world: World
beforeEach(async () => {
  world = await createWorld()
})
afterEach(() => world.github.close())

describe('installations', () => {
  const get = (route: string) => world.call(`bearer ${world.jwt()}`, route)
  const own = {
    status: 200,
    data: { id: installationId, app_id: appId, account: { login: 'acme', id: 5001 } },
  }

  test('are found by id, by repository, by organization and by user, in any case', async () => {
    for (const path of [`app/installations/${installationId}`, 'repos/ACME/Api/installation']) {
      expect(await get(`GET /${path}`)).toMatchObject(own)
    }
    expect(await get('GET /orgs/acme/installation')).toMatchObject(own)
    expect(await get('GET /users/acme/installation')).toMatchObject(own)
    expect(await get('GET /app/installations')).toMatchObject({ status: 200, data: [own.data] })
  })

  test('a user is no organization', async () => {
    world.github.addInstallation({
      ...{ id: 80, appId, account: 'hubot', accountType: 'User', repositories: 'all' },
      permissions: {},
    })
    expect(await get('GET /users/hubot/installation')).toMatchObject({ status: 200, data: { id: 80 } })
    expect(await get('GET /orgs/hubot/installation')).toMatchObject(refusal(404, 'Not Found'))
  })

  test("another App's are not there", async () => {
    const other = {
      appId: 2,
      clientId: 'Iv23liOther',
      slug: 'other',
      publicKeyPem: generateAppKey().publicKeyPem,
    }
    world.github.addApp(other)
    world.github.addInstallation({ id: 78, appId: 2, account: 'other', repositories: 'all', permissions: {} })
    const paths = [
      'GET /app/installations/78',
      'GET /repos/other/secret/installation',
      'GET /orgs/other/installation',
    ]
    for (const path of [
      ...paths,
      'POST /app/installations/78/access_tokens',
      'GET /repos/acme/web2/installation',
    ]) {
      expect(await get(path)).toMatchObject(refusal(404, 'Not Found'))
    }
  })

  test('suspended: no new token, and given ones are refused until it is over', async () => {
    const token = await world.token()
    expect(await get(`PUT /app/installations/${installationId}/suspended`)).toMatchObject({ status: 204 })
    const suspended = refusal(403, 'This installation has been suspended')
    expect(await world.mint()).toMatchObject(suspended)
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject(suspended)
    expect(world.github.credentials()).toMatchObject([{ alive: false }])
    expect(await get(`DELETE /app/installations/${installationId}/suspended`)).toMatchObject({ status: 204 })
    expect(await world.call(token, 'GET /repos/acme/api')).toMatchObject({ status: 200 })
  })
})

describe('a mint', () => {
  test("answers in today's shape, for one hour to the second", async () => {
    const answer = minted(await world.mint({ repository_ids: [1], permissions: { contents: 'read' } }))
    expect(answer.token).toMatch(/^ghs_424242_[\w-]+\.[\w-]+\.[\w-]+$/)
    expect(answer.token).toContain('-')
    expect(answer.token.split('_').length).toBeGreaterThan(3)
    expect(answer.token.length).toBeGreaterThan(500)
    expect(answer.token.length).toBeLessThan(540)
    expect(answer).toMatchObject({
      expires_at: '2026-11-22T10:30:00Z',
      repository_selection: 'selected',
      repositories: [{ id: 1, full_name: 'acme/api' }],
    })
  })

  test('narrows by id and by name, in any case, and metadata comes along', async () => {
    const byName = minted(
      await world.mint({ repositories: ['API', 'web'], permissions: { issues: 'write' } }),
    )
    expect(byName.repositories?.map(({ id }) => id)).toEqual([1, 2])
    expect(byName.permissions).toEqual({ issues: 'write', metadata: 'read' })
  })

  test.each([
    ['nothing at all', {}],
    ['empty lists', { repositories: [], permissions: {} }],
    ['an empty list of ids', { repository_ids: [] }],
  ])('reads %s as all', async (_, body) => {
    const answer = minted(await world.mint(body))
    expect(answer.repositories).toBeUndefined()
    expect(answer.permissions).toMatchObject({ contents: 'write', pull_requests: 'write' })
    expect(world.github.credentials()).toMatchObject([{ repositoryIds: [1, 2, 3] }])
  })

  test("all is the installation's account, never another's, and follows what the account chooses later", async () => {
    await world.mint()
    world.github.changeInstallation(installationId, { repositories: 'all' })
    expect(minted(await world.mint()).repository_selection).toBe('all')
    expect(world.github.credentials().map(one => one.repositoryIds)).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ])
  })

  const notGranted = refusal(422, 'The permissions requested are not granted to this installation.')
  const outOfReach = refusal(422, /at least one repository that does not exist or is not accessible/)
  test.each([
    ['a permission not granted', { permissions: { administration: 'read' } }, notGranted],
    ['a higher level than granted', { permissions: { actions: 'write' } }, notGranted],
    ['an unknown permission', { permissions: { everything: 'read' } }, refusal(422, /"everything"/)],
    ['an unknown level', { permissions: { contents: 'admin' } }, refusal(422, /permissions\/contents/)],
    ['an unknown key', { repository: ['api'] }, refusal(422, /"repository" is not a permitted key/)],
    ['a repository outside the selection', { repository_ids: [4] }, outOfReach],
    ['one good and one of another owner', { repository_ids: [1, 9] }, outOfReach],
    ['an unknown name', { repositories: ['nothing'] }, outOfReach],
    ['owner/name', { repositories: ['acme/api'] }, outOfReach],
    ['names and ids', { repositories: ['api'], repository_ids: [1] }, refusal(422, /Only one of/)],
    ['ids as strings', { repository_ids: ['1'] }, refusal(422, /repository_ids\/0/)],
    ['names as a string', { repositories: 'api' }, refusal(422, /repositories/)],
    ['501 repositories', { repository_ids: Array(501).fill(1) }, refusal(422, /at most 500/)],
  ])('is refused for %s, and nothing is given', async (_, body, expected) => {
    expect(await world.mint(body)).toMatchObject(expected)
    expect(world.github.credentials()).toEqual([])
  })

  test('takes 500 repositories', async () => {
    expect((await world.mint({ repository_ids: Array(500).fill(1) })).status).toBe(201)
  })

  test('REST version 2026-03-10 leaves deprecated repository fields out, an unknown one is refused', async () => {
    const mint = (version: string) =>
      world.mint({
        repository_ids: [1],
        headers: { authorization: `bearer ${world.jwt()}`, 'x-github-api-version': version },
      })
    expect(minted(await mint('2022-11-28')).repositories?.[0]).toHaveProperty('has_downloads')
    expect(minted(await mint('2026-03-10')).repositories?.[0]).not.toHaveProperty('has_downloads')
    expect(await mint('2021-01-01')).toMatchObject(refusal(400, /2021-01-01/))
  })
})

describe('a token ends', () => {
  const dead = refusal(401, 'Bad credentials')
  const probe = (token: string) => world.call(token, 'GET /installation/repositories', { per_page: 1 })

  test('by its own DELETE, at once and alone; a second DELETE is refused as unknown', async () => {
    const [first, second] = [await world.token(), await world.token()]
    expect(await probe(first)).toMatchObject({
      status: 200,
      data: { total_count: 3, repository_selection: 'selected' },
    })
    expect(await world.call(first, 'DELETE /installation/token')).toMatchObject({ status: 204 })
    expect(await probe(first)).toMatchObject(dead)
    expect(await world.call(first, 'DELETE /installation/token')).toMatchObject(dead)
    expect(await probe(second)).toMatchObject({ status: 200 })
    expect(world.github.credentials().map(({ alive }) => alive)).toEqual([false, true])
  })

  test('by expiry, not a second before', async () => {
    const token = await world.token()
    world.clock.ms = Date.UTC(2026, 10, 22, 10, 29, 59, 999)
    expect(await probe(token)).toMatchObject({ status: 200 })
    expect(world.github.credentials()).toMatchObject([{ alive: true }])
    world.clock.ms += 1
    expect(await probe(token)).toMatchObject(dead)
    expect(world.github.credentials()).toMatchObject([{ alive: false }])
    expect(await world.call(token, 'DELETE /installation/token')).toMatchObject(dead)
  })

  test('with its installation', async () => {
    const token = await world.token()
    world.github.removeInstallation(installationId)
    expect(await probe(token)).toMatchObject(dead)
  })

  test('and an unknown one never was', async () => {
    const { token } = minted(await world.mint())
    expect(await probe(`token ${token}x`)).toMatchObject(dead)
    expect(await probe('token ghs_short')).toMatchObject(dead)
    expect(await probe('basic eDp5')).toMatchObject(dead)
    expect(await world.call(undefined, 'DELETE /installation/token')).toMatchObject(
      refusal(401, 'Requires authentication'),
    )
  })
})

test('the truth of every token ever given is kept, and no token', async () => {
  const headers = { authorization: `bearer ${world.jwt()}`, 'user-agent': 'mayfly/1 lse_1' }
  const { token } = minted(
    await world.mint({ repositories: ['web'], permissions: { contents: 'read' }, headers }),
  )
  world.clock.ms += 1000
  await world.call(`token ${token}`, 'DELETE /installation/token')
  expect(world.github.credentials()).toEqual([
    {
      sha256: createHash('sha256').update(token).digest('hex'),
      installationId,
      repositoryIds: [2],
      permissions: { contents: 'read', metadata: 'read' },
      userAgent: expect.stringContaining('lse_1'),
      mintedAt: startMs,
      expiresAt: Date.UTC(2026, 10, 22, 10, 30, 0),
      revokedAt: startMs + 1000,
      alive: false,
    },
  ])
  expect(JSON.stringify(world.github.credentials())).not.toContain(token)
})
