/** The J, K and C families of bad tokens against the one verifier, by way of the oidc attestor. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Attestor, Rejection } from '../../../attestors/attestor.ts'
import { oidc } from '../../../attestors/oidc.ts'
import { createForger, type Part } from '../../fakes/identity/forger.ts'
import { createSigningKey } from '../../fakes/identity/signing-key.ts'
import { ecdsaTwinOf, spellingsOf } from '../../fakes/identity/spellings.ts'
import { AUDIENCE, jwt, NOON, open } from '../issuer-subject.ts'

const ISSUER = 'https://issuer.test'
const NOW_S = NOON / 1000
const forger = createForger({ kid: 'good' })
const rsa = createForger({ algorithm: 'RS256', kid: 'rsa' })

let published: unknown
let calls: string[]
let attestor: Attestor
beforeEach(() => {
  published = forger.jwks(rsa.key.publicJwk)
  calls = []
  attestor = openAttestor()
})

function openAttestor(settings: Record<string, unknown> = {}): Attestor {
  const all = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['ES256', 'RS256'], ...settings }
  const fetch = async (url: string) => {
    calls.push(url)
    const issuer = new URL(url).origin
    const discovery = { issuer, jwks_uri: `${issuer}/keys` }
    return Response.json(url.endsWith('/keys') ? published : discovery)
  }
  return open(oidc, all, { now: () => NOON, fetch })
}

function payload(overrides: Record<string, unknown> = {}) {
  const times = { iat: NOW_S, exp: NOW_S + 300 }
  return { iss: ISSUER, aud: AUDIENCE, sub: 'runner', jti: 'once', ...times, ...overrides }
}

async function expectRejection(token: string, rejection: Rejection) {
  expect(await attestor.attest(jwt(token))).toMatchObject({ ok: false, rejection })
}

describe('J: spellings', () => {
  test('every other spelling of a token is malformed', async () => {
    const spellings = [forger, rsa].flatMap(by => spellingsOf(by.token(payload())))
    expect(spellings.length).toBeGreaterThan(30)
    for (const token of spellings) await expectRejection(token, 'malformed')
    expect(calls).toEqual([])
  })

  test.each([true, false])('the twin of an ECDSA signature is the same use (jti: %s)', async withId => {
    attestor = openAttestor({ require_jti: withId })
    const token = forger.token(payload(withId ? {} : { jti: undefined }))
    const [one, twin] = await Promise.all([token, ecdsaTwinOf(token)].map(t => attestor.attest(jwt(t))))
    expect(ecdsaTwinOf(token)).not.toBe(token)
    expect(one).toMatchObject({ ok: true })
    expect(twin).toEqual(one)
  })

  test('issuer and jti cannot be shifted into each other', async () => {
    const ids = new Set<string>()
    for (const jti of [
      'once',
      '"once',
      ',once',
      `${ISSUER}once`,
      '["once"]',
      'ONCE',
      'onc\u00e9',
      'once\u0301',
    ]) {
      const verdict = await attestor.attest(jwt(forger.token(payload({ jti }))))
      if (verdict.ok) ids.add(verdict.proof.replay.id)
    }
    expect(ids.size).toBe(8)
  })

  test('one jti of two issuers is two uses', async () => {
    const other = 'https://other.test'
    const verdicts = await Promise.all([
      attestor.attest(jwt(forger.token(payload()))),
      openAttestor({ issuer: other }).attest(jwt(forger.token(payload({ iss: other })))),
    ])
    const ids = verdicts.map(verdict => verdict.ok && verdict.proof.replay.id)
    expect(ids[0]).not.toBe(ids[1])
    expect(ids).not.toContain(false)
  })

  test('a token of 16 KiB is looked at, a longer one is not', async () => {
    const padded = (size: number) => forger.token(payload({ pad: 'x'.repeat(size) }))
    expect(await attestor.attest(jwt(padded(11_500)))).toMatchObject({ ok: true })
    await expectRejection(padded(12_300), 'malformed')
    await expectRejection(padded(1024 * 1024), 'malformed')
  })

  const texts: [string, string][] = [
    ['a duplicate sub', '{"sub":"a","sub":"b"}'],
    ['a byte order mark', '\uFEFF{}'],
    ['deep lists', `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`],
    ['exp 1e400', '{"exp":1e400}'],
    ['no JSON', 'sub=a'],
    ['a list', '[]'],
  ]
  test.each(texts)('a payload of %s is malformed', (_what, text) =>
    expectRejection(forger.token(text), 'malformed'),
  )
  test.each(texts)('a header of %s is malformed', (_what, text) =>
    expectRejection(forger.token(payload(), text), 'malformed'),
  )
})

describe('K: keys and algorithms', () => {
  test.each(['none', 'None', 'NONE', 'nOnE'])('alg %s', async alg => {
    await expectRejection(forger.unsignedToken(payload(), alg), 'malformed')
    await expectRejection(forger.unsignedToken(payload(), alg, 'AAAA'), 'algorithm_not_allowed')
  })

  test('HS256 keyed by the public key in any form', async () => {
    const { publicKey, publicJwk } = rsa.key
    const pem = publicKey.export({ format: 'pem', type: 'spki' })
    const der = publicKey.export({ format: 'der', type: 'spki' })
    for (const secret of [pem, String(pem).trim(), der, JSON.stringify(publicJwk)]) {
      await expectRejection(rsa.hmacToken(payload(), secret), 'algorithm_not_allowed')
    }
  })

  test.each([
    ...['RS384', 'PS256', 'ES384', 'EdDSA', 'HS256', 'ES256K', 'es256', 'RSA-OAEP', '', 'toString'],
    ...[null, 256, ['ES256'], undefined],
  ])('alg %j that is not on the list', alg =>
    expectRejection(forger.token(payload(), { alg }), 'algorithm_not_allowed'),
  )

  test('a key of another kind under the kid', async () => {
    await expectRejection(rsa.token(payload(), { alg: 'ES256' }), 'key_not_acceptable')
    await expectRejection(forger.token(payload(), { alg: 'RS256' }), 'key_not_acceptable')
  })

  const zero = Buffer.alloc(32)
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  test.each([
    ['r and s zero', Buffer.concat([zero, zero])],
    ['r the order', Buffer.concat([order, Buffer.alloc(32, 1)])],
    ['s the order', Buffer.concat([Buffer.alloc(32, 1), order])],
    ['in DER', Buffer.from('3006020101020101', 'hex')],
    ['one byte short', Buffer.alloc(63, 1)],
    ['one byte long', Buffer.alloc(65, 1)],
  ])('an ECDSA signature with %s', (_what, signature) => {
    const [header, body] = forger.token(payload()).split('.')
    return expectRejection(`${header}.${body}.${signature.toString('base64url')}`, 'signature_invalid')
  })

  test('a changed payload, header or signature', async () => {
    const [header = '', body = '', signature = ''] = forger.token(payload()).split('.')
    const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')
    await expectRejection(`${header}.${encode(payload({ sub: 'root' }))}.${signature}`, 'signature_invalid')
    await expectRejection(
      `${encode({ alg: 'ES256', kid: 'good' })}.${body}.${signature}`,
      'signature_invalid',
    )
    await expectRejection(
      `${header}.${body}.${forger.token(payload({ jti: 'x' })).split('.')[2]}`,
      'signature_invalid',
    )
  })

  test.each([
    ['jwk', { kty: 'EC' }],
    ['jku', 'http://169.254.169.254/keys'],
    ['x5u', 'https://attacker.test/cert'],
    ['x5c', ['MIIB']],
    ['crit', ['exp']],
    ['crit', []],
    ['b64', false],
    ['zip', 'DEF'],
  ])('the header %s costs no request', async (name, value) => {
    await expectRejection(forger.token(payload(), { [name]: value }), 'header_not_allowed')
    expect(calls).toEqual([])
  })

  test('a thumbprint in the header, as GitHub sends it, is ignored', async () => {
    const verdict = await attestor.attest(jwt(forger.token(payload(), { x5t: 'dGh1bWI' })))
    expect(verdict).toMatchObject({ ok: true })
  })

  test.each(['at+jwt', 'dpop+jwt', 'wit+jwt', 'secevent+jwt', 'JOSE', '', 42, null])('typ %j', typ =>
    expectRejection(forger.token(payload(), { typ }), 'type_not_allowed'),
  )

  test('without a kid: only where one key fits', async () => {
    const token = forger.token(payload(), { kid: undefined })
    expect(await attestor.attest(jwt(token))).toMatchObject({ ok: true })
    published = forger.jwks(createSigningKey('ES256', 'other').publicJwk)
    attestor = openAttestor()
    await expectRejection(token, 'key_unknown')
    published = rsa.jwks()
    attestor = openAttestor()
    await expectRejection(token, 'key_unknown')
  })

  test('two keys of one kid', async () => {
    published = forger.jwks(createSigningKey('ES256', 'good').publicJwk)
    await expectRejection(forger.token(payload()), 'key_unknown')
  })

  test.each([42, null, '', ['good'], 'x'.repeat(513)])('kid %.20j costs no request', async kid => {
    await expectRejection(forger.token(payload(), { kid }), 'key_unknown')
    expect(calls).toEqual([])
  })

  test.each(['nobody', 'GOOD', 'good ', '../keys', '__proto__', 'constructor'])('kid %.20j', kid =>
    expectRejection(forger.token(payload(), { kid }), 'key_unknown'),
  )
})

describe('C: claims', () => {
  const year = 31_536_000
  const refusals: [Rejection, Record<string, unknown>][] = [
    ['claim_missing', { iss: undefined }],
    ['claim_malformed', { iss: [ISSUER] }],
    ['issuer_not_trusted', { iss: 'https://other.test' }],
    ['issuer_not_trusted', { iss: `${ISSUER}/` }],
    ['issuer_not_trusted', { iss: 'https://ISSUER.test' }],
    ['issuer_not_trusted', { iss: 'https://issuer.test.evil.test' }],
    ['claim_missing', { aud: undefined }],
    ['audience_wrong', { aud: [] }],
    ['claim_malformed', { aud: [[AUDIENCE]] }],
    ['claim_malformed', { aud: { [AUDIENCE]: true } }],
    ['claim_malformed', { aud: null }],
    ['audience_wrong', { aud: [AUDIENCE, AUDIENCE] }],
    ['audience_wrong', { aud: [AUDIENCE, 'https://other.test'] }],
    ['audience_wrong', { aud: 'https://mayfly' }],
    ['audience_wrong', { aud: `${AUDIENCE}/` }],
    ['audience_wrong', { aud: AUDIENCE.toUpperCase() }],
    ['audience_wrong', { aud: ` ${AUDIENCE}` }],
    ['claim_missing', { sub: undefined }],
    ['claim_malformed', { sub: '' }],
    ['claim_malformed', { sub: 42 }],
    ['claim_malformed', { sub: null }],
    ['claim_malformed', { sub: 'x'.repeat(2049) }],
    ['claim_malformed', { sub: 'a\u0000b' }],
    ['claim_malformed', { sub: 'a\u001b[31mb' }],
    ['claim_missing', { exp: undefined }],
    ['claim_malformed', { exp: String(NOW_S + 300) }],
    ['claim_malformed', { exp: -1 }],
    ['claim_malformed', { exp: NOW_S + 0.5 }],
    ['claim_malformed', { exp: 1e300 }],
    ['claim_malformed', { exp: 253_402_300_800 }],
    ['claim_malformed', { exp: NOON + 300_000 }],
    ['claim_malformed', { exp: null }],
    ['claim_malformed', { exp: true }],
    ['claim_malformed', { exp: NOW_S, iat: NOW_S }],
    ['expired', { iat: NOW_S - 200, exp: NOW_S - 61 }],
    ['expired', { iat: NOW_S - 200, exp: NOW_S - 60 }],
    ['claim_missing', { iat: undefined }],
    ['claim_malformed', { iat: 'now' }],
    ['claim_malformed', { iat: -5 }],
    ['not_yet_valid', { iat: NOW_S + 61 }],
    ['not_yet_valid', { nbf: NOW_S + 61 }],
    ['claim_malformed', { nbf: '0' }],
    ['claim_malformed', { nbf: NOW_S + 300 }],
    ['lifetime_too_long', { exp: NOW_S + year }],
    ['lifetime_too_long', { exp: NOW_S + 3601 }],
    ['too_old', { iat: NOW_S - 361 }],
    ['claim_missing', { jti: undefined }],
    ['claim_malformed', { jti: '' }],
    ['claim_malformed', { jti: 7 }],
    ['claim_malformed', { jti: 'x'.repeat(1025) }],
  ]
  test.each(refusals)('%s: %.60j', (rejection, overrides) =>
    expectRejection(forger.token(payload(overrides)), rejection),
  )

  test('an exp beyond 2^53 is not rounded into range', () => {
    const text = JSON.stringify(payload()).replace(/"exp":\d+/, '"exp":9007199254740993')
    return expectRejection(forger.token(text as Part), 'claim_malformed')
  })

  test.each([
    { aud: [AUDIENCE] },
    { iat: NOW_S - 200, exp: NOW_S - 59 },
    { iat: NOW_S + 60 },
    { nbf: NOW_S + 60 },
    { iat: NOW_S - 360 },
    { exp: NOW_S + 3600 },
  ])('just within the bounds: %j', async overrides => {
    expect(await attestor.attest(jwt(forger.token(payload(overrides))))).toMatchObject({ ok: true })
  })
})

test('evidence whose token was replaced since somebody looked at it is read again', async () => {
  const evidence = { type: 'jwt' as const, token: forger.token(payload()) }
  expect(attestor.recognises(evidence)).toBe(true)
  evidence.token = forger.token(payload({ sub: 'another' }))
  expect(await attestor.attest(evidence)).toMatchObject({ ok: true, proof: { subject: 'another' } })
})
