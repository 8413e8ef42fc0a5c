/** Keys over real sockets: rotation, outage, and key set servers that mean harm. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AttestationUnavailable, type Attestor } from '../../../attestors/attestor.ts'
import { oidc } from '../../../attestors/oidc.ts'
import { KEY_SET_TIMES } from '../../../attestors/shared/remote-key-set.ts'
import { createOutbound, type Outbound } from '../../../src/outbound.ts'
import { createForger, type Forger } from '../../fakes/identity/forger.ts'
import { type IdentityProvider, startIdentityProvider } from '../../fakes/identity/identity-provider.ts'
import {
  type Answer,
  DISCOVERY,
  discoveryOf,
  flood,
  gzipBomb,
  hang,
  json,
  KEYS,
  type KeyServer,
  redirect,
  startKeyServer,
  status,
  text,
  trickle,
} from '../../fakes/identity/key-server.ts'
import { AUDIENCE, jwt, NOON, open } from '../issuer-subject.ts'

let clockMs: number
let server: KeyServer
let outbound: Outbound
const forger = createForger({ kid: 'first' })
const second = createForger({ kid: 'second' })

beforeEach(async () => {
  clockMs = NOON
  server = await startKeyServer(forger.jwks())
  outbound = createOutbound({ allowLoopback: true })
})
afterEach(async () => {
  await outbound.close()
  await server.close()
})

/** Gives up soon on who is silent; whoever keeps this machine busy for longer needs a patient one. */
function openAttestor(settings: Record<string, unknown> = {}, deadlineMs = 300): Attestor {
  const all = { issuer: server.issuer, audience: AUDIENCE, algorithms: ['ES256', 'RS256'], ...settings }
  return open(oidc, all, { now: () => clockMs, fetch: url => outbound.get(url, { deadlineMs }) })
}

function evidence(by: Forger = forger, header: Record<string, unknown> = {}) {
  const iat = clockMs / 1000
  const payload = { iss: server.issuer, aud: AUDIENCE, sub: 'runner', jti: 'once', iat, exp: iat + 60 }
  return jwt(by.token(payload, header))
}

const keyFetches = () => server.requests.filter(path => path === KEYS).length

describe('rotation', () => {
  test('a key that was added is found once the cooldown is over', async () => {
    const attestor = openAttestor()
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
    server.keySet = forger.jwks(second.key.publicJwk)
    expect(await attestor.attest(evidence(second))).toMatchObject({ rejection: 'key_unknown' })
    clockMs += KEY_SET_TIMES.cooldownMs
    expect(await attestor.attest(evidence(second))).toMatchObject({ ok: true })
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
    expect(keyFetches()).toBe(2)
  })

  test('a key that was taken away stops to count when the keys are old', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.keySet = second.jwks()
    clockMs += KEY_SET_TIMES.refreshAfterMs
    expect(await attestor.attest(evidence())).toMatchObject({ rejection: 'key_unknown' })
  })

  test('a key set without keys revokes them all', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.keySet = { keys: [] }
    clockMs += KEY_SET_TIMES.refreshAfterMs
    expect(await attestor.attest(evidence())).toMatchObject({ rejection: 'key_unknown' })
  })

  test('a key that comes back weaker under the same kid is not used', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.keySet = { keys: [{ kty: 'oct', kid: 'first', k: 'c2VjcmV0' }] }
    clockMs += KEY_SET_TIMES.refreshAfterMs
    expect(await attestor.attest(evidence())).toMatchObject({ rejection: 'key_not_acceptable' })
  })

  test('node-oidc-provider rotates, with and without overlap', async () => {
    const provider: IdentityProvider = await startIdentityProvider({ now: () => clockMs, audience: AUDIENCE })
    const attestor = openAttestor({ issuer: provider.issuer })
    const before = await provider.mintToken({})
    expect(await attestor.attest(jwt(before))).toMatchObject({ ok: true })
    provider.rotate({ keepOld: true })
    clockMs += KEY_SET_TIMES.cooldownMs
    expect(await attestor.attest(jwt(await provider.mintToken({})))).toMatchObject({ ok: true })
    expect(await attestor.attest(jwt(before))).toMatchObject({ ok: true })
    provider.rotate()
    clockMs += KEY_SET_TIMES.cooldownMs
    expect(await attestor.attest(jwt(await provider.mintToken({})))).toMatchObject({ ok: true })
    expect(await attestor.attest(jwt(before))).toMatchObject({ rejection: 'key_unknown' })
    await provider.close()
  })
})

describe('floods', () => {
  test('ten thousand random kids cost one fetch per cooldown', async () => {
    const attestor = openAttestor({}, 15_000)
    await attestor.attest(evidence())
    for (let round = 1; round <= 2; round += 1) {
      clockMs += KEY_SET_TIMES.cooldownMs
      const flooding = Array.from({ length: 5000 }, (_, n) => {
        return attestor.attest(evidence(forger, { kid: `random-${round}-${n}` }))
      })
      const verdicts = await Promise.all(flooding)
      expect(verdicts.every(verdict => !verdict.ok && verdict.rejection === 'key_unknown')).toBe(true)
      expect(keyFetches()).toBe(1 + round)
    }
  })

  test('callers who come at once share the first fetch', async () => {
    const attestor = openAttestor()
    const verdicts = await Promise.all(Array.from({ length: 100 }, () => attestor.attest(evidence())))
    expect(verdicts.every(({ ok }) => ok)).toBe(true)
    expect(server.requests).toEqual([DISCOVERY, KEYS])
  })

  test('without any key set, failures are tried again after a short while only', async () => {
    const attestor = openAttestor()
    server.answer('*', status(503))
    for (let n = 0; n < 50; n += 1) await expect(attestor.attest(evidence())).rejects.toThrow('503')
    expect(server.requests).toEqual([DISCOVERY])
    server.answer('*', undefined)
    clockMs += KEY_SET_TIMES.retryMs
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
  })
})

describe('outage', () => {
  test('known keys are used until they are too stale', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.answer('*', status(500))
    clockMs += KEY_SET_TIMES.maxStaleMs - 1000
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
    clockMs += 1000
    await expect(attestor.attest(evidence())).rejects.toThrow(AttestationUnavailable)
    server.answer('*', undefined)
    clockMs += KEY_SET_TIMES.cooldownMs
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
  })

  test('an unknown kid may be in the keys that cannot be fetched: not a rejection', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.answer('*', status(500))
    clockMs += KEY_SET_TIMES.cooldownMs
    await expect(attestor.attest(evidence(second))).rejects.toThrow(AttestationUnavailable)
    await expect(attestor.attest(evidence(second))).rejects.toThrow(AttestationUnavailable)
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
  })

  test('asks a dead issuer once per cooldown while stale keys are used', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.answer('*', status(500))
    clockMs += KEY_SET_TIMES.refreshAfterMs
    const before = server.requests.length
    for (let n = 0; n < 50; n += 1) await attestor.attest(evidence())
    expect(server.requests.length - before).toBe(1)
  })

  test('a clock that is set back does not freeze the keys', async () => {
    const attestor = openAttestor()
    await attestor.attest(evidence())
    server.keySet = second.jwks()
    clockMs -= 3_600_000
    expect(await attestor.attest(evidence(second))).toMatchObject({ ok: true })
    expect(await attestor.attest(evidence())).toMatchObject({ rejection: 'key_unknown' })
  })
})

describe('hostile key set servers', () => {
  const hostile: [string, string, Answer][] = [
    ['80 MB', KEYS, flood(80 * 1024 * 1024)],
    ['a body without end', KEYS, flood()],
    ['a byte at a time', KEYS, trickle],
    ['silence', KEYS, hang],
    ['a gzip bomb', KEYS, gzipBomb(100 * 1024 * 1024)],
    ['a redirect', KEYS, redirect('/elsewhere')],
    ['a redirect of discovery', DISCOVERY, redirect('http://169.254.169.254/latest/meta-data')],
    ['an error', KEYS, status(500)],
    ['no content', KEYS, status(204)],
    ['a page', KEYS, text('<html>')],
    ['a byte order mark', KEYS, text('\uFEFF{"keys":[]}')],
    ['duplicate members', KEYS, text('{"keys":[],"keys":[]}')],
    ['a list', KEYS, json([])],
    ['keys that are no list', KEYS, json({ keys: {} })],
    ['ten thousand keys', KEYS, json({ keys: Array(10_000).fill({}) })],
    ['deep nesting', KEYS, text(`{"keys":${'['.repeat(50)}${']'.repeat(50)}}`)],
  ]
  test.each(hostile)('%s is an outage, and the last good keys stay', async (_what, path, answer) => {
    const attestor = openAttestor()
    server.answer(path, answer)
    await expect(attestor.attest(evidence())).rejects.toThrow(AttestationUnavailable)
    server.answer(path, undefined)
    clockMs += KEY_SET_TIMES.retryMs
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
    server.answer(path, answer)
    clockMs += KEY_SET_TIMES.refreshAfterMs
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
  })

  test('of 80 MB no more is taken than fits the cap and the sockets', async () => {
    let sentBytes = 0
    const answer = flood(80 * 1024 * 1024, bytes => {
      sentBytes = bytes
    })
    server.answer(KEYS, answer)
    await expect(openAttestor().attest(evidence())).rejects.toThrow('more than 262144 bytes')
    expect(sentBytes).toBeLessThan(40 * 1024 * 1024)
  })

  test.each([
    ['another issuer', { issuer: 'https://issuer.elsewhere.test' }],
    ['a trailing slash more', { issuer: 'SLASH' }],
    ['no issuer', { issuer: undefined }],
    ['no jwks_uri', { jwks_uri: undefined }],
    ['a jwks_uri that is no URL', { jwks_uri: '/keys' }],
    ['a jwks_uri on another host', { jwks_uri: 'https://elsewhere.test/keys' }],
    ['a jwks_uri on another port', { jwks_uri: 'http://127.0.0.1:1/keys' }],
    ['a jwks_uri in the metadata service', { jwks_uri: 'http://169.254.169.254/keys' }],
    ['a jwks_uri in a file', { jwks_uri: 'file:///etc/passwd' }],
    ['a jwks_uri with a user name', { jwks_uri: 'USER' }],
  ])('discovery with %s is an outage', async (_what, overrides) => {
    const replaced = Object.fromEntries(
      Object.entries(overrides).map(([name, value]) => {
        if (value === 'SLASH') return [name, `${server.issuer}/`]
        if (value === 'USER') return [name, `${server.issuer.replace('//', '//me@')}${KEYS}`]
        return [name, value]
      }),
    )
    server.answer(DISCOVERY, json(discoveryOf(server.issuer, replaced)))
    await expect(openAttestor().attest(evidence())).rejects.toThrow(AttestationUnavailable)
    expect(server.requests).toEqual([DISCOVERY])
  })
})

test.each(['http://issuer.test/keys', 'https://me@issuer.test/keys', 'https://:pw@issuer.test/keys'])(
  'an https issuer whose jwks_uri is %s is not asked there',
  async jwks_uri => {
    const issuer = 'https://issuer.test'
    const calls: string[] = []
    const fetch = async (url: string) => {
      calls.push(url)
      return Response.json({ issuer, jwks_uri })
    }
    const attestor = open(oidc, { issuer, audience: AUDIENCE }, { now: () => clockMs, fetch })
    const rsaEvidence = jwt(createForger({ algorithm: 'RS256' }).token({ iss: issuer }))
    await expect(attestor.attest(rsaEvidence)).rejects.toThrow('jwks_uri')
    expect(calls).toEqual([`${issuer}${DISCOVERY}`])
  },
)

describe('settings', () => {
  test('jwks_uri skips discovery', async () => {
    const attestor = openAttestor({ jwks_uri: `${server.issuer}${KEYS}` })
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
    expect(server.requests).toEqual([KEYS])
  })

  test('jwks_hosts allows the host that is named', async () => {
    const keys = await startKeyServer(forger.jwks())
    server.answer(DISCOVERY, json(discoveryOf(server.issuer, { jwks_uri: `${keys.issuer}${KEYS}` })))
    await expect(openAttestor().attest(evidence())).rejects.toThrow('host that is not allowed')
    const attestor = openAttestor({ jwks_hosts: [new URL(keys.issuer).host] })
    expect(await attestor.attest(evidence())).toMatchObject({ ok: true })
    await keys.close()
  })
})
