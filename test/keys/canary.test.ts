import { describe, expect, test } from 'vitest'
import { checkCanary, isUnsealed } from '../../src/keys/canary.ts'
import { kekOf } from '../../src/keys/kek.ts'
import { createKeyring } from '../../src/keys/keyring.ts'
import { keyLedger } from './key-ledger.ts'
import { seededRandom } from './seeded-random.ts'

const ringOf = (byte: number) =>
  createKeyring({ kek: kekOf(new Uint8Array(32).fill(byte)), random: seededRandom(`ring ${byte}`) })

describe('checkCanary', () => {
  test('places one on an empty ledger and opens it ever after', async () => {
    const { ledger } = keyLedger()
    expect(await isUnsealed(ledger.read)).toBe(true)
    await checkCanary(ledger, ringOf(1))
    expect(await isUnsealed(ledger.read)).toBe(false)
    await checkCanary(ledger, ringOf(1))
  })

  test('refuses another key, and says what to do', async () => {
    const { ledger } = keyLedger()
    await checkCanary(ledger, ringOf(1))
    await expect(checkCanary(ledger, ringOf(2))).rejects.toMatchObject({ code: 'kek_wrong' })
    await expect(checkCanary(ledger, ringOf(2))).rejects.toThrow('Point kek_file at')
  })

  test('of two brokers that start at once with different keys, one starts', async () => {
    const { ledger } = keyLedger()
    const both = await Promise.allSettled([checkCanary(ledger, ringOf(1)), checkCanary(ledger, ringOf(2))])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('of two brokers that start at once with the same key, both start', async () => {
    const { ledger } = keyLedger()
    await Promise.all([checkCanary(ledger, ringOf(1)), checkCanary(ledger, ringOf(1))])
  })

  test('a canary taken out of a ledger that holds keys is not replaced', async () => {
    const { ledger, rows } = keyLedger()
    rows.set('k', { kid: 'k', purpose: 'task-jwt' } as never)
    await expect(checkCanary(ledger, ringOf(1))).rejects.toMatchObject({ code: 'canary_missing' })
  })

  test.each([
    ['', 'seal_malformed'],
    ['AAAA', 'seal_malformed'],
    [
      Buffer.from(ringOf(1).seal('other words', { row: 'kek-canary', column: 'meta.value' })).toString(
        'base64url',
      ),
      'seal_broken',
    ],
    [
      Buffer.from(
        ringOf(1).seal('mayfly kek canary v1', { row: 'lse_1', column: 'leases.sealed_secret' }),
      ).toString('base64url'),
      'seal_broken',
    ],
  ])('an altered canary is refused (%#)', async (value, code) => {
    const { ledger, meta } = keyLedger()
    meta.set('kek-canary', value)
    await expect(checkCanary(ledger, ringOf(1))).rejects.toMatchObject({ code })
  })
})
