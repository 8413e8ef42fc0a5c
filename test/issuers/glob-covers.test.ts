import fc from 'fast-check'
import { expect, test } from 'vitest'
import { globCovers } from '../../issuers/shared/glob-covers.ts'

const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 6 })
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 })

/** The meaning of a glob, said another way. */
function matches(pattern: string, candidate: string): boolean {
  const source = pattern.replaceAll('*', '[^]*').replaceAll('?', '[^]')
  return new RegExp(`^(?:${source})$`).test(candidate)
}

test('sound: what a covered glob matches, its ceiling matches', () => {
  const property = fc.property(glob, glob, fc.array(text, { minLength: 20 }), (ceiling, wanted, texts) => {
    if (!globCovers(ceiling, wanted)) return
    for (const one of texts) {
      if (matches(wanted, one)) expect(matches(ceiling, one), `${ceiling} over ${wanted}: ${one}`).toBe(true)
    }
  })
  fc.assert(property, { numRuns: 5_000 })
})

test('over a text without wildcards it is matching', () => {
  const property = fc.property(glob, text, (ceiling, one) => {
    expect(globCovers(ceiling, one)).toBe(matches(ceiling, one))
  })
  fc.assert(property, { numRuns: 5_000 })
})

test('transitive and reflexive', () => {
  const property = fc.property(glob, glob, glob, (a, b, c) => {
    expect(globCovers(a, a)).toBe(true)
    if (globCovers(a, b) && globCovers(b, c)) expect(globCovers(a, c)).toBe(true)
  })
  fc.assert(property, { numRuns: 20_000 })
})

test.each([
  ['*', '', true],
  ['*', '?*?', true],
  ['?*', '*?', true],
  ['*?', '?*', true],
  ['?', '*', false],
  ['a*', '*', false],
  ['a*b', 'ab', true],
  ['a*b', 'a*c', false],
  ['', '*', false],
])('%s over %s: %s', (ceiling, wanted, answer) => {
  expect(globCovers(ceiling, wanted)).toBe(answer)
})

test('long patterns made to be slow are not', () => {
  expect(globCovers(`${'a*'.repeat(1_000)}b`, 'a'.repeat(2_000))).toBe(false)
})
