import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { AttestationUnavailable, type AttestorDeps, type Verdict } from '../../attestors/attestor.ts'
import { FEDERATION_TIMES } from '../../attestors/shared/bundle-federation.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { createOutbound, type Outbound } from '../../src/outbound.ts'
import { describeAttestor } from '../conformance/attestor.ts'
import {
  type Answer,
  flood,
  gzipBomb,
  hang,
  type KeyServer,
  redirect,
  startKeyServer,
  status,
  text,
  trickle,
} from '../fakes/identity/key-server.ts'
import { createSpiffeAuthority, type SpiffeAuthority } from '../fakes/identity/spiffe-authority.ts'
import { AUDIENCE, jwt, NOON, open } from './issuer-subject.ts'
import { createSvidSubject } from './svid-subject.ts'

const PATH = '/bundle.json'
const clock = { ms: NOON }
const now = () => clock.ms
let server: KeyServer
let outbound: Outbound
/** For servers that let wait. */
let hurried: Outbound
let acme: SpiffeAuthority

beforeAll(async () => {
  server = await startKeyServer({ keys: [] })
  outbound = createOutbound({ allowLoopback: true })
  hurried = createOutbound({ allowLoopback: true, deadlineMs: 150 })
})
afterAll(async () => {
  await outbound.close()
  await hurried.close()
  await server.close()
})
beforeEach(() => {
  clock.ms = NOON
  acme = createSpiffeAuthority({ trustDomain: 'acme.test', now, audience: AUDIENCE })
  server.answer(PATH, (...to) => text(acme.bundle())(...to))
  server.requests.length = 0
})

function openAttestor(web: { refresh_seconds?: number } = {}, fetch: AttestorDeps['fetch'] = outbound.get) {
  const bundle = { https_web: { url: `${server.issuer}${PATH}`, ...web } }
  const settings = { trust_domain: 'acme.test', audience: AUDIENCE, bundle }
  const attestor = open(spiffeJwt, settings, { now, fetch })
  return (request: Record<string, unknown> = {}): Promise<Verdict> =>
    attestor.attest(jwt(acme.mintSvid({ sub: '/agent/coder', ...request })))
}

const UNKNOWN = { header: { kid: 'a key of nobody' } }
/** The bundle with another text in the place of its number, or of its hint. */
const serve = (change: (bundle: string) => string) =>
  server.answer(PATH, (...to) => text(change(acme.bundle()))(...to))
const numbered = (sequence: string) =>
  serve(bundle => bundle.replace(/"spiffe_sequence":\d+/, `"spiffe_sequence":${sequence}`))
const hinted = (hint: string) =>
  serve(bundle => bundle.replace(/"spiffe_refresh_hint":\d+/, `"spiffe_refresh_hint":${hint}`))
const DUE = 300_000

describeAttestor('spiffe-jwt by a bundle endpoint', () =>
  createSvidSubject(async bundle => {
    server.answer('/conforms.json', (...to) => text(bundle())(...to))
    server.answer('/gone.json', status(503))
    const at = (path: string) => ({ bundle: { https_web: { url: `${server.issuer}${path}` } } })
    return {
      ...{ settings: at('/conforms.json'), unreachable: at('/gone.json') },
      ...{ deps: { fetch: outbound.get }, calls: () => server.requests.length, close: async () => {} },
    }
  }),
)

describe('polling', () => {
  test('opening fetches nothing; those who come at once share a fetch, and no token causes one', async () => {
    const attest = openAttestor()
    expect(server.requests).toEqual([])
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => attest()))
    expect(verdicts.every(({ ok }) => ok)).toBe(true)
    for (let n = 0; n < 50; n += 1) expect(await attest(UNKNOWN)).toMatchObject({ rejection: 'key_unknown' })
    expect(server.requests).toEqual([PATH])
  })

  test.each([
    ['as often as the publisher hints', '60', 60_000],
    ['every five minutes without a hint', '-1', FEDERATION_TIMES.refreshMs],
    ['and with one that is none', '"soon"', FEDERATION_TIMES.refreshMs],
    ['not more often than it is good for anybody', '0', FEDERATION_TIMES.leastRefreshMs],
    ['not as seldom as somebody might like', '31536000', FEDERATION_TIMES.mostRefreshMs],
  ])('%s', async (_what, hint, everyMs) => {
    hinted(hint)
    const attest = openAttestor()
    await attest()
    clock.ms += everyMs - 1
    await attest()
    expect(server.requests).toHaveLength(1)
    clock.ms += 1
    await attest()
    expect(server.requests).toHaveLength(2)
  })

  test('as often as the operator says', async () => {
    const attest = openAttestor({ refresh_seconds: 5 })
    await attest()
    acme.rotate({ keepOld: false })
    expect(await attest()).toMatchObject({ rejection: 'key_unknown' })
    clock.ms += 5_000
    expect(await attest()).toMatchObject({ ok: true })
  })

  test('a bundle without keys revokes every SVID', async () => {
    const attest = openAttestor()
    expect(await attest()).toMatchObject({ ok: true })
    acme.revokeAll()
    clock.ms += DUE
    expect(await attest()).toMatchObject({ rejection: 'key_unknown' })
  })

  test('keys of types and uses that nobody knows are passed over', async () => {
    serve(bundle => bundle.replace('"keys":[', '"keys":[{"kty":"XYZ"},{"kty":"EC","use":"wit-svid"},7,'))
    expect(await openAttestor()()).toMatchObject({ ok: true })
  })
})

describe('sequence', () => {
  test('never goes back, by 64 bits', async () => {
    numbered('9007199254740993')
    const attest = openAttestor()
    await attest()
    // As doubles the two are equal.
    numbered('9007199254740992')
    acme.rotate({ keepOld: false })
    clock.ms += DUE
    await expect(attest()).rejects.toThrow('spiffe_sequence went back')
    numbered('9007199254740994')
    clock.ms += DUE
    expect(await attest()).toMatchObject({ ok: true })
  })

  test('an older bundle brings no revoked key back', async () => {
    const old = acme.bundle()
    const attest = openAttestor()
    acme.revokeAll()
    expect(await attest()).toMatchObject({ rejection: 'key_unknown' })
    server.answer(PATH, text(old))
    clock.ms += DUE
    await expect(attest()).rejects.toThrow(AttestationUnavailable)
  })

  test('of a bundle with other keys has to be another', async () => {
    numbered('7')
    const attest = openAttestor()
    await attest()
    acme.rotate({ keepOld: false })
    clock.ms += DUE
    await expect(attest()).rejects.toThrow('the bundle changed and spiffe_sequence did not')
  })

  test('may stay where only the order and the spelling changed', async () => {
    acme.rotate()
    const attest = openAttestor()
    await attest()
    serve(bundle => {
      const { keys, ...rest } = JSON.parse(bundle) as { keys: Record<string, unknown>[] }
      const turned = keys.reverse().map(jwk => Object.fromEntries(Object.entries(jwk).reverse()))
      return JSON.stringify({ ...rest, spiffe_refresh_hint: 60, keys: turned }, undefined, 2)
    })
    clock.ms += DUE
    expect(await attest(UNKNOWN)).toMatchObject({ rejection: 'key_unknown' })
    expect(await attest()).toMatchObject({ ok: true })
  })

  test('where there never was one, the latest bundle counts', async () => {
    serve(bundle => bundle.replace(/"spiffe_sequence":\d+,/, ''))
    const attest = openAttestor()
    await attest()
    acme.rotate({ keepOld: false })
    clock.ms += DUE
    expect(await attest()).toMatchObject({ ok: true })
  })
})

/** Attempts to hold the broker up; none of them is a bundle. */
const HOSTILE: [string, Answer][] = [
  ['80 MB', flood(80 * 1024 * 1024)],
  ['a body without end', flood()],
  ['a byte at a time', trickle],
  ['silence', hang],
  ['a gzip bomb', gzipBomb(100 * 1024 * 1024)],
  ['a redirect', redirect('/elsewhere')],
  ['an error', status(500)],
  ['a page', text('<html>')],
  ['a byte order mark', text('\uFEFF{"keys":[]}')],
  ['members twice', text('{"keys":[],"keys":[]}')],
  ['no keys', text('{"spiffe_sequence":9}')],
  ['ten thousand keys', text(JSON.stringify({ keys: Array(10_000).fill({}), spiffe_sequence: 9 }))],
  ['no UTF-8', response => response.end(Buffer.from([0x7b, 0xff, 0x7d]))],
]

describe.each(HOSTILE)('an endpoint that answers %s', (_what, answer) => {
  test('is an outage, and the last good bundle is used for six hours', async () => {
    const ways = { out: outbound }
    const attest = openAttestor({}, url => ways.out.get(url))
    await attest()
    ways.out = hurried
    server.answer(PATH, answer)
    clock.ms += DUE
    expect(await attest()).toMatchObject({ ok: true })
    await expect(attest(UNKNOWN)).rejects.toThrow(AttestationUnavailable)
    // Until the next poll nobody waits for it again.
    expect(server.requests).toHaveLength(2)
    clock.ms += FEDERATION_TIMES.maxStaleMs
    await expect(attest()).rejects.toThrow(AttestationUnavailable)
  })
})

test('of a body without end no more is taken than fits the cap and the sockets', async () => {
  let sentBytes = 0
  const endless = flood(Number.POSITIVE_INFINITY, bytes => {
    sentBytes = bytes
  })
  server.answer(PATH, endless)
  await expect(openAttestor()()).rejects.toThrow('more than 262144 bytes')
  expect(sentBytes).toBeLessThan(40 * 1024 * 1024)
})

test('an endpoint that answers nobody holds up nobody else, and is asked again after a short while only', async () => {
  const calls: ((error: Error) => void)[] = []
  const held = openAttestor({}, () => new Promise((_resolve, reject) => calls.push(reject)))
  const attest = openAttestor()
  const waiting = Array.from({ length: 20 }, () => expect(held()).rejects.toThrow('it took too long'))
  for (let n = 0; n < 100; n += 1) expect(await attest()).toMatchObject({ ok: true })
  expect(calls).toHaveLength(1)
  calls[0]?.(new Error('it took too long'))
  await Promise.all(waiting)
  for (let n = 0; n < 10; n += 1) await expect(held()).rejects.toThrow(AttestationUnavailable)
  expect(calls).toHaveLength(1)
  clock.ms += FEDERATION_TIMES.retryMs
  const again = expect(held()).rejects.toThrow('still too long')
  await vi.waitFor(() => expect(calls).toHaveLength(2))
  calls[1]?.(new Error('still too long'))
  await again
})
