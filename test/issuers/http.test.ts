import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { httpIssuer } from '../../issuers/http.ts'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { describeIssuer } from '../conformance/issuer.ts'
import type { HttpIssuerOptions } from '../fakes/http-issuer/http-issuer.ts'
import { authority, broker, certificates, HttpWorld, LEASE, READ_ORDERS } from './http-world.ts'
import { faultControls } from './stand-in.ts'

const closeAsks = fc.record(
  {
    database: fc.constantFrom('orders', 'payments'),
    database_id: fc.constantFrom('db_1', 'db_2'),
    tables: fc.subarray(['open', 'closed', 'refunds'], { minLength: 1 }),
    level: fc.constantFrom('read', 'write', 'admin'),
    rows: fc.constantFrom(1, 10, 1_000),
  },
  { requiredKeys: ['database', 'tables', 'level'], noNullPrototype: true },
)

describe.each([
  ['over mutual TLS', {}, {}],
  ['that is sent the secret back', {}, { sends_secret_back: true }],
  ['on loopback, over plain http', { tls: undefined, clients: undefined }, {}],
] as const)('http %s', (how, serverOptions, settings) => {
  describeIssuer(`http ${how}`, async () => {
    // The options are spread over the defaults: undefined takes one away.
    const world = await HttpWorld.start(serverOptions as Partial<HttpIssuerOptions>)
    const { server, clocks } = world
    return {
      issuer: world.open(settings),
      asks: {
        granted: { database: 'orders', tables: ['open', 'closed'], level: 'write' },
        refused: { database: 'orders', database_id: 'db_1', tables: ['open'], level: 'admin' },
        any: closeAsks,
      },
      use: async secret => (server.query(secret, 'orders', 'open', 'write') ? 'accepted' : 'refused'),
      useOutside: async secret =>
        server.query(secret, 'orders', 'refunds', 'read') || server.query(secret, 'payments', 'open', 'read')
          ? 'accepted'
          : 'refused',
      now: clocks.broker,
      advance: ms => clocks.advance(ms),
      ownSecrets: [broker.key.split('\n')[1] ?? ''],
      provider: {
        requests: () => server.requests(),
        given: () => server.given().map(({ alive, userAgent }) => ({ alive, handle: userAgent })),
        advance: ms => clocks.advanceProvider(ms),
        ...faultControls(server, 'issue', 200),
      },
      close: () => world.close(),
    }
  })
})

describe('http', () => {
  const worlds: HttpWorld[] = []
  async function start(...options: Parameters<typeof HttpWorld.start>): Promise<HttpWorld> {
    const world = await HttpWorld.start(...options)
    worlds.push(world)
    return world
  }
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world.close()
  })
  const failure = async (call: Promise<unknown>): Promise<ProviderUnavailable> => {
    const error = await call.then(
      value => expect.unreachable(`answered ${JSON.stringify(value)}`),
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(ProviderUnavailable)
    return error as ProviderUnavailable
  }

  describe('who is who', () => {
    test.each([
      ['of another CA', certificates.strangersClient],
      ['that has expired', certificates.expiredClient],
      ['of another name', certificates.anotherClient],
    ])('a client certificate %s gets nothing', async (_, client) => {
      const world = await start({}, client)
      const error = await failure(world.issue(world.open()))
      // TLS 1.3 tells the client after it has sent: that nothing was minted is not ours to say.
      expect(error.nothingMinted).toBe(false)
      expect(world.server.given()).toEqual([])
    })

    test('nor does a client without one', async () => {
      const world = await start()
      const { url } = world.server
      const send = world.mutualTls(
        {
          certificate: '',
          key: await world.host.deps.readSecretFile('client.key'),
          ca: authority.certificate,
        },
        { deadlineMs: 5_000, maxBodyBytes: 1_000 },
      )
      await expect(send.fetch(`${url}/v1/probe`, { method: 'POST', body: '{}' })).rejects.toThrow()
      expect(world.server.requests()).toBe(0)
    })

    test.each([
      ['another CA', certificates.strangersServer],
      ['another name', certificates.otherName],
    ])('a server with a certificate of %s is an outage, and nothing was minted', async (what, server) => {
      const world = await start({ tls: { ...server, clientAuthority: authority.certificate } })
      const settings = what === 'another name' ? serverName('issuer.test') : {}
      const error = await failure(world.issue(world.open(settings)))
      expect(error.nothingMinted).toBe(true)
      expect(world.server.requests()).toBe(0)
    })

    const serverName = (server_name: string) => ({
      tls: {
        ...{ certificate_file: 'client.pem', key_file: 'client.key', ca_file: 'team-ca.pem', server_name },
      },
    })

    test('a server is known by the name in the settings, where there is one', async () => {
      const world = await start({
        tls: { ...certificates.otherName, clientAuthority: authority.certificate },
      })
      expect(await world.issue(world.open(serverName('other.test')))).toMatchObject({ ok: true })
    })

    test('without a ca_file the system’s CAs decide, and these do not know a team’s own', async () => {
      const world = await start()
      const tls = { certificate_file: 'client.pem', key_file: 'client.key' }
      expect((await failure(world.issue(world.open({ tls })))).nothingMinted).toBe(true)
    })

    test('a certificate that is replaced in place is the one that is shown next', async () => {
      const world = await start({}, certificates.strangersClient)
      const issuer = world.open()
      await failure(world.issue(issuer))
      world.files['client.pem'] = broker.certificate
      world.files['client.key'] = broker.key
      expect(await world.issue(issuer)).toMatchObject({ ok: true })
    })

    test('a key that cannot be read: nothing was minted, and nothing is said to be revoked', async () => {
      const world = await start()
      const tls = { certificate_file: 'client.pem', key_file: 'gone.key' }
      const issuer = world.open({ tls })
      expect((await failure(world.issue(issuer))).nothingMinted).toBe(true)
      await failure(issuer.revoke(world.handle(issuer)))
      expect(await issuer.probe(world.handle(issuer))).toMatchObject({ proof: 'unknown' })
    })

    test('nobody listens: nothing was minted', async () => {
      const world = await start()
      const gone = await HttpWorld.start()
      await gone.close()
      const issuer = world.open({ url: gone.server.url })
      expect((await failure(world.issue(issuer))).nothingMinted).toBe(true)
    })
  })

  describe('what is sent', () => {
    test('the lease, the ask, who asks for whom, and until when', async () => {
      const world = await start()
      const issuer = world.open()
      expect(await world.issue(issuer, { ...READ_ORDERS, tables: ['b', 'a', 'b'] })).toMatchObject({
        ok: true,
        granted: { ...READ_ORDERS, tables: ['a', 'b'] },
        providerExpiresAt: world.clocks.broker() + 600_000,
        details: { host: 'orders.db.test' },
      })
      expect(world.server.given()).toMatchObject([{ lease: LEASE, userAgent: `mayfly/0.0-test ${LEASE}` }])
      expect(world.sent()).toBe(1)
    })

    test('a mint of unknown outcome is ended by its lease alone', async () => {
      const world = await start()
      const issuer = world.open()
      world.server.faults = ({ when }) => (when === 'after' ? 'drop' : 'ok')
      expect((await failure(world.issue(issuer))).nothingMinted).toBe(false)
      world.server.faults = () => 'ok'
      expect(await issuer.revoke(world.handle(issuer))).toBe('revoked')
      expect(await issuer.revoke(world.handle(issuer))).toBe('already_gone')
      expect(await issuer.probe(world.handle(issuer))).toEqual({ proof: 'dead' })
    })
  })

  describe('a bad answer', () => {
    const good = {
      outcome: 'issued',
      secret: 'canary-secret-51c2',
      granted: READ_ORDERS,
      expires_at: '2026-05-01T12:10:00Z',
    }
    test.each<[string, object]>([
      ['with a key nobody knows', { ...good, also: 'x' }],
      ['without an outcome', { ...good, outcome: undefined }],
      ['of another outcome', { ...good, outcome: 'done' }],
      ['without a secret', { ...good, secret: undefined }],
      ['with a secret of two lines', { ...good, secret: 'canary-secret-51c2\nx' }],
      ['with a secret of several parts where one is agreed', { ...good, secret: { user: 'u' } }],
      ['without what was granted', { ...good, granted: undefined }],
      ['with a grant that is no ask', { ...good, granted: { ...READ_ORDERS, level: 'owner' } }],
      ['with a grant that has more than asks have', { ...good, granted: { ...READ_ORDERS, all: true } }],
      ['with an expiry in words', { ...good, expires_at: 'tomorrow' }],
      ['with an expiry in seconds', { ...good, expires_at: 1_777_636_800 }],
      ['with details that are no plain facts', { ...good, details: { nested: {} } }],
      ['that refuses for a reason nobody knows', { outcome: 'refused', reason: 'mood', detail: 'no' }],
      ['that refuses without a word', { outcome: 'refused', reason: 'rejected' }],
      ['that is a list', [good]],
    ])('%s is an outage, and does not print', async (_, answer) => {
      const world = await start()
      world.server.faults = ({ when }) =>
        when === 'after' ? { status: 200, body: JSON.stringify(answer) } : 'ok'
      const error = await failure(world.issue(world.open()))
      expect(error.nothingMinted).toBe(false)
      expect(`${error.message} ${error.stack} ${JSON.stringify(error.cause)}`).not.toContain('canary')
    })

    test.each<[string, number, Record<string, string>, string]>([
      ['an error', 500, {}, '{}'],
      ['an error that looks like a mint', 500, {}, JSON.stringify(good)],
      ['a denial by a proxy', 403, {}, '<html>'],
      ['a redirect', 302, { location: 'https://127.0.0.1/elsewhere' }, ''],
      ['another success', 201, {}, JSON.stringify(good)],
      ['no JSON', 200, { 'content-type': 'text/html' }, JSON.stringify(good)],
      ['too much', 200, {}, JSON.stringify({ ...good, details: { x: 'y'.repeat(70_000) } })],
    ])('%s is an outage, of unknown outcome', async (_, status, headers, body) => {
      const world = await start()
      world.server.faults = ({ when }) => (when === 'after' ? { status, headers, body } : 'ok')
      const error = await failure(world.issue(world.open()))
      expect(error.nothingMinted).toBe(false)
      expect(world.sent()).toBe(1)
    })

    test('an answer wider than the ask is handed to the host, which tells', async () => {
      const world = await start()
      world.server.misbehave = answer => ({ ...answer, granted: { ...READ_ORDERS, level: 'write' } })
      const issuer = world.open()
      const issued = await world.issue(issuer)
      if (!issued.ok) expect.unreachable()
      expect(issuer.covers(issuer.ask.parse(READ_ORDERS), issued.granted)).toBe(false)
    })

    test('no answer in time is an outage', async () => {
      const world = await start()
      const released = Promise.withResolvers<void>()
      world.server.faults = async ({ when }) => {
        if (when === 'after') await released.promise
        return 'ok' as const
      }
      const error = await failure(world.issue(world.open({ timeout_seconds: 1 })))
      expect(error.nothingMinted).toBe(false)
      released.resolve()
    })

    test('a wait that is asked for is passed on; a refusal’s, too', async () => {
      const world = await start()
      const issuer = world.open()
      world.server.faults = () => ({ status: 503, headers: { 'retry-after': '7' } })
      expect((await failure(world.issue(issuer))).retryAfterMs).toBe(7_000)
      const refusal = { outcome: 'refused', reason: 'rate_limited', detail: 'slowly', retry_after_seconds: 9 }
      world.server.faults = () => ({ status: 200, body: JSON.stringify(refusal) })
      expect(await world.issue(issuer)).toMatchObject({
        ok: false,
        reason: 'rate_limited',
        retryAfterMs: 9_000,
      })
    })

    test('of a revocation: it is not said to be done', async () => {
      const world = await start()
      const issuer = world.open()
      await world.issue(issuer)
      const answers = ['{}', '{"outcome":"maybe"}', '{"outcome":"revoked","also":1}', 'true', '']
      for (const body of answers) {
        world.server.faults = ({ when }) => (when === 'before' ? { status: 200, body } : 'ok')
        await failure(issuer.revoke(world.handle(issuer)))
        expect(await issuer.probe(world.handle(issuer))).toMatchObject({ proof: 'unknown' })
      }
    })

    test('of a resolution: what is wider, or something else, is refused', async () => {
      const world = await start()
      const issuer = world.open()
      const ask = issuer.ask.parse(READ_ORDERS)
      const answers = [
        { ...READ_ORDERS, tables: ['open', 'closed'] },
        { ...READ_ORDERS, database: 'payments' },
        { ...READ_ORDERS, level: 'write' },
        { level: 'read' },
      ]
      for (const resolved of answers) {
        const body = JSON.stringify({ outcome: 'resolved', ask: resolved })
        world.server.faults = ({ when }) => (when === 'before' ? { status: 200, body } : 'ok')
        await failure(Promise.resolve(issuer.resolve?.(ask, () => expect.unreachable())))
      }
    })
  })

  test('a secret of several parts is text of one JSON object', async () => {
    const world = await start()
    const parts = { user: 'lse', password: 'p' }
    world.server.misbehave = answer => ({ ...answer, secret: parts })
    const issued = await world.issue(world.open({ secret_format: 'json' }))
    expect(issued.ok && JSON.parse(issued.secret.reveal())).toEqual(parts)
  })

  test('settings that would weaken it are refused', async () => {
    const world = await start()
    const tls = { certificate_file: 'client.pem', key_file: 'client.key' }
    const refused = (over: object) =>
      expect(httpIssuer.settings.safeParse({ ...(world.settings() as object), ...over }).success).toBe(false)
    refused({ url: 'http://issuer.example.com' })
    refused({ url: 'http://127.0.0.1:1', tls })
    refused({ tls: undefined })
    refused({ url: 'https://user@issuer.example.com', tls })
    refused({ revocability: 'introspected' })
    refused({ timeout_seconds: 60 })
    refused({ resolves: false })
    refused({ anything: true })
    expect(() => httpIssuer.open(world.settings(), world.host.deps)).not.toThrow()
    const error = await failure(world.issue(httpIssuer.open(world.settings(), world.host.deps) as never))
    expect(error.nothingMinted).toBe(true)
  })
})
