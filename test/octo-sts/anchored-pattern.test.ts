/** Patterns mean what they mean to Go's regexp behind `^(?:p)$`, and cost no more than they should. */
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import { compileAnchored } from '../../src/policy/trust/anchored-pattern.ts'

function matches(pattern: string, value: string): boolean | 'refused' {
  const compiled = compileAnchored(pattern)
  return compiled.ok ? compiled.pattern.matches(value) : 'refused'
}

describe('the whole value, whatever the pattern', () => {
  test.each([
    // `^a|b$` would let each alternative go free at one end.
    ['main|dev', 'main', true],
    ['main|dev', 'main-evil', false],
    ['main|dev', 'evil-dev', false],
    ['repo:acme/app:.*|', 'repo:evil/app:x', false],
    ['repo:acme/.*', 'xrepo:acme/app', false],
    ['acme', 'acme\n', false],
    ['acme', '\nacme', false],
    ['acme.*', 'acme\nevil', false],
    ['(?s)acme.*', 'acme\nevil', true],
    ['(?m)^acme$', 'evil\nacme', false],
    ['(?m)acme$\n^x', 'acme\nx', true],
    ['(?i)ACME', 'acme', true],
    ['^acme$', 'acme', true],
    ['\\Aacme\\z', 'acme', true],
    ['a$|b', 'a', true],
    ['', '', true],
    ['', 'x', false],
    ['\\Qa.b\\E', 'a.b', true],
    ['\\Qa.b\\E', 'axb', false],
    ['a.b', 'axb', true],
    ['\\d+', '\u0663', false],
    ['[[:alpha:]]+', 'ab', true],
    ['(?P<repo>acme)', 'acme', true],
    ['a|(?:b)', 'b', true],
    ['(?U)a+', 'aaa', true],
    ['a**', 'a', 'refused'],
  ] as const)('%j against %j: %s', (pattern, value, expected) => {
    expect(matches(pattern, value)).toBe(expected)
  })

  test.each([
    ['a bracket that the group would close', 'a)|('],
    ['the same, hidden', '.*)|(.*'],
    ['a quotation that would swallow the end', '\\Qacme'],
    ['a back reference', '(a)\\1'],
    ['a look ahead', 'a(?=b)'],
    ['a look behind', '(?<=a)b'],
    ['an atomic group', '(?>a)'],
    ['possessive repetition', 'a*+'],
    ['the end before a last newline', 'a\\Z'],
    ['a backslash at the end', 'a\\'],
    ['a repetition that is too large', 'a{1001}'],
    ['repetitions that multiply', '(a{100}){100}'],
    ['too many letters', 'a'.repeat(LIMITS.trustPatternChars + 1)],
    ['what unfolds into too much', '(?:[a-z]{1,900}){1,1}[a-z]{1,900}[a-z]{1,900}[a-z]{1,900}[a-z]{1,900}'],
  ])('%s is refused', (_, pattern) => {
    expect(matches(pattern, 'acme')).toBe('refused')
  })

  test('what is wrong is told without the pattern', () => {
    expect(compileAnchored('a)|(secret')).toEqual({
      ok: false,
      why: 'expected a pattern in RE2 syntax (error parsing regexp: unexpected ))',
    })
  })
})

// Each of these takes a backtracking engine longer than the age of the universe: that they end at all is the test.
test.each([
  ['(a+)+', `${'a'.repeat(2_000)}!`],
  ['(a|aa)+', `${'a'.repeat(2_000)}!`],
  ['(.*a){20}', `${'a'.repeat(2_000)}!`],
  ['(x+x+)+y', 'x'.repeat(2_000)],
  ['([a-zA-Z]+)*', `${'a'.repeat(2_000)}!`],
  ['(a?){25}a{25}', 'a'.repeat(24)],
])('%j costs a backtracking engine for ever, and not this one', (pattern, value) => {
  expect(matches(pattern, value)).toBe(false)
})
