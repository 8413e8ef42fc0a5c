import { describe, expect, test } from 'vitest'
import { checkCanary, sealCanary } from '../../src/keys/canary.ts'
import { kekOf } from '../../src/keys/kek.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { seededRandom } from './seeded-random.ts'

const ringOf = (byte: number) =>
  createKeyring({ root: kekOf(new Uint8Array(32).fill(byte)), random: seededRandom(`ring ${byte}`) })
const sealed = (words: string, row: string, column: string) =>
  Buffer.from(ringOf(1).seal(words, { row, column })).toString('base64url')

describe('checkCanary', () => {
  test('opens the one that was sealed, and refuses another root key', () => {
    expect(() => checkCanary(sealCanary(ringOf(1)), ringOf(1))).not.toThrow()
    expect(() => checkCanary(sealCanary(ringOf(1)), ringOf(2))).toThrow(/Sealed under key/)
  })

  test.each([
    ['nothing', '', 'seal_malformed'],
    ['too little', 'AAAA', 'seal_malformed'],
    ['other words', sealed('other words', 'kek-canary', 'meta.value'), 'seal_broken'],
    ['another row', sealed('mayfly kek canary v1', 'lse_1', 'leases.sealed_secret'), 'seal_broken'],
  ])('refuses %s', (_, canary, code) => {
    expect(() => checkCanary(canary, ringOf(1))).toThrow(expect.objectContaining({ code }))
  })
})
