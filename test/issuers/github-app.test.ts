import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { describeIssuer } from '../conformance/issuer.ts'
import { appKey, GithubWorld, MINT } from './github-world.ts'
import { faultControls, USER_AGENT } from './stand-in.ts'

const closeAsks = fc.record({
  repositories: fc.subarray(
    [
      'acme/api',
      'acme/web',
      'Acme/API',
      { id: 42 },
      { id: 42, name: 'acme/api' },
      { id: 43, name: 'acme/web' },
    ],
    { minLength: 1 },
  ),
  permissions: fc.record(
    {
      contents: fc.constantFrom('read', 'write'),
      actions: fc.constantFrom('read', 'write'),
      organization_projects: fc.constantFrom('read', 'write', 'admin'),
      secrets: fc.constantFrom('read', 'write'),
    },
    { requiredKeys: ['contents'], noNullPrototype: true },
  ),
})

describeIssuer('github-app', async () => {
  const world = await GithubWorld.start()
  const { github, clocks } = world
  return {
    issuer: world.open(),
    asks: {
      granted: { repositories: ['acme/api'], permissions: { contents: 'read', issues: 'write' } },
      refused: { repositories: ['acme/api'], permissions: { administration: 'write' } },
      any: closeAsks,
    },
    async use(secret) {
      const status = await world.call('POST /repos/acme/api/issues', { title: 'found' }, secret)
      return status === 201 ? 'accepted' : 'refused'
    },
    async useOutside(secret) {
      const otherRepository = await world.call('GET /repos/acme/web/contents/README.md', {}, secret)
      const otherLevel = await world.call(
        'PUT /repos/acme/api/contents/new.txt',
        { message: 'new', content: 'bmV3' },
        secret,
      )
      return otherRepository < 300 || otherLevel < 300 ? 'accepted' : 'refused'
    },
    now: clocks.broker,
    advance: ms => clocks.advance(ms),
    ownSecrets: [appKey.privateKeyPem.split('\n')[3] ?? ''],
    provider: {
      requests: () => world.host.counted.requests,
      given: () => github.credentials().map(({ alive, userAgent }) => ({ alive, handle: userAgent })),
      advance: ms => clocks.advanceProvider(ms),
      ...faultControls(github, MINT, 201),
    },
    close: () => world.close(),
  }
})

describe('github-app', () => {
  let world: GithubWorld
  beforeEach(async () => {
    world = await GithubWorld.start()
  })
  afterEach(() => world.close())

  const READ_API = { repositories: ['acme/api'], permissions: { contents: 'read' } }

  describe('resolve', () => {
    test('gives names their ids and ids their names, with tokens that are dead again', async () => {
      const answer = await world.resolve(world.open(), {
        repositories: ['Acme/web'],
        repository_ids: [42],
        permissions: { contents: 'read' },
      })
      expect(answer).toMatchObject({
        ok: true,
        ask: {
          repositories: [
            { id: 42, name: 'acme/api' },
            { id: 43, name: 'acme/web' },
          ],
        },
      })
      expect(world.github.credentials().map(({ permissions }) => permissions)).toEqual([
        { metadata: 'read' },
        { metadata: 'read' },
      ])
      expect(world.alive()).toBe(0)
    })

    test('a known name costs nothing for a minute, and means what it means after that', async () => {
      const issuer = world.open()
      await world.resolve(issuer, READ_API)
      const before = world.host.counted.requests
      expect(await world.resolve(issuer, READ_API)).toMatchObject({ ok: true })
      expect(world.host.counted.requests).toBe(before)

      world.github.renameRepository(42, 'api-old')
      world.github.addRepository({ id: 77, owner: 'acme', name: 'api' })
      world.clocks.advance(61_000)
      expect(await world.resolve(issuer, READ_API)).toMatchObject({
        ok: true,
        ask: { repositories: [{ id: 77, name: 'acme/api' }] },
      })
    })

    test('a name that now belongs to another repository than the id beside it is refused', async () => {
      world.github.renameRepository(42, 'api-old')
      world.github.addRepository({ id: 77, owner: 'acme', name: 'api' })
      const pinned = { ...READ_API, repositories: [{ id: 42, name: 'acme/api' }] }
      expect(await world.resolve(world.open(), pinned)).toMatchObject({ ok: false, reason: 'rejected' })
    })

    test('a name and an id that are unknown are refused, and so is one unknown among known', async () => {
      const issuer = world.open()
      for (const ask of [
        { repositories: ['acme/none'] },
        { repository_ids: [404] },
        { repositories: ['acme/api', 'acme/none'] },
      ]) {
        expect(await world.resolve(issuer, { ...READ_API, repositories: [], ...ask })).toMatchObject({
          ok: false,
        })
      }
      expect(world.alive()).toBe(0)
    })

    test('several owners are refused before anything is asked of GitHub', async () => {
      const answer = await world.resolve(world.open(), {
        ...READ_API,
        repositories: ['acme/api', 'other/tool'],
      })
      expect(answer).toMatchObject({ ok: false, detail: expect.stringContaining('acme and other') })
      expect(world.host.counted.requests).toBe(0)
    })

    test('a former name, from which GitHub redirects, is not found, and is no outage', async () => {
      world.github.faults = ({ operation, when }) =>
        operation === 'apps/get-repo-installation' && when === 'before'
          ? { status: 301, headers: { location: `${world.github.url}/repositories/42/installation` } }
          : 'ok'
      expect(await world.resolve(world.open(), READ_API)).toMatchObject({ ok: false, reason: 'not_found' })
    })

    test('an owner without an installation is not found', async () => {
      const answer = await world.resolve(world.open(), { ...READ_API, repositories: ['other/tool'] })
      expect(answer).toMatchObject({ ok: false, reason: 'not_found' })
    })
  })

  describe('issue', () => {
    test('sends ids, not names, and both lists; the token follows its repository through a rename', async () => {
      const issuer = world.open()
      const answer = await world.resolve(issuer, READ_API)
      if (!answer.ok) throw new Error(answer.detail)
      world.github.renameRepository(42, 'api-old')
      world.github.addRepository({ id: 77, owner: 'acme', name: 'api' })
      const issued = await issuer.issue(world.grant(issuer, answer.ask))
      if (!issued.ok) throw new Error(issued.detail)
      const [credential] = world.github.credentials().filter(({ alive }) => alive)
      expect(credential).toMatchObject({
        repositoryIds: [42],
        permissions: { contents: 'read', metadata: 'read' },
      })
      expect(issuer.covers(answer.ask, issued.granted)).toBe(true)
    })

    test('the same ask twice at once is two tokens (no shared pending mint)', async () => {
      const issuer = world.open()
      const [one, two] = await Promise.all([world.issue(issuer, READ_API), world.issue(issuer, READ_API)])
      if (!one.ok || !two.ok) throw new Error('refused')
      expect(one.secret.reveal()).not.toBe(two.secret.reveal())
      await issuer.revoke(world.handle(one))
      expect(await issuer.probe(world.handle(two))).toBe('alive')
    })

    test('the App may be named by its client id; the user agent carries the lease', async () => {
      const issuer = world.open({ app_id: undefined, client_id: 'Iv23mayfly' })
      expect(await world.issue(issuer, READ_API)).toMatchObject({
        ...{ ok: true, details: { installation_id: 1, app_slug: 'mayfly' } },
      })
      expect(world.github.credentials()[0]?.userAgent).toMatch(new RegExp(`^${USER_AGENT} lse_g+$`))
    })

    test('an empty list never leaves the house', async () => {
      const issuer = world.open()
      const [ask] = [issuer.ask.parse(READ_API)]
      const asked = world.host.counted.requests
      for (const empty of [
        { ...ask, repositories: [] },
        { ...ask, permissions: {} },
      ]) {
        expect(await issuer.issue(world.grant(issuer, empty))).toMatchObject({
          ok: false,
          reason: 'rejected',
        })
      }
      expect(world.host.counted.requests).toBe(asked)
    })

    test('several owners are refused, and names beside ids', async () => {
      const issuer = world.open()
      const owners = { ...READ_API, repositories: ['acme/api', 'other/tool'] }
      expect(await world.issue(issuer, owners)).toMatchObject({ ok: false, reason: 'rejected' })
      const mixed = { ...READ_API, repository_ids: [43] }
      expect(await world.issue(issuer, mixed)).toMatchObject({ ok: false, reason: 'rejected' })
      expect(world.host.counted.requests).toBe(0)
    })

    test('five hundred repositories: the long answer is read whole, and the token can be revoked', async () => {
      const ids = Array.from({ length: 500 }, (_, i) => 1_000 + i)
      for (const id of ids) world.github.addRepository({ id, owner: 'acme', name: `service-${id}` })
      const issuer = world.open()
      const many = { repository_ids: ids, permissions: { contents: 'read' } }
      const issued = await world.issue(issuer, many)
      if (!issued.ok) throw new Error(issued.detail)
      expect(issuer.covers(issuer.ask.parse(many), issued.granted)).toBe(true)
      expect(await issuer.revoke(world.handle(issued))).toBe('revoked')
    })

    test("the operator's cap holds below what the App was given", async () => {
      const issuer = world.open({ permissions: { contents: 'read' } })
      expect(await world.issue(issuer, READ_API)).toMatchObject({ ok: true })
      const write = { ...READ_API, permissions: { contents: 'write' } }
      expect(await world.issue(issuer, write)).toMatchObject({ ok: false, reason: 'not_permitted' })
    })

    test('an ask by id alone finds the only installation; with two it says what to do; a configured one is used', async () => {
      const byId = { repository_ids: [42], permissions: { contents: 'read' } }
      expect(await world.issue(world.open(), byId)).toMatchObject({ ok: true })
      world.github.addInstallation({
        id: 2,
        appId: 7,
        account: 'other',
        repositories: 'all',
        permissions: { contents: 'read' },
      })
      expect(await world.issue(world.open(), byId)).toMatchObject({
        ok: false,
        detail: expect.stringContaining('installation_id'),
      })
      const issued = await world.issue(world.open({ installation_id: 1 }), byId)
      expect(issued).toMatchObject({ ok: true, details: { installation_id: 1 } })
    })

    test('a reinstalled App is found again after one refusal', async () => {
      const issuer = world.open()
      await world.issue(issuer, READ_API)
      world.github.removeInstallation(1)
      world.github.addInstallation({
        id: 9,
        appId: 7,
        account: 'acme',
        repositories: 'all',
        permissions: { contents: 'read' },
      })
      expect(await world.issue(issuer, READ_API)).toMatchObject({ ok: false, reason: 'not_found' })
      expect(await world.issue(issuer, READ_API)).toMatchObject({ ok: true, details: { installation_id: 9 } })
    })

    test('refusals: suspended, unknown App, wrong key; each says which', async () => {
      expect(await world.issue(world.open({ app_id: 8 }), READ_API)).toMatchObject({ ok: false })
      await expect(world.issue(world.open({ private_key_file: 'broken.pem' }), READ_API)).rejects.toThrow(
        'broken.pem is not a private key in PEM form',
      )
      const issuer = world.open()
      await world.issue(issuer, READ_API)
      world.github.suspendInstallation(1)
      expect(await world.issue(issuer, READ_API)).toMatchObject({ ok: false, reason: 'not_permitted' })
    })

    test("a clock far off is told as the broker's own fault", async () => {
      world.clocks.advanceProvider(20 * 60_000)
      expect(await world.issue(world.open(), READ_API)).toMatchObject({
        ok: false,
        reason: 'rejected',
        detail: expect.stringContaining('private key and the clock'),
      })
      expect(world.host.counted.requests).toBe(1)
    })
  })

  test('GitHub Enterprise Server: every call goes under the base URL, path and all', async () => {
    const seen: string[] = []
    const { deps } = world.host
    const send = deps.fetch
    deps.fetch = (input, init) => {
      const url = new URL(String(input))
      seen.push(url.pathname)
      return send(`${url.origin}${url.pathname.replace('/api/v3', '')}${url.search}`, init)
    }
    const issuer = world.open({ api_url: `${world.github.url}/api/v3/` })
    const issued = await world.issue(issuer, READ_API)
    if (!issued.ok) throw new Error(issued.detail)
    expect(await issuer.revoke(world.handle(issued))).toBe('revoked')
    expect(await issuer.probe(world.handle(issued))).toBe('dead')
    expect(seen).toEqual([
      '/api/v3/repos/acme/api/installation',
      '/api/v3/app/installations/1/access_tokens',
      '/api/v3/installation/token',
      '/api/v3/installation/repositories',
    ])
  })

  test.each([
    ['no App', { app_id: undefined }],
    ['the App named twice', { client_id: 'Iv1' }],
    ['an unknown key', { token: 'x' }],
    ['an api_url that is no web address', { api_url: 'file:///etc/passwd' }],
    ['plain http to elsewhere', { api_url: 'http://github.example/api/v3' }],
    ['a user name in api_url', { api_url: 'https://me@github.example' }],
    ['an empty cap', { permissions: {} }],
  ])('settings with %s are refused', (_, settings) => {
    expect(() => world.open(settings)).toThrow()
  })
})
