import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
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

  describe('asks', () => {
    const refused: [string, unknown][] = [
      ['no repositories at all', { permissions: { contents: 'read' } }],
      ['two empty lists', { repositories: [], repository_ids: [], permissions: { contents: 'read' } }],
      ['no permissions', { repositories: ['acme/api'] }],
      ['empty permissions', { repositories: ['acme/api'], permissions: {} }],
      ['a permission GitHub does not have', { ...READ_API, permissions: { everything: 'write' } }],
      ['a level the permission does not have', { ...READ_API, permissions: { contents: 'admin' } }],
      ['write as the only level asked lower', { ...READ_API, permissions: { workflows: 'read' } }],
      [
        '__proto__ as a permission',
        JSON.parse('{"repositories":["a/b"],"permissions":{"__proto__":"write"}}'),
      ],
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
      expect(world.open().ask.safeParse(input).success).toBe(false)
    })

    test('both lists become one, without repeats, and metadata:read is said', () => {
      const ask = world.open().ask.parse({
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
      const { ask, covers } = world.open()
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
      const { ask, covers } = world.open()
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
    const { ask, facts } = world.open()
    expect(facts(ask.parse({ repositories: ['acme/api'], permissions }))).toMatchObject({
      phase,
      mayLeaveAccess,
    })
  })

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
      expect(await world.issue(issuer, READ_API)).toMatchObject({ ok: true, details: { installation_id: 1 } })
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
      expect(await world.issue(world.open({ installation_id: 1 }), byId)).toMatchObject({ ok: true })
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

  describe("the provider's answer to a mint", () => {
    const answerMintWith = (body: object) => {
      world.github.faults = ({ operation, when }) =>
        operation === MINT && when === 'after'
          ? { status: 201, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
          : 'ok'
    }
    const answer = {
      token: 'ghs_answered',
      expires_at: '2026-05-01T13:00:00Z',
      permissions: { contents: 'read', metadata: 'read' },
      repository_selection: 'selected',
      repositories: [{ id: 42, full_name: 'acme/api' }],
    }
    const pinned = { repositories: [{ id: 42, name: 'acme/api' }], permissions: { contents: 'read' } }

    test('as asked: covered', async () => {
      answerMintWith(answer)
      const issuer = world.open()
      const issued = await world.issue(issuer, pinned)
      if (!issued.ok) throw new Error(issued.detail)
      expect(issuer.covers(issuer.ask.parse(pinned), issued.granted)).toBe(true)
      expect(issued.providerExpiresAt).toBe(Date.parse('2026-05-01T13:00:00Z'))
    })

    test.each([
      ['every repository', { repository_selection: 'all', repositories: undefined }],
      ['every repository, and a list', { repository_selection: 'all' }],
      ['one repository more', { repositories: [...answer.repositories, { id: 43, full_name: 'acme/web' }] }],
      ['another repository of that name', { repositories: [{ id: 77, full_name: 'acme/api' }] }],
      ['no list', { repositories: undefined }],
      ['a list that cannot be read', { repositories: [{ id: 'x' }] }],
      ['a level above', { permissions: { contents: 'write' } }],
      ['a permission more', { permissions: { contents: 'read', issues: 'read' } }],
      ['a level nobody knows', { permissions: { contents: 'owner' } }],
      ['no permissions', { permissions: undefined }],
    ])('%s: handed on as wider, so that the host can revoke it', async (_, change) => {
      answerMintWith({ ...answer, ...change })
      const issuer = world.open()
      const issued = await world.issue(issuer, pinned)
      if (!issued.ok) throw new Error(issued.detail)
      expect(issued.secret.reveal()).toBe('ghs_answered')
      expect(issuer.covers(issuer.ask.parse(pinned), issued.granted)).toBe(false)
    })

    test('without a readable expiry an hour is assumed, the longest there is', async () => {
      answerMintWith({ ...answer, expires_at: 'soon' })
      const issued = await world.issue(world.open(), pinned)
      expect(issued).toMatchObject({ ok: true, providerExpiresAt: world.clocks.broker() + 3_600_000 })
    })
  })

  describe('limits and outages', () => {
    const answerWith = (
      operationName: string,
      status: number,
      headers: Record<string, string> = {},
      message = '',
    ) => {
      world.github.faults = ({ operation, when }) =>
        operation === operationName && when === 'before'
          ? {
              status,
              headers: { 'content-type': 'application/json', ...headers },
              body: JSON.stringify({ message }),
            }
          : 'ok'
    }
    const reset = () => String(world.clocks.broker() / 1000 + 90)

    test.each([
      ['429 with retry-after', 429, () => ({ 'retry-after': '7' }), 7_000],
      ['403 with retry-after', 403, () => ({ 'retry-after': '30' }), 30_000],
      [
        '403 with nothing remaining',
        403,
        () => ({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset() }),
        90_000,
      ],
      ['429 without a word', 429, () => ({}), 60_000],
    ])('a mint limited by %s', async (_, status, headers, retryAfterMs) => {
      answerWith(MINT, status, headers())
      expect(await world.issue(world.open(), READ_API)).toMatchObject({
        ok: false,
        reason: 'rate_limited',
        retryAfterMs,
      })
    })

    test('a secondary limit is known by its words', async () => {
      answerWith(MINT, 403, {}, 'You have exceeded a secondary rate limit')
      expect(await world.issue(world.open(), READ_API)).toMatchObject({ ok: false, reason: 'rate_limited' })
    })

    test('an outage before the mint says that nothing was minted; one during the mint does not', async () => {
      const issuer = world.open()
      answerWith('apps/get-repo-installation', 503)
      await expect(world.issue(issuer, READ_API)).rejects.toMatchObject({ nothingMinted: true })
      answerWith(MINT, 503)
      await expect(world.issue(issuer, READ_API)).rejects.toMatchObject({ nothingMinted: false })
    })

    test.each([500, 502, 503, 504, 408, 302, 418])('a mint answered %i: unavailable', async status => {
      answerWith(MINT, status)
      await expect(world.issue(world.open(), READ_API)).rejects.toBeInstanceOf(ProviderUnavailable)
    })

    test('a token-shaped text in what GitHub says is not repeated', async () => {
      answerWith(MINT, 422, {}, `no ghs_${'a1-B_.'.repeat(20)} here\u0007`)
      const answer = await world.issue(world.open(), READ_API)
      expect(answer).toMatchObject({ ok: false, detail: expect.stringContaining('no [secret] here') })
    })

    test('a limited revocation says for how long, and does not say revoked', async () => {
      const issuer = world.open()
      const issued = await world.issue(issuer, READ_API)
      if (!issued.ok) throw new Error(issued.detail)
      answerWith('apps/revoke-installation-access-token', 403, { 'retry-after': '11' })
      await expect(issuer.revoke(world.handle(issued))).rejects.toMatchObject({ retryAfterMs: 11_000 })
      expect(world.alive()).toBe(1)
    })

    test('401 to a revocation alone does not make the token gone: it is probed, and found alive', async () => {
      const issuer = world.open()
      const issued = await world.issue(issuer, READ_API)
      if (!issued.ok) throw new Error(issued.detail)
      answerWith('apps/revoke-installation-access-token', 401)
      await expect(issuer.revoke(world.handle(issued))).rejects.toBeInstanceOf(ProviderUnavailable)
    })

    test("an outage of GitHub's sign-in answers 401 to all, and makes no token gone", async () => {
      const issuer = world.open()
      const issued = await world.issue(issuer, READ_API)
      if (!issued.ok) throw new Error(issued.detail)
      world.github.faults = ({ when }) => (when === 'before' ? { status: 401 } : 'ok')
      await expect(issuer.revoke(world.handle(issued))).rejects.toBeInstanceOf(ProviderUnavailable)
      world.github.faults = () => 'ok'
      expect(await issuer.revoke(world.handle(issued))).toBe('revoked')
      expect(await issuer.revoke(world.handle(issued))).toBe('already_gone')
    })

    test('a revocation whose answer was lost is found done at the next try', async () => {
      const issuer = world.open()
      const issued = await world.issue(issuer, READ_API)
      if (!issued.ok) throw new Error(issued.detail)
      world.github.faults = ({ operation, when }) =>
        operation === 'apps/revoke-installation-access-token' && when === 'after' ? 'drop' : 'ok'
      await expect(issuer.revoke(world.handle(issued))).rejects.toBeInstanceOf(ProviderUnavailable)
      expect(world.alive()).toBe(0)
      world.github.faults = () => 'ok'
      expect(await issuer.revoke(world.handle(issued))).toBe('already_gone')
    })

    test('a suspended installation says nothing about the token', async () => {
      const issuer = world.open()
      const issued = await world.issue(issuer, READ_API)
      if (!issued.ok) throw new Error(issued.detail)
      world.github.suspendInstallation(1)
      expect(await issuer.probe(world.handle(issued))).toBe('unknown')
      await expect(issuer.revoke(world.handle(issued))).rejects.toBeInstanceOf(ProviderUnavailable)
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
