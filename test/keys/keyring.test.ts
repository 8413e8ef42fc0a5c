import { describe, expect, test } from 'vitest'
import { kekOf } from '../../src/keys/kek.ts'
import { createKeyring, type MacFields } from '../../src/keys/keyring.ts'
import { KeyringError } from '../../src/keys/keyring-error.ts'
import { seededRandom } from './seeded-random.ts'

const root = kekOf(new Uint8Array(32).fill(7))
const ring = createKeyring({ root, random: seededRandom('ring') })
const stranger = createKeyring({ root: kekOf(new Uint8Array(32).fill(8)), random: seededRandom('stranger') })
const bind = { row: 'lse_1', column: 'leases.sealed_secret' }
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')
const codeOf = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    return error instanceof KeyringError ? error.code : error
  }
  return 'no error'
}

describe('sealing', () => {
  test.each(['', 'ghs_abc', 'ü😀', 'x'.repeat(100_000)])('opens what it sealed', plaintext => {
    expect(text(ring.open(ring.seal(plaintext, bind), bind))).toBe(plaintext)
  })

  test('bytes stay bytes', () => {
    const bytes = Uint8Array.from([0, 255, 128, 10])
    expect([...ring.open(ring.seal(bytes, bind), bind)]).toEqual([...bytes])
  })

  test('another broker with the same key opens it', () => {
    const twin = createKeyring({ root, random: seededRandom('twin') })
    expect(text(twin.open(ring.seal('s', bind), bind))).toBe('s')
  })

  test('the plaintext is not in the sealed value, and no two seals are alike', () => {
    const one = Buffer.from(ring.seal('ghs_canary_value', bind))
    expect(one.includes('ghs_canary')).toBe(false)
    expect(one.equals(Buffer.from(ring.seal('ghs_canary_value', bind)))).toBe(false)
  })

  test('the header carries version and key id', () => {
    const sealed = Buffer.from(ring.seal('s', bind))
    expect(sealed[0]).toBe(1)
    expect(sealed.toString('hex', 1, 9)).toBe(ring.rootId)
  })

  test.each([
    ['another row', { ...bind, row: 'lse_2' }],
    ['another column', { ...bind, column: 'leases.other' }],
    ['a row and column whose joined text is the same', { row: 'lse_1leases', column: '.sealed_secret' }],
    ['swapped', { row: bind.column, column: bind.row }],
    ['nothing', { row: '', column: '' }],
  ])('does not open at %s', (_, elsewhere) => {
    const sealed = ring.seal('s', bind)
    expect(codeOf(() => ring.open(sealed, elsewhere))).toBe('seal_broken')
  })

  test('no bit of it can be flipped', () => {
    const sealed = ring.seal('secret', bind)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const altered = Uint8Array.from(sealed)
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const wanted = bit < 8 ? 'seal_malformed' : bit < 72 ? 'root_wrong' : 'seal_broken'
      expect(codeOf(() => ring.open(altered, bind))).toBe(wanted)
    }
  })

  test('no length but its own opens', () => {
    const sealed = ring.seal('secret', bind)
    for (let length = 0; length < sealed.length; length++) {
      expect(codeOf(() => ring.open(sealed.subarray(0, length), bind))).toMatch(/^seal_(malformed|broken)$/)
    }
    expect(codeOf(() => ring.open(Buffer.concat([sealed, Buffer.from([0])]), bind))).toBe('seal_broken')
  })

  test('another key is told as another key', () => {
    expect(codeOf(() => stranger.open(ring.seal('s', bind), bind))).toBe('root_wrong')
  })

  test('errors say nothing of the plaintext', () => {
    const sealed = ring.seal('ghs_canary_value', bind)
    expect(() => ring.open(sealed, { ...bind, row: 'x' })).toThrow(/^(?!.*canary)/)
  })
})

describe('MACs', () => {
  const fields = { id: 'tsk_1', deadline: 5, parent: null }
  const mac = ring.mac('tasks', fields)

  test('hold, in any order of the fields, and name their key', () => {
    expect(mac).toBe(ring.mac('tasks', { parent: null, deadline: 5, id: 'tsk_1' }))
    expect(mac).toMatch(new RegExp(`^v1\\.${ring.rootId}\\.[0-9a-f]{64}$`))
    expect(ring.verifyMac('tasks', fields, mac)).toBe(true)
  })

  test.each<[string, string, MacFields]>([
    ['another kind', 'tickets', fields],
    ['another value', 'tasks', { ...fields, id: 'tsk_2' }],
    ['a number as text', 'tasks', { ...fields, deadline: '5' }],
    ['null as text', 'tasks', { ...fields, parent: 'null' }],
    ['null as empty', 'tasks', { ...fields, parent: '' }],
    ['one field less', 'tasks', { id: 'tsk_1', deadline: 5 }],
    ['one field more', 'tasks', { ...fields, extra: null }],
    ['names swapped', 'tasks', { deadline: 'tsk_1', id: 5, parent: null }],
    ['a value that spells the next field', 'tasks', { id: 'tsk_1","deadline":5', parent: null }],
  ])('do not hold for %s', (_, kind, other) => {
    expect(ring.verifyMac(kind, other, mac)).toBe(false)
  })

  test.each([
    '',
    'v1',
    mac.slice(0, -1),
    `${mac}0`,
    mac.toUpperCase(),
    mac.replace('v1', 'v2'),
    'é'.repeat(40),
  ])('a MAC of another spelling does not hold: %s', other => {
    expect(ring.verifyMac('tasks', fields, other)).toBe(false)
  })

  test('of another key do not hold', () => {
    expect(ring.verifyMac('tasks', fields, stranger.mac('tasks', fields))).toBe(false)
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, undefined, true, {}, []])('refuse to cover %s', value => {
    expect(codeOf(() => ring.mac('tasks', { value: value as never }))).toBe('field_not_encodable')
  })
})

describe('token hashes', () => {
  test('are the same for the same token, differ per key, and are not a bare hash', () => {
    expect(ring.tokenHash('mft_a')).toMatch(/^[0-9a-f]{64}$/)
    expect(ring.tokenHash('mft_a')).toBe(ring.tokenHash('mft_a'))
    expect(ring.tokenHash('mft_a')).not.toBe(ring.tokenHash('mft_b'))
    expect(ring.tokenHash('mft_a')).not.toBe(stranger.tokenHash('mft_a'))
  })
})
