import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  MAX_JSON_DEPTH,
  parseStrictJsonObject,
  StrictJsonError,
} from '../../../attestors/shared/strict-json.ts'

describe('refused', () => {
  test.each([
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number', '1'],
    ['a duplicate member', '{"a":1,"a":1}'],
    ['a duplicate by escape', '{"a":1,"\\u0061":2}'],
    ['a duplicate with space before the colon', '{"a" :1,"a"\n:2}'],
    ['a duplicate far in', '{"x":[{"b":{"a":1,"c":{},"a":2}}]}'],
    ['a member called __proto__', '{"__proto__":1}'],
    ['a member called __proto__ by escape, far in', '{"a":[{"\\u005f_proto__":{}}]}'],
    ['1e400', '{"exp":1e400}'],
    ['-1e400', '{"exp":-1e400}'],
    ['1e400 in a list', '{"a":[1,1E+400]}'],
    ['400 nines', `{"a":${'9'.repeat(400)}}`],
    ['a lone surrogate', '{"a":"\\ud800"}'],
    ['a lone surrogate in a name', '{"\\udc00":1}'],
    ['a byte order mark', '\uFEFF{}'],
    ['a trailing comma', '{"a":1,}'],
    ['a comment', '{}//'],
    ['two values', '{}{}'],
    ['NaN', '{"a":NaN}'],
    ['single quotes', "{'a':1}"],
    ['a raw control character', '{"a":"\u0001"}'],
    ['an open string', `{"${'\\"'.repeat(5000)}`],
    ['nesting', `{"a":${'['.repeat(MAX_JSON_DEPTH)}${']'.repeat(MAX_JSON_DEPTH)}}`],
    ['ten thousand lists', `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
    ['ten thousand objects', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
  ])('%s', (_what, text) => {
    expect(() => parseStrictJsonObject(text)).toThrow(StrictJsonError)
  })

  test.each([
    ['UTF-16', Buffer.from('\uFEFF{}', 'utf16le')],
    ['a UTF-8 byte order mark', Buffer.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d])],
    ['an overlong slash', Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d])],
    ['a surrogate in UTF-8', Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
  ])('%s', (_what, bytes) => {
    expect(() => parseStrictJsonObject(bytes)).toThrow(StrictJsonError)
  })
})

describe('accepted', () => {
  test('the deepest nesting that is allowed', () => {
    const depth = MAX_JSON_DEPTH - 1
    const text = `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`
    expect(Object.keys(parseStrictJsonObject(text))).toEqual(['a'])
  })

  test('the same name in different objects, and as a value', () => {
    const text = '{"a":{"a":"a"},"b":[{"a":1},{"a":2}],"c":"a"}'
    expect(parseStrictJsonObject(text)).toEqual(JSON.parse(text))
  })

  test('brackets, colons and numbers inside strings', () => {
    const text = '{"a":"{\\"a\\":1e999,[[[[[[[[[[[[[[[[[[","b":"\\\\"}'
    expect(parseStrictJsonObject(text)).toEqual(JSON.parse(text))
  })

  test('integers that a double cannot hold come back exact', () => {
    const parsed = parseStrictJsonObject('{"a":9007199254740993,"b":[18446744073709551615],"c":1e20,"d":5}')
    expect(parsed).toEqual({ a: 9007199254740993n, b: [18446744073709551615n], c: 1e20, d: 5 })
  })

  test('whatever JSON.stringify writes', () => {
    const shallow = fc.jsonValue({ maxDepth: 8 })
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), shallow), value => {
        const text = JSON.stringify(value, (_name, inner) => (Object.is(inner, -0) ? 0 : inner))
        fc.pre(
          text.isWellFormed() &&
            !text.includes('__proto__') &&
            !/\\ud[89a-f]/i.test(text) &&
            !/\d{16}/.test(text),
        )
        expect(parseStrictJsonObject(text)).toEqual(JSON.parse(text))
      }),
    )
  })
})
