import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMasks, textsOf } from '../../action/src/masks.ts'
import { plainLines } from '../../action/src/plain.ts'
import { commandsOf } from './fake-job.ts'

const masked = (secret: string) => {
  const masks = createMasks(() => {})
  masks.add(secret)
  return masks
}
const secrets = fc.string({ minLength: 8, maxLength: 60, unit: 'binary' }).filter(text => /\S{8}/u.test(text))

test('a secret is known in base64 wherever it begins, in a URL, and in JSON', () => {
  fc.assert(
    fc.property(
      secrets,
      fc.string({ maxLength: 9 }),
      fc.string({ maxLength: 9 }),
      (secret, before, after) => {
        const { scrub } = masked(secret)
        const bytes = Buffer.from(before + secret + after)
        for (const text of [
          bytes.toString('base64'),
          bytes.toString('base64url'),
          `${before}${secret}${after}`,
          `https://x:${encodeURIComponent(secret)}@github.com`,
          JSON.stringify({ before, secret }),
        ])
          expect(scrub(text)).toContain('***')
      },
    ),
    { numRuns: 200 },
  )
})

test('each line of a secret is one; what is too short to be one is not', () => {
  const { scrub } = masked('-----BEGIN KEY-----\r\nabcdefgh\n \nxyz\n')
  expect(scrub('a abcdefgh b')).toBe('a *** b')
  expect(scrub('xyz')).toBe('xyz')
  const told: string[] = []
  const masks = createMasks(form => void told.push(form))
  masks.add('secret-of-mine')
  masks.add('secret-of-mine')
  expect(told.length).toBe(new Set(told).size)
  expect(textsOf({ a: 'x', b: [{ c: 'y' }], d: 1, e: null })).toEqual(['x', 'y'])
})

test('no line of the log is a command, whatever is in it', () => {
  const evil = fc.string({
    unit: fc.constantFrom('::', '##[', 'a', '\n', '\r', ' ', ']', '\u2028', '\u0085'),
  })
  fc.assert(
    fc.property(evil, text => {
      const lines = plainLines(text).split('\n')
      expect(commandsOf(lines.map(line => ({ to: 'log', text: line })))).toEqual([])
      for (const line of lines) expect(line).not.toMatch(/^\s*::|##\[|[\r\u2028\u0085]/)
    }),
  )
})
