/** What the GitHub issuer makes of wide answers, limits and outages. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { GithubWorld, MINT } from './github-world.ts'

const READ_API = { repositories: ['acme/api'], permissions: { contents: 'read' } }

let world: GithubWorld
beforeEach(async () => {
  world = await GithubWorld.start()
})
afterEach(() => world.close())

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
