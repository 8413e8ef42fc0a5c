import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ID_PREFIXES, isId, newId } from '../../src/keys/ids.ts'
import { newToken, parseToken, TOKEN_PREFIXES, type TokenKind, taskTokenHash } from '../../src/keys/tokens.ts'
import { seededRandom } from './seeded-random.ts'

const NOW = Date.UTC(2026, 0, 31)
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const numberOf = (text: string) =>
  [...text].reduce((sum, char) => sum * 62n + BigInt(digits.indexOf(char)), 0n)
const kinds = Object.keys(TOKEN_PREFIXES) as TokenKind[]

describe('tokens', () => {
  test.each(kinds)('a %s token has its prefix, 49 characters and parses', kind => {
    const token = newToken(kind, NOW, seededRandom(kind))
    expect(token.reveal()).toMatch(new RegExp(`^${TOKEN_PREFIXES[kind]}[0-9A-Za-z]{49}$`))
    expect(parseToken(token.reveal())).toEqual({ kind })
    expect(`${token}`).toBe('[secret]')
  })

  test('the moment and all 208 bits are in it', () => {
    const all = (byte: number) => newToken('task', NOW, size => new Uint8Array(size).fill(byte)).reveal()
    expect(numberOf(all(0).slice(4, 12))).toBe(BigInt(NOW))
    expect(all(0).slice(12)).toMatch(/^0{35}/)
    expect(numberOf(all(255).slice(12, 47))).toBe(2n ** 208n - 1n)
  })

  test('a task is found by its moment and all of its token', () => {
    const keyring = { tokenHash: (text: string) => `<${text}>` }
    const [one, next] = [
      newToken('task', NOW, seededRandom('a')),
      newToken('task', NOW + 1, seededRandom('b')),
    ]
    const [hash, later] = [one, next].map(token => taskTokenHash(keyring, token.reveal()))
    expect(hash).toBe(`${one.reveal().slice(4, 12)}.<${one.reveal()}>`)
    expect(hash! < later!).toBe(true)
  })

  test('one changed character is noticed', () => {
    const token = newToken('task', NOW, seededRandom('typo')).reveal()
    for (let at = 4; at < token.length; at++) {
      const other = token[at] === 'a' ? 'b' : 'a'
      expect(parseToken(token.slice(0, at) + other + token.slice(at + 1))).toBeUndefined()
    }
  })

  const token = newToken('task', NOW, seededRandom('forms')).reveal()
  test.each([
    ['empty', ''],
    ['prefix only', 'mft_'],
    ['another kind’s prefix', token.replace('mft_', 'mfo_')],
    ['an unknown prefix', token.replace('mft_', 'mfx_')],
    ['upper-case prefix', token.replace('mft_', 'MFT_')],
    ['one shorter', token.slice(0, -1)],
    ['one longer', `${token}0`],
    ['leading space', ` ${token}`],
    ['trailing newline', `${token}\n`],
    ['padded', `${token}=`],
    ['a character outside base62', `${token.slice(0, 10)}-${token.slice(11)}`],
    ['a GitHub token', `ghp_${'a'.repeat(36)}`],
    ['a megabyte', 'mft_'.repeat(250_000)],
  ])('does not parse: %s', (_, text) => {
    expect(parseToken(text)).toBeUndefined()
  })
})

describe('ids', () => {
  test.each(ID_PREFIXES)('a %s id has 26 characters of [0-9a-z] after its prefix', prefix => {
    const id = newId(prefix, Date.UTC(2026, 0), seededRandom(prefix))
    expect(id).toMatch(new RegExp(`^${prefix}_[0-9a-z]{26}$`))
    expect(isId(prefix, id)).toBe(true)
  })

  test('later ids sort after earlier ones, whatever their random part', () => {
    const ms = fc.integer({ min: 0, max: 2 ** 48 - 1 })
    const bytes = fc.uint8Array({ minLength: 10, maxLength: 10 })
    fc.assert(
      fc.property(ms, ms, bytes, bytes, (a, b, first, second) => {
        const [left, right] = [newId('lse', a, () => first), newId('lse', b, () => second)]
        if (a !== b) expect(left < right).toBe(a < b)
      }),
    )
  })

  test.each([-1, 0.5, 2 ** 48, Number.NaN])('no id at %s', now => {
    expect(() => newId('tsk', now, seededRandom('x'))).toThrow(RangeError)
  })

  const id = newId('tsk', 1, seededRandom('id'))
  test.each(['', 'tsk_', id.replace('tsk', 'lse'), id.toUpperCase(), `${id}0`, id.slice(0, -1), `${id}\n`])(
    'not a task id: %j',
    text => expect(isId('tsk', text)).toBe(false),
  )
  test.each(['i', 'l', 'o', 'u', '-', '_'])('no %s in an id', char => {
    expect(isId('tsk', id.slice(0, -1) + char)).toBe(false)
  })
})
