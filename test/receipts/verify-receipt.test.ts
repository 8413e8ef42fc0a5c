import { describe, expect, test } from 'vitest'
import { es256 } from '../../src/keys/es256.ts'
import { signJwt } from '../../src/keys/jws.ts'
import { RECEIPT_TYP } from '../../src/receipts/receipt.ts'
import { readReceipt, receiptHash, receiptKeySet, verifyReceipt } from '../../src/receipts/verify-receipt.ts'
import { writeReceipt } from '../../src/receipts/write-receipt.ts'
import { start, task } from '../conformance/store/subject.ts'
import { seededRandom } from '../keys/seeded-random.ts'

const issuer = 'https://mayfly.example.com'
const content = writeReceipt({
  ...{ issuer, now: start, leases: [], children: [], owner: null, wider: new Set(), credentialsMax: 1 },
  task: task('t', { state: 'settled', end: 'completed', ended_at: start, settled_at: start }),
})
const pair = (seed: string) => {
  const { d: _, ...jwk } = es256.generate(seededRandom(seed))
  return { key: es256.open(es256.generate(seededRandom(seed))), jwk: { ...jwk, kid: seed } }
}
const ours = pair('ours')
const keys = receiptKeySet.parse({ keys: [ours.jwk, pair('next').jwk] })
const sign = (claims: object, header: object = {}, key = ours.key) =>
  signJwt({ alg: 'ES256', typ: RECEIPT_TYP, kid: 'ours', ...header }, { ...claims }, key)
const jws = await sign(content)
const [header = '', payload = '', signature = ''] = jws.split('.')
const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const hs256 = `${segment({ alg: 'HS256', typ: RECEIPT_TYP, kid: 'ours' })}.${payload}.${signature}`
const unsigned = `${segment({ alg: 'none', typ: RECEIPT_TYP, kid: 'ours' })}.${payload}.AA`
const altered = segment({ ...content, credentials_omitted: 1 })

describe('a receipt is verified offline', () => {
  test('as it was signed', async () => {
    const verdict = await verifyReceipt(jws, keys, { issuer })
    expect(verdict).toEqual({ ok: true, receipt: content, kid: 'ours', sha256: receiptHash(jws) })
    expect(readReceipt(jws)).toEqual(content)
  })

  test.each<[string, string | Promise<string>, string]>([
    ['nothing', '', 'malformed'],
    ['JSON instead of a JWS', JSON.stringify(content), 'malformed'],
    ['white space at its end', `${jws}\n`, 'malformed'],
    ['an unknown header', sign(content, { crit: ['b64'], b64: false }), 'malformed'],
    ['a task JWT', sign(content, { typ: 'at+jwt' }), 'wrong_type'],
    ['no type', sign(content, { typ: 'JWT' }), 'wrong_type'],
    ['another algorithm', hs256, 'wrong_algorithm'],
    ['no algorithm', unsigned, 'wrong_algorithm'],
    ['a key that is not in the set', sign(content, { kid: 'theirs' }), 'unknown_key'],
    ['another key under the same id', sign(content, {}, pair('theirs').key), 'signature_wrong'],
    ['another key of the set', sign(content, { kid: 'next' }), 'signature_wrong'],
    ['altered content', `${header}.${altered}.${signature}`, 'signature_wrong'],
    ['no signature', `${header}.${payload}.AAAA`, 'signature_wrong'],
    ['another version', sign({ ...content, version: 2 }), 'content_wrong'],
    ['a member that is not known', sign({ ...content, pardoned: true }), 'content_wrong'],
  ])('and refused: %s', async (_, text, fault) => {
    expect(await verifyReceipt(await text, keys)).toMatchObject({ ok: false, fault })
  })

  test('and refused: one flipped bit, wherever it is', async () => {
    for (let index = 0; index < jws.length; index += 7) {
      const other = jws[index] === 'A' ? 'B' : 'A'
      const text = jws.slice(0, index) + other + jws.slice(index + 1)
      if (text !== jws) expect((await verifyReceipt(text, keys)).ok, `at ${index}`).toBe(false)
    }
  })

  test('and refused: the last character in another spelling', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const good: string[] = []
    for (const last of alphabet) if ((await verifyReceipt(jws.slice(0, -1) + last, keys)).ok) good.push(last)
    expect(good).toEqual([jws.at(-1)])
  })

  test('and refused: of another broker', async () => {
    const verdict = await verifyReceipt(jws, keys, { issuer: 'https://other.example.com' })
    expect(verdict).toMatchObject({ ok: false, fault: 'issuer_wrong' })
  })
})
