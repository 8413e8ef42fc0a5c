import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import * as DPoP from 'dpop'
import { describe, expect, test } from 'vitest'
import { readDpopProof } from '../../../src/broker/bound/dpop-proof.ts'

const URL_ = 'https://mayfly.test/v1/tasks/tsk_1/credentials'
const TOKEN = 'mft_a-task-token'
const request = { method: 'POST', url: URL_ }
const withToken = { ...request, token: TOKEN }

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const publicJwk = ec.publicKey.export({ format: 'jwk' })
const now = Date.UTC(2026, 10, 22, 12)
const ath = (token: string) => createHash('sha256').update(token).digest('base64url')

type Parts = { header?: object; payload?: object; key?: KeyObject; alg?: string }

function proof({ header = {}, payload = {}, key = ec.privateKey }: Parts = {}): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const head = { typ: 'dpop+jwt', alg: 'ES256', jwk: publicJwk, ...header }
  const body = { jti: 'proof-1', htm: 'POST', htu: URL_, iat: now / 1000, ...payload }
  const input = `${encode(head)}.${encode(body)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

describe('proofs of the dpop package', () => {
  test.each(['ES256', 'Ed25519', 'RS256', 'PS256'] as const)('%s', async alg => {
    const keys = await DPoP.generateKeyPair(alg, { extractable: true })
    const made = await DPoP.generateProof(keys, `${URL_}?a=b`.split('?')[0]!, 'POST', 'a-nonce', TOKEN)
    expect(await readDpopProof(made, withToken, Date.now())).toEqual({
      ok: true,
      value: {
        jkt: await DPoP.calculateThumbprint(keys.publicKey),
        use: expect.stringMatching(/^[\w-]{43}$/),
        nonce: 'a-nonce',
      },
    })
  })
})

// RFC 9449 section 4.1 and 7.1: the key of its examples and the hash of its token.
test('the thumbprint is that of RFC 9449', async () => {
  const jwk = {
    ...{ kty: 'EC', crv: 'P-256' },
    x: 'l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs',
    y: '9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA',
  }
  const example =
    'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg'
  expect(JSON.parse(Buffer.from(example.split('.')[0]!, 'base64url').toString()).jwk).toEqual(jwk)
  const target = { method: 'POST', url: 'https://server.example.com/token' }
  expect(await readDpopProof(example, target, 1_562_262_616_000)).toMatchObject({
    ok: true,
    value: { jkt: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' },
  })
})

test('a key has one thumbprint, however its sender writes it', async () => {
  const plain = await readDpopProof(proof(), request, now)
  const padded = { ...publicJwk, x: `${publicJwk.x}=`, kid: 'mine', use: 'sig' }
  expect(await readDpopProof(proof({ header: { jwk: padded } }), request, now)).toEqual(plain)
  expect(plain.ok).toBe(true)
})

describe('refused', () => {
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 })
  test.each<[string, Parts, string]>([
    ['typ JWT', { header: { typ: 'JWT' } }, 'type_not_allowed'],
    ['no typ', { header: { typ: undefined } }, 'type_not_allowed'],
    ['alg none', { header: { alg: 'none' } }, 'algorithm_not_allowed'],
    ['HS256', { header: { alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } } }, 'algorithm_not_allowed'],
    ['an alg that is not of its key', { header: { alg: 'RS256' } }, 'key_not_acceptable'],
    ['no jwk', { header: { jwk: undefined } }, 'key_unknown'],
    ['a jwk that is a list', { header: { jwk: [publicJwk] } }, 'key_unknown'],
    ['its private key', { header: { jwk: ec.privateKey.export({ format: 'jwk' }) } }, 'key_not_acceptable'],
    [
      'a key of 1024 bits',
      { header: { alg: 'RS256', jwk: small.publicKey.export({ format: 'jwk' }) } },
      'key_not_acceptable',
    ],
    ['crit', { header: { crit: ['exp'] } }, 'header_not_allowed'],
    ['jku', { header: { jku: 'https://attacker.test' } }, 'header_not_allowed'],
    ['another signature', { key: other.privateKey }, 'signature_invalid'],
    ['another method', { payload: { htm: 'GET' } }, 'claim_malformed'],
    ['the method in lower case', { payload: { htm: 'post' } }, 'claim_malformed'],
    ['another path', { payload: { htu: 'https://mayfly.test/v1/tasks' } }, 'claim_malformed'],
    ['another host', { payload: { htu: URL_.replace('mayfly', 'other') } }, 'claim_malformed'],
    ['plain http', { payload: { htu: URL_.replace('https', 'http') } }, 'claim_malformed'],
    ['no URL', { payload: { htu: '/v1/tasks' } }, 'claim_malformed'],
    ['no htu', { payload: { htu: undefined } }, 'claim_missing'],
    ['no htm', { payload: { htm: undefined } }, 'claim_missing'],
    ['no jti', { payload: { jti: undefined } }, 'claim_missing'],
    ['an empty jti', { payload: { jti: '' } }, 'claim_malformed'],
    ['a jti that is a number', { payload: { jti: 7 } }, 'claim_malformed'],
    ['no iat', { payload: { iat: undefined } }, 'claim_missing'],
    ['an iat that is text', { payload: { iat: `${now / 1000}` } }, 'claim_malformed'],
    ['made six minutes and a bit ago', { payload: { iat: now / 1000 - 361 } }, 'too_old'],
    ['made six minutes ahead', { payload: { iat: now / 1000 + 360 } }, 'not_yet_valid'],
    ['a nonce that is a number', { payload: { nonce: 7 } }, 'claim_malformed'],
    ['the hash of a token that is not there', { payload: { ath: ath(TOKEN) } }, 'claim_malformed'],
  ])('%s', async (_what, parts, rejection) => {
    expect(await readDpopProof(proof(parts), request, now)).toMatchObject({ ok: false, rejection })
  })

  test('for another URL than the broker has: its own is told, since an address of another spelling is a slip', async () => {
    const made = proof({ payload: { htu: URL_.replace('mayfly', 'other') } })
    expect(await readDpopProof(made, request, now)).toMatchObject({ detail: expect.stringContaining(URL_) })
  })

  test.each([undefined, ath('another token'), `${ath(TOKEN)}=`, 7])('ath %s beside a token', async value => {
    const made = proof({ payload: { ath: value } })
    expect(await readDpopProof(made, withToken, now)).toMatchObject({ rejection: 'claim_malformed' })
  })

  test.each(['', 'a.b', `${proof()},${proof()}`, `${proof()} `, `${proof()}=`])(
    'no proof at all',
    async text => {
      expect(await readDpopProof(text, request, now)).toMatchObject({ rejection: 'malformed' })
    },
  )
})

test('a query is nobody’s business, and host and port are compared as they are meant', async () => {
  const made = proof({ payload: { htu: 'https://MAYFLY.test:443/v1/tasks/tsk_1/credentials?x=1#y' } })
  expect(await readDpopProof(made, { ...request, url: `${URL_}?wait=1` }, now)).toMatchObject({ ok: true })
})

// J8: the same proof signed anew, or its twin signature, is the same use.
test('every spelling of one proof has one name', async () => {
  const names = await Promise.all([proof(), proof()].map(one => readDpopProof(one, request, now)))
  const [a, b] = names
  expect(a).toEqual(b)
  const next = await readDpopProof(proof({ payload: { jti: 'proof-2' } }), request, now)
  expect(next).not.toEqual(a)
})
