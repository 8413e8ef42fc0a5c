/** The scanner: what was planted is found whatever stands around it, and nothing else is. */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newToken } from '../../src/keys/tokens.ts'
import { type KnownHash, knownSecrets, nothingKnown } from '../../src/scan/known-secrets.ts'
import { eachPlace, rollingPrint } from '../../src/scan/rolling-print.ts'
import { scanText } from '../../src/scan/scan-text.ts'

const key = '5c'.repeat(32)
const alphabets = [
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
  'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.',
]
const secrets = fc
  .tuple(fc.constantFrom(...alphabets), fc.uint8Array({ minLength: 20, maxLength: 600 }))
  .map(([alphabet, bytes]) => Array.from(bytes, byte => alphabet[byte % alphabet.length]).join(''))
function hashOf(secret: string, lease = 'lse_one'): KnownHash {
  const bytes = Buffer.from(secret)
  const sha256 = createHash('sha256').update(bytes).digest()
  const hmac = createHmac('sha256', Buffer.from(key, 'hex')).update(sha256).digest('hex')
  return { lease, part: '', bytes: bytes.length, print: rollingPrint(bytes), hmac }
}
const known = (...all: string[]) =>
  knownSecrets(
    key,
    all.map((one, index) => hashOf(one, `lse_${index}`)),
  )
const scan = (text: string, ...all: string[]) => scanText(Buffer.from(text), known(...all))
const certain = (text: string, secret: string) =>
  scan(text, secret).filter(one => one.certainty === 'certain' && one.lease === 'lse_0')

/** Any text, and text of the very letters that secrets are made of. */
const around = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: fc.constantFrom(...alphabets.join(''), '"', "'", '\n', ' ', '=', '%'), maxLength: 300 }),
)

describe('a secret that was planted is found', () => {
  test('in any text, on its line, and once for each line', () => {
    fc.assert(
      fc.property(secrets, around, around, (secret, before, after) => {
        const found = certain(before + secret + after, secret)
        const line = before.split('\n').length
        expect(found.map(one => one.line)).toContain(line)
        expect(JSON.stringify(found)).not.toContain(secret)
      }),
    )
  })

  test.each<[string, (secret: string, cut: number) => string]>([
    ['in base64', secret => Buffer.from(secret).toString('base64')],
    ['in base64url', secret => Buffer.from(secret).toString('base64url')],
    ['in the header of HTTP Basic', secret => btoa(`x-access-token:${secret}`)],
    [
      'in base64 of 76 signs a line',
      secret => btoa(`some text before ${secret}`).replaceAll(/.{76}/g, '$&\n'),
    ],
    ['in a URL', secret => `https://example.com/?token=${encodeURIComponent(secret)}&x=1`],
    ['in JSON that escapes slashes', secret => JSON.stringify({ secret }).replaceAll('/', '\\/')],
    [
      'in JSON that escapes all it can',
      secret => `"${secret.replaceAll('+', '\\u002b').replaceAll('/', '\\u002F')}"`,
    ],
    ['split over lines', (secret, cut) => `${secret.slice(0, cut)}\n    ${secret.slice(cut)}`],
    ['continued in a shell', (secret, cut) => `X=${secret.slice(0, cut)}\\\r\n${secret.slice(cut)}`],
    [
      'put together in code',
      (secret, cut) => `const x = '${secret.slice(0, cut)}' +\n      '${secret.slice(cut)}'`,
    ],
    [
      'put together in Python',
      (secret, cut) => `x = ("${secret.slice(0, cut)}"\n     "${secret.slice(cut)}")`,
    ],
    ['in UTF-16', secret => Buffer.from(secret, 'utf16le').toString('latin1')],
  ])('%s', (_, write) => {
    fc.assert(
      fc.property(secrets, fc.nat(), (secret, at) => {
        const text = `before: ${write(secret, 1 + (at % (secret.length - 1)))} after`
        expect(certain(text, secret)).not.toEqual([])
      }),
    )
  })

  test('among many, by its own lease', () => {
    const all = Array.from({ length: 50 }, () => randomBytes(20 + (randomBytes(1)[0]! % 9)).toString('hex'))
    for (const [index, secret] of all.entries())
      expect(scan(`x${secret}y`, ...all)).toMatchObject([{ lease: `lse_${index}`, certainty: 'certain' }])
  })
})

describe('what was not planted is not found', () => {
  test('in any text', () => {
    fc.assert(
      fc.property(secrets, around, (secret, text) => {
        fc.pre(!text.includes(secret))
        expect(scan(text, secret)).toEqual([])
      }),
    )
  })

  test('with one letter of it changed, or cut', () => {
    fc.assert(
      fc.property(secrets, fc.nat(), (secret, at) => {
        const place = at % secret.length
        const other = secret[place] === 'A' ? 'B' : 'A'
        expect(certain(secret.slice(0, place) + other + secret.slice(place + 1), secret)).toEqual([])
        expect(certain(secret.slice(1), secret)).toEqual([])
        expect(certain(secret.slice(0, -1), secret)).toEqual([])
      }),
    )
  })
})

test('a rolling print is the print of each place', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 60 }),
      (bytes, length) => {
        const places: number[] = []
        const prints = new Set(
          Array.from({ length: 3 }, (_, n) => rollingPrint(bytes.subarray(n, n + length))),
        )
        eachPlace(bytes, length, prints, start => void places.push(start))
        const wanted = Array.from({ length: Math.max(0, bytes.length - length + 1) }, (_, n) => n)
        expect(places).toEqual(wanted.filter(n => prints.has(rollingPrint(bytes.subarray(n, n + length)))))
      },
    ),
  )
})

describe('by their form, as maybe', () => {
  test.each(['task', 'ticket', 'operator', 'session'] as const)('a token of Mayfly: %s', kind => {
    for (let n = 0; n < 50; n += 1) {
      const token = newToken(kind, Date.now(), randomBytes).reveal()
      const [found, ...more] = scanText(Buffer.from(`a=1\nX${token}Y`), nothingKnown)
      expect([found, more]).toMatchObject([{ kind: 'mayfly-token', certainty: 'maybe', line: 2 }, []])
      const wrong = `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`
      expect(scanText(Buffer.from(wrong), nothingKnown)).toEqual([])
    }
  })

  test.each([`ghp_${'a1'.repeat(18)}`, `ghs_12345_eyJ${'a-_.'.repeat(120)}`])(
    'a token of GitHub: %s',
    token => {
      expect(scanText(Buffer.from(token), nothingKnown)).toMatchObject([{ kind: 'github-token' }])
      // One that is known for certain is not told a second time as one that may be.
      expect(scan(token, token)).toMatchObject([{ kind: 'credential', certainty: 'certain' }])
    },
  )

  test('a JWT of ours, by the lease that it names, whatever became of its signature', () => {
    const lease = `lse_${'0'.repeat(26)}`
    const payload = Buffer.from(JSON.stringify({ iss: 'x', jti: lease })).toString('base64url')
    const jwt = `${Buffer.from('{"alg":"ES256"}').toString('base64url')}.${payload}.c2ln`
    const mine = knownSecrets(key, [], [lease])
    for (const text of [jwt, jwt.slice(0, -3), jwt.slice(0, -5)])
      expect(scanText(Buffer.from(text), mine)).toMatchObject([{ lease, certainty: 'certain' }])
    expect(scanText(Buffer.from(jwt), nothingKnown)).toMatchObject([{ lease, certainty: 'maybe' }])
  })
})
