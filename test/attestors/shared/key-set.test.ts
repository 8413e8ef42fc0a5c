import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ALGORITHMS } from '../../../attestors/shared/algorithms.ts'
import { MAX_KEYS, pickKey, readKeySet } from '../../../attestors/shared/key-set.ts'
import { rsaWeakness } from '../../../attestors/shared/key-strength.ts'
import type { JsonObject } from '../../../attestors/shared/strict-json.ts'
import { createSigningKey, type SigningKey } from '../../fakes/identity/signing-key.ts'

const rules = { algorithms: ALGORITHMS, use: { value: 'sig', mayBeAbsent: true } }
const ec = createSigningKey('ES256', 'ec')
const rsa = createSigningKey('RS256', 'rsa')
const okp = createSigningKey('EdDSA', 'okp')

const jwkOf = (key: SigningKey, overrides: Record<string, unknown> = {}) =>
  JSON.parse(JSON.stringify({ ...key.publicJwk, ...overrides })) as JsonObject
const read = (...keys: JsonObject[]) => readKeySet({ keys }, rules)
const toBase64url = (value: bigint) => Buffer.from(evenHex(value), 'hex').toString('base64url')
const evenHex = (value: bigint) => {
  const hex = value.toString(16)
  return hex.length % 2 === 0 ? hex : `0${hex}`
}

describe('keys that are left out', () => {
  const small = createSigningKey('RS256', 'small', { modulusLength: 1024 })
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }) as JsonObject
  const k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' })
  test.each<[string, JsonObject, string]>([
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0', kid: 'x' }, 'symmetric'],
    ['a private key', JSON.parse(JSON.stringify(ec.privateJwk)), 'private'],
    ['an RSA key with a prime', jwkOf(rsa, { p: 'AQ' }), 'private'],
    ['RSA of 1024 bits', jwkOf(small), 'under 2048'],
    ['RSA with e = 1', jwkOf(rsa, { e: 'AQ' }), 'exponent under'],
    ['RSA with e = 3', jwkOf(rsa, { e: 'Aw' }), 'exponent under'],
    ['RSA with e = 0', jwkOf(rsa, { e: 'AA' }), 'exponent under'],
    ['RSA without e', jwkOf(rsa, { e: undefined }), 'exponent under'],
    ['RSA with an even e', jwkOf(rsa, { e: toBase64url(65_538n) }), 'even exponent'],
    ['RSA with a huge e', jwkOf(rsa, { e: toBase64url(2n ** 64n + 1n) }), 'exponent over'],
    ['RSA with an even n', jwkOf(rsa, { n: toBase64url(2n ** 2047n) }), 'even modulus'],
    ['RSA of 16384 bits', jwkOf(rsa, { n: toBase64url(2n ** 16_383n + 1n) }), 'over 8192'],
    ['RSA without n', jwkOf(rsa, { n: undefined }), 'under 2048'],
    ['a key for encryption', jwkOf(ec, { use: 'enc' }), 'another use'],
    ['a use that is no text', jwkOf(ec, { use: null }), 'another use'],
    ['operations without verify', jwkOf(ec, { key_ops: ['sign'] }), 'another use'],
    ['operations that are no list', jwkOf(ec, { key_ops: 'verify' }), 'another use'],
    ['an alg that is symmetric', jwkOf(ec, { alg: 'HS256' }), 'not allowed'],
    ['an alg that is no text', jwkOf(ec, { alg: 7 }), 'not allowed'],
    ['a curve for key agreement', { ...x25519, kid: 'x' }, 'key type'],
    ['secp256k1', { ...(k1 as JsonObject), kid: 'x' }, 'key type'],
    ['an unknown kty', { kty: 'AKP', kid: 'x' }, 'key type'],
    ['no kty', { kid: 'x' }, 'key type'],
    ['a point off the curve', jwkOf(ec, { y: toBase64url(1n).padStart(43, 'A') }), 'not a valid'],
    ['no point', jwkOf(ec, { x: undefined }), 'not a valid'],
    ['an Ed25519 key too short', jwkOf(okp, { x: 'AAAA' }), 'not a valid'],
  ])('%s', (_what, jwk, reason) => {
    const { usable, unusable } = read(jwk)
    expect(usable).toEqual([])
    expect(unusable[0]?.reason).toContain(reason)
  })

  test('what is no object is passed over', () => {
    expect(readKeySet({ keys: [null, 1, 'key', [], jwkOf(ec)] }, rules).usable).toHaveLength(1)
  })

  test.each([{}, { keys: null }, { keys: {} }, { keys: Array(MAX_KEYS + 1).fill({}) }])(
    'no key set: %.30j',
    document => {
      expect(() => readKeySet(document as JsonObject, rules)).toThrow('key set')
    },
  )
})

describe('ROCA', () => {
  /** A modulus in the form of the broken library: a power of 65537 modulo the product of the small primes. */
  function rocaModulus(): bigint {
    const primes = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89]
    const product = [
      ...primes,
      97,
      101,
      103,
      107,
      109,
      113,
      127,
      131,
      137,
      139,
      149,
      151,
      157,
      163,
      167,
    ].reduce((all, prime) => all * BigInt(prime), 1n)
    let power = 1n
    for (let n = 0; n < 1234; n += 1) power = (power * 65_537n) % product
    const multiple = (2n ** 2047n / product) * product
    const modulus = multiple + product * 2n + power
    return modulus % 2n === 0n ? modulus + product : modulus
  }

  test('a modulus with the fingerprint is refused', () => {
    expect(rsaWeakness(toBase64url(rocaModulus()), 'AQAB')).toContain('ROCA')
  })

  test('a sound one is not', () => {
    expect(rsaWeakness(String(rsa.publicJwk.n), 'AQAB')).toBeUndefined()
  })
})

describe('picking', () => {
  test('by kid and algorithm', () => {
    const set = read(jwkOf(rsa), jwkOf(ec), jwkOf(okp))
    expect(pickKey(set, { alg: 'ES256', kid: 'ec' }).ok).toBe(true)
    expect(pickKey(set, { alg: 'RS256', kid: 'rsa' }).ok).toBe(true)
    expect(pickKey(set, { alg: 'RS256' }).ok).toBe(true)
  })

  test.each([
    [{ alg: 'ES256', kid: 'rsa' }, 'key_not_acceptable'],
    [{ alg: 'RS512', kid: 'rsa' }, 'key_not_acceptable'],
    [{ alg: 'PS256', kid: 'rsa' }, 'key_not_acceptable'],
    [{ alg: 'ES384', kid: 'ec' }, 'key_not_acceptable'],
    [{ alg: 'EdDSA', kid: 'nobody' }, 'key_unknown'],
    [{ alg: 'ES512' }, 'key_unknown'],
  ] as const)('%j is %s', (header, rejection) => {
    expect(pickKey(read(jwkOf(rsa), jwkOf(ec)), header)).toMatchObject({ rejection })
  })

  test('a key without alg fits the algorithms of its kind', () => {
    const set = read(jwkOf(rsa, { alg: undefined }))
    expect(pickKey(set, { alg: 'PS384', kid: 'rsa' }).ok).toBe(true)
    expect(pickKey(set, { alg: 'ES256', kid: 'rsa' }).ok).toBe(false)
  })

  test('a weak key of the same kid does not hide the good one', () => {
    const set = read(jwkOf(ec), { kty: 'oct', k: 'c2VjcmV0', kid: 'ec' })
    expect(pickKey(set, { alg: 'ES256', kid: 'ec' }).ok).toBe(true)
  })
})
