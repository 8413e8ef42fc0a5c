import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { credentials, loadPackageDefinition, type ServiceClientConstructor, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
  vi,
} from 'vitest'
import { AttestationUnavailable, type Attestor, type Verdict } from '../../attestors/attestor.ts'
import { backoffMs, WORKLOAD_API_LIMITS } from '../../attestors/shared/workload-api.ts'
import { FEED_TIMES } from '../../attestors/shared/workload-feed.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import { createSpiffeAuthority, type SpiffeAuthority } from '../fakes/identity/spiffe-authority.ts'
import {
  plainJwks,
  startWorkloadApiServer,
  type WorkloadApiServer,
} from '../fakes/identity/workload-api-server.ts'
import { createTimers, type Timers } from '../support/timers.ts'
import { AUDIENCE, jwt, NOON, open } from './issuer-subject.ts'
import { createSvidSubject } from './svid-subject.ts'

const DOMAIN = 'acme.test'
const OTHER = 'partner.test'
const clock = { ms: NOON }
const now = () => clock.ms
const UNKNOWN = { header: { kid: 'a key of nobody' } }

let agent: WorkloadApiServer
let acme: SpiffeAuthority
let partner: SpiffeAuthority
let timers: Timers
const opened: { close?(): void }[] = []

const authorityOf = (trustDomain: string) => createSpiffeAuthority({ trustDomain, now, audience: AUDIENCE })
const bundlesOf = (...authorities: SpiffeAuthority[]) =>
  Object.fromEntries(authorities.map(one => [`spiffe://${one.trustDomain}`, plainJwks(one.bundle())]))
const publish = () => agent.give({ jwtBundles: bundlesOf(acme, partner) })

beforeAll(async () => {
  agent = await startWorkloadApiServer()
})
afterAll(() => agent.close())
beforeEach(() => {
  clock.ms = NOON
  acme = authorityOf(DOMAIN)
  partner = authorityOf(OTHER)
  timers = createTimers()
  agent.refuse(undefined)
  agent.calls.length = 0
  publish()
})

afterEach(async () => {
  for (const one of opened.splice(0)) one.close?.()
  await soon(() => expect(agent.streams()).toBe(0))
})

function openAttestor(trustDomain = DOMAIN, socket = agent.socket): Attestor {
  const settings = { trust_domain: trustDomain, audience: AUDIENCE, bundle: { workload_api: { socket } } }
  const attestor = open(spiffeJwt, settings, { now, schedule: timers.schedule })
  opened.push(attestor)
  return attestor
}

const attest = (attestor: Attestor, request: Record<string, unknown> = {}, by = acme): Promise<Verdict> =>
  attestor.attest(jwt(by.mintSvid({ sub: '/agent/coder', ...request })))

/** A change is on its way through a socket: it counts when it has come. */
const soon = (check: () => Promise<void> | void) => vi.waitFor(check, { timeout: 5_000, interval: 2 })

describeAttestor('spiffe-jwt by the Workload API', () =>
  createSvidSubject(async bundle => {
    agent.give({ jwtBundles: { 'spiffe://acme.test': plainJwks(bundle()) } })
    const at = (socket: string) => ({ bundle: { workload_api: { socket } } })
    return {
      ...{ settings: at(agent.socket), unreachable: at(join(agent.socket, '..', 'no-such.sock')) },
      ...{ deps: { schedule: timers.schedule }, calls: () => agent.calls.length, close: async () => {} },
    }
  }),
)

describe('bundles of the Workload API', () => {
  test('opening makes no call; the first evidence begins one stream for all', async () => {
    const attestor = openAttestor()
    expect(agent.calls).toEqual([])
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => attest(attestor)))
    expect(verdicts.every(({ ok }) => ok)).toBe(true)
    expect(agent.calls).toEqual(['FetchJWTBundles'])
  })

  test('each trust domain has its own, and no key of another counts', async () => {
    const [own, federated] = [openAttestor(), openAttestor(OTHER)]
    expect(await attest(own)).toMatchObject({ ok: true, proof: { issuer: 'spiffe://acme.test' } })
    expect(await attest(federated, {}, partner)).toMatchObject({ ok: true })
    const forged = { sub: `spiffe://${DOMAIN}/agent/coder` }
    expect(await attest(own, forged, partner)).toMatchObject({ rejection: 'key_unknown' })
    const kid = { ...forged, header: { kid: acme.key.kid } }
    expect(await attest(own, kid, partner)).toMatchObject({ rejection: 'signature_invalid' })
  })

  test('what a message does not name was taken back, and comes back with one that does', async () => {
    const attestor = openAttestor()
    expect(await attest(attestor)).toMatchObject({ ok: true })
    agent.give({ jwtBundles: bundlesOf(partner) })
    await soon(async () =>
      expect(await attest(attestor)).toMatchObject({
        rejection: 'issuer_not_trusted',
        detail: 'the Workload API has no bundle of this trust domain',
      }),
    )
    publish()
    await soon(async () => expect(await attest(attestor)).toMatchObject({ ok: true }))
  })

  test('a bundle without keys revokes every SVID', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    acme.revokeAll()
    publish()
    await soon(async () => expect(await attest(attestor)).toMatchObject({ rejection: 'key_unknown' }))
  })

  test.each([
    ['keys of another use', { keys: [{ use: 'x509-svid' }] }],
    ['keys for encryption', { keys: [{ use: 'enc' }] }],
    ['private keys', { keys: [{ d: 'c2VjcmV0' }] }],
  ])('leaves out %s', async (_what, { keys: [more] }) => {
    const jwks = { keys: [{ ...acme.key.publicJwk, ...more }] }
    agent.give({ jwtBundles: { [`spiffe://${DOMAIN}`]: Buffer.from(JSON.stringify(jwks)) } })
    expect(await attest(openAttestor())).toMatchObject({ rejection: 'key_not_acceptable' })
  })
})

describe('messages that cannot be used', () => {
  const named = (text: string) => ({ [`spiffe://${DOMAIN}`]: Buffer.from(text) })
  test.each([
    ['no JSON', named('a bundle, I swear')],
    ['members twice', named('{"keys":[],"keys":[]}')],
    ['no UTF-8', { [`spiffe://${DOMAIN}`]: Buffer.from([0x7b, 0xff, 0x7d]) }],
    ['no keys member', named('{}')],
    ['too many keys', named(JSON.stringify({ keys: Array(300).fill({}) }))],
    ['nothing in it', named('')],
    ['no bundle of anybody', {}],
  ])('%s: the last good bundle is used, and what it does not know is not refused', async (_what, bundles) => {
    const attestor = openAttestor()
    await attest(attestor)
    agent.send('FetchJWTBundles', { bundles })
    await soon(() => expect(attest(attestor, UNKNOWN)).rejects.toThrow(AttestationUnavailable))
    expect(await attest(attestor)).toMatchObject({ ok: true })
    clock.ms += FEED_TIMES.maxStaleMs
    await expect(attest(attestor)).rejects.toThrow(AttestationUnavailable)
    publish()
    await soon(async () => expect(await attest(attestor)).toMatchObject({ ok: true }))
    expect(await attest(attestor, UNKNOWN)).toMatchObject({ rejection: 'key_unknown' })
  })

  test('rubbish of one domain is no concern of another', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    acme.rotate()
    const bad = Buffer.from('rubbish')
    agent.give({ jwtBundles: { ...bundlesOf(acme), 'spiffe://partner.test': bad, 'not even an id': bad } })
    await soon(async () => expect(await attest(attestor)).toMatchObject({ ok: true }))
    expect(await attest(attestor, UNKNOWN)).toMatchObject({ rejection: 'key_unknown' })
  })

  test.each([
    ['one under another spelling of the name', 'spiffe://ACME.test'],
    ['one under the bare name', 'acme.test'],
    ['one under a path', 'spiffe://acme.test/'],
    ['one of an object’s own words', '__proto__'],
  ])('%s is not this domain’s', async (_what, name) => {
    agent.give({ jwtBundles: { [name]: plainJwks(acme.bundle()), ...bundlesOf(partner) } })
    expect(await attest(openAttestor())).toMatchObject({ rejection: 'issuer_not_trusted' })
  })

  test.each([
    ['no protobuf', Buffer.from([0xff, 0xff, 0xff, 0xff])],
    ['a length beyond its end', Buffer.from([0x0a, 0x7f, 0x01])],
    ['a message of another kind', Buffer.from([0x08, 0x01])],
  ])('%s: the last good bundle is used, and the next stream heals it', async (_what, bytes) => {
    const attestor = openAttestor()
    await attest(attestor)
    agent.send('FetchJWTBundles', bytes)
    await soon(() => expect(attest(attestor, UNKNOWN)).rejects.toThrow(AttestationUnavailable))
    expect(await attest(attestor)).toMatchObject({ ok: true })
    await timers.fire()
    publish()
    await soon(async () =>
      expect(await attest(attestor, UNKNOWN)).toMatchObject({ rejection: 'key_unknown' }),
    )
  })

  test('one larger than the cap ends the stream, not the broker', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    const huge = Buffer.alloc(WORKLOAD_API_LIMITS.messageBytes + 1, ' ')
    agent.send('FetchJWTBundles', { bundles: { [`spiffe://${OTHER}`]: huge } })
    await soon(() => expect(attest(attestor, UNKNOWN)).rejects.toThrow('RESOURCE_EXHAUSTED'))
    expect(await attest(attestor)).toMatchObject({ ok: true })
    await timers.fire()
    await soon(async () =>
      expect(await attest(attestor, UNKNOWN)).toMatchObject({ rejection: 'key_unknown' }),
    )
  })
})

describe('streams that end', () => {
  test('one that breaks off is called again, and the bundle is used meanwhile', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    agent.breakStreams(status.UNAVAILABLE)
    await soon(() => expect(attest(attestor, UNKNOWN)).rejects.toThrow(AttestationUnavailable))
    expect(await attest(attestor)).toMatchObject({ ok: true })
    acme.rotate({ keepOld: false })
    publish()
    await timers.fire()
    await soon(async () => expect(await attest(attestor)).toMatchObject({ ok: true }))
    expect(agent.calls).toHaveLength(2)
  })

  test('an agent that is gone is waited for, longer each time, and its bundle is used for an hour', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    await agent.stop()
    onTestFinished(() => agent.start())
    const waits: number[] = []
    for (let n = 0; n < 8; n += 1) {
      await soon(() => expect(timers.waiting().length).toBe(1))
      waits.push(...timers.waiting())
      expect(await attest(attestor)).toMatchObject({ ok: true })
      await timers.fire()
    }
    // Jitter is 0 here: half of 1, 2, 4, ... seconds, and half of the cap in the end.
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
    clock.ms += FEED_TIMES.maxStaleMs
    await expect(attest(attestor)).rejects.toThrow('UNAVAILABLE')
    await agent.start()
    await soon(() => expect(timers.waiting().length).toBe(1))
    await timers.fire()
    await soon(async () => expect(await attest(attestor)).toMatchObject({ ok: true }))
  })

  test('who is not known there any more uses nothing of it, and asks again', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    agent.breakStreams(status.PERMISSION_DENIED)
    await soon(() => expect(attest(attestor)).rejects.toThrow('PERMISSION_DENIED'))
    await timers.fire()
    await soon(async () => expect(await attest(attestor)).toMatchObject({ ok: true }))
  })

  test.each([
    ['UNIMPLEMENTED', status.UNIMPLEMENTED],
    ['INVALID_ARGUMENT', status.INVALID_ARGUMENT],
  ])('%s is final, and says so', async (name, code) => {
    agent.refuse(code)
    const attestor = openAttestor()
    await expect(attest(attestor)).rejects.toThrow(`${name}, and is not asked again`)
    expect(timers.waiting()).toEqual([])
    agent.refuse(undefined)
    await expect(attest(attestor)).rejects.toThrow(AttestationUnavailable)
    expect(agent.calls).toHaveLength(1)
  })

  test('no socket, and a listener that never answers, are outages', async () => {
    const missing = openAttestor(DOMAIN, join(agent.socket, '..', 'no-such.sock'))
    await expect(attest(missing)).rejects.toThrow(AttestationUnavailable)
    const socket = join(agent.socket, '..', 'silent.sock')
    const held: Socket[] = []
    const silent = createServer(socket => held.push(socket))
    await new Promise<void>(resolve => silent.listen(socket, resolve))
    const attestor = openAttestor(DOMAIN, socket)
    onTestFinished(async () => {
      for (const one of held) one.destroy()
      await new Promise<void>(resolve => silent.close(() => resolve()))
    })
    const waiting = expect(attest(attestor)).rejects.toThrow('has not answered yet')
    await soon(() => expect(timers.waiting()).toContain(FEED_TIMES.firstWordMs))
    await timers.fire()
    await waiting
  })

  test('a listener that speaks something else is an outage', async () => {
    const socket = join(agent.socket, '..', 'web.sock')
    const web = createServer(one => one.end('HTTP/1.1 400 Bad Request\r\n\r\n', () => one.destroy()))
    await new Promise<void>(resolve => web.listen(socket, resolve))
    onTestFinished(() => new Promise<void>(resolve => web.close(() => resolve())))
    await expect(attest(openAttestor(DOMAIN, socket))).rejects.toThrow('UNAVAILABLE')
  })

  test('a closed attestor calls nobody, and its stream is over', async () => {
    const attestor = openAttestor()
    await attest(attestor)
    expect(agent.streams()).toBe(1)
    attestor.close?.()
    await soon(() => expect(agent.streams()).toBe(0))
    // What began before it was replaced ends well.
    expect(await attest(attestor)).toMatchObject({ ok: true })
    expect(timers.waiting()).toEqual([])
    const never = openAttestor()
    never.close?.()
    await expect(attest(never)).rejects.toThrow(AttestationUnavailable)
    expect(agent.calls).toHaveLength(1)
  })

  test('the wait before the next call is at most its cap, and never nothing', () => {
    const waits = [0, 1, 5, 40, 1e9].flatMap(failures =>
      [0, 0.999].map(jitter => backoffMs(failures, jitter)),
    )
    expect(Math.max(...waits)).toBeLessThanOrEqual(WORKLOAD_API_LIMITS.retryCapMs)
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(WORKLOAD_API_LIMITS.retryBaseMs / 2)
  })
})

test('2,000 attestations while bundles are replaced 20 times: not one fails', async () => {
  const attestor = openAttestor()
  // A key is published before it is used (JWT-SVID authorities of SPIRE: prepared, then active).
  const inUse = () => next.at(-2)!
  const next: SpiffeAuthority[] = [authorityOf(DOMAIN), authorityOf(DOMAIN)]
  const publishAll = () => {
    const keys = next.slice(-3).map(one => ({ ...one.key.publicJwk, use: undefined, kid: kidOf(one) }))
    agent.give({ jwtBundles: { [`spiffe://${DOMAIN}`]: Buffer.from(JSON.stringify({ keys })) } })
  }
  const kidOf = (one: SpiffeAuthority) => `key-${next.indexOf(one)}`
  const present = (by: SpiffeAuthority) => attest(attestor, { header: { kid: kidOf(by) } }, by)
  publishAll()
  await soon(async () => expect(await present(inUse())).toMatchObject({ ok: true }))
  const tally = { ok: 0, refused: 0 }
  for (let round = 0; round < 20; round += 1) {
    const previous = inUse()
    next.push(authorityOf(DOMAIN))
    publishAll()
    const load = Array.from({ length: 100 }, async (_, n) => {
      const verdict = await present(n % 2 === 0 ? previous : inUse())
      tally[verdict.ok ? 'ok' : 'refused'] += 1
      await new Promise(setImmediate)
    })
    await Promise.all(load)
    // The domain goes on when its newest key has spread.
    await soon(async () => expect(await present(next.at(-1)!)).toMatchObject({ ok: true }))
  }
  expect(tally).toEqual({ ok: 2_000, refused: 0 })
  expect(agent.calls).toEqual(['FetchJWTBundles'])
})

describe('the agent’s stand-in', () => {
  const client = () => {
    const proto = loadSync(join(import.meta.dirname, '../fakes/identity/workload.proto'), { keepCase: true })
    const Client = loadPackageDefinition(proto).SpiffeWorkloadAPI as ServiceClientConstructor
    const made = new Client(`unix:${agent.socket}`, credentials.createInsecure())
    onTestFinished(() => made.close())
    return made
  }

  test('refuses whoever does not show that it means the Workload API', async () => {
    const stream = client().FetchJWTBundles!({}) as NodeJS.ReadableStream
    const error = await new Promise(resolve => stream.on('error', resolve).on('data', resolve))
    expect(error).toMatchObject({ code: status.INVALID_ARGUMENT })
  })
})

test('without a socket the host says where it is', async () => {
  const opened = (workloadApi?: string) => () =>
    open(
      spiffeJwt,
      { trust_domain: DOMAIN, audience: AUDIENCE, bundle: { workload_api: {} } },
      { now, workloadApi, schedule: timers.schedule },
    )
  expect(opened()).toThrow('SPIFFE_ENDPOINT_SOCKET is not')
  expect(opened('')).toThrow('SPIFFE_ENDPOINT_SOCKET is not')
  for (const uri of ['tcp://127.0.0.1:8081', 'unix:relative', 'unix:///a?b', '/run/agent.sock'])
    expect(opened(uri), uri).toThrow('is no Unix socket')
  const attestor = opened(`unix://${agent.socket}`)()
  expect(await attest(attestor)).toMatchObject({ ok: true })
  attestor.close?.()
})
