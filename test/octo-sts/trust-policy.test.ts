/** Trust policy files, read strictly: each fault by file, line and key. */
import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import { readTrustPolicy } from '../../src/octo-sts/trust-policy.ts'
import { readTrustedIssuers } from '../../src/octo-sts/trusted-issuers.ts'

const GOOD = `issuer: https://token.actions.githubusercontent.com
subject: repo:acme/app:ref:refs/heads/main
permissions:
  contents: read
`

function faults(text: string, isOrganization = false): string[] {
  const read = readTrustPolicy('x.sts.yaml', text, isOrganization)
  if (read.ok) return []
  return read.problems.map(one => `${read.stage} ${one.line ?? 0} ${one.key}: ${one.expected}`)
}

describe('a trust policy', () => {
  test('is read as it stands', () => {
    const read = readTrustPolicy('x', `${GOOD}claim_pattern:\n  ref: refs/heads/.*\n`, false)
    expect(read.ok && read.policy).toEqual({
      issuer: 'https://token.actions.githubusercontent.com',
      subject: 'repo:acme/app:ref:refs/heads/main',
      claim_pattern: { ref: 'refs/heads/.*' },
      permissions: { contents: 'read' },
    })
  })

  test.each([
    ['an unknown key', `${GOOD}isuer: x\n`, 'parse 5 isuer: no such key here'],
    [
      'a key that stands twice',
      `${GOOD}subject: repo:evil/app\n`,
      'parse 5 : expected each key once in its map',
    ],
    [
      'repositories outside of the organization',
      `${GOOD}repositories: [a]\n`,
      'parse 5 repositories: no such key here',
    ],
    [
      'a permission that GitHub does not know',
      GOOD.replace('contents', 'contnets'),
      'parse 4 permissions.contnets: no such key here',
    ],
    ['a level that GitHub does not know', GOOD.replace('read', 'rite'), 'parse 4 permissions.contents:'],
    [
      'a number for a claim',
      `${GOOD}claim_pattern: { run_id: 42 }\n`,
      'parse 5 claim_pattern.run_id: expected string',
    ],
    ['no issuer', GOOD.replace('issuer', 'audience'), 'compile 1 issuer: expected issuer or issuer_pattern'],
    [
      'no subject',
      GOOD.replace('subject', 'audience'),
      'compile 1 subject: expected subject or subject_pattern',
    ],
    [
      'both issuers',
      `${GOOD}issuer_pattern: .*\n`,
      'compile 5 issuer_pattern: expected one of issuer and issuer_pattern, not both',
    ],
    [
      'both audiences',
      `${GOOD}audience: a\naudience_pattern: .*\n`,
      'compile 6 audience_pattern: expected one of',
    ],
    [
      'a pattern that does not compile',
      `${GOOD}claim_pattern: { ref: "a)|(" }\n`,
      'compile 5 claim_pattern.ref: expected a pattern in RE2 syntax',
    ],
    ['a list', '- a\n', 'parse 1 '],
    ['nothing', '', 'parse '],
    ['another document after it', `${GOOD}---\n${GOOD}`, 'parse '],
    ['a tag', `${GOOD}audience: !!js/function x\n`, 'parse 5 '],
    ['__proto__', `${GOOD}claim_pattern: { __proto__: a }\n`, 'parse 5 '],
    [
      'too many claims',
      `${GOOD}claim_pattern: {${Array.from({ length: LIMITS.trustClaimPatterns + 1 }, (_, at) => `c${at}: a`).join(', ')}}\n`,
      'parse 5 claim_pattern: expected at most',
    ],
    [
      'a file that is too long',
      `${GOOD}#${'x'.repeat(LIMITS.trustPolicyChars)}`,
      'parse 0 : expected at most',
    ],
    ['nesting without end', `${GOOD}audience: ${'['.repeat(5_000)}`, 'parse '],
  ])('%s is refused', (_, text, expected) => {
    expect(faults(text)[0]).toContain(expected)
  })

  test('aliases that multiply are refused', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (let level = 1; level < 9; level++) {
      const [before, here] = ['abcdefghij'[level - 1], 'abcdefghij'[level]]
      bomb.push(`${here}: &${here} [${Array(9).fill(`*${before}`).join(',')}]`)
    }
    expect(faults(`${GOOD}${bomb.join('\n')}\n`)[0]).toContain('parse')
  })

  test('of an organization may name repositories', () => {
    const read = readTrustPolicy('x', `${GOOD}repositories: [api, web]\n`, true)
    expect(read.ok && read.policy.repositories).toEqual(['api', 'web'])
    expect(faults(`${GOOD}repositories: []\n`, true)[0]).toContain('expected at least one repository')
    expect(faults(`${GOOD}repositories: [acme/api]\n`, true)[0]).toContain('without its owner')
  })
})

describe("an organization's list of issuers", () => {
  const read = (text: string) => readTrustedIssuers('list', text)
  const permits = (text: string, issuer: string) => {
    const list = read(text)
    return list.ok ? list.value.permits(issuer) : 'refused'
  }

  test('takes what it lists and what its patterns match whole', () => {
    const text =
      'issuers: [https://a.example.com]\nissuer_patterns: ["https://[a-z0-9-]+\\\\.b\\\\.example\\\\.com/id/[A-Z0-9]+"]\n'
    expect(permits(text, 'https://a.example.com')).toBe(true)
    expect(permits(text, 'https://x-1.b.example.com/id/AB1')).toBe(true)
    expect(permits(text, 'https://a.example.com/')).toBe(false)
    expect(permits(text, 'https://evil.test/x.b.example.com/id/AB1')).toBe(false)
    expect(read(`mode: audit\n${text}`)).toMatchObject({ ok: true, value: { mode: 'audit' } })
  })

  test.each([
    ['an empty one, which would lock everybody out unsaid', '{}'],
    ['another mode', 'mode: off\nissuers: [https://a.example.com]'],
    ['an unknown key', 'issuer: https://a.example.com'],
    ['capitals in a host', 'issuers: [https://A.example.com]'],
    ['a dot that takes a slash', 'issuer_patterns: ["https://.*\\\\.example\\\\.com"]'],
    ['a class that takes a slash', 'issuer_patterns: ["https://[^x]+\\\\.example\\\\.com"]'],
    ['a range across the slash', 'issuer_patterns: ["https://[--9]+\\\\.example\\\\.com"]'],
    ['space and more', 'issuer_patterns: ["https://\\\\S+\\\\.example\\\\.com"]'],
    ['a slash that repeats', 'issuer_patterns: ["https://a/+"]'],
    ['an alternative', 'issuer_patterns: ["https://a\\\\.test|https://b\\\\.test"]'],
    [
      'too many',
      `issuer_patterns: [${Array(LIMITS.trustedIssuerPatterns + 1)
        .fill('a')
        .join(',')}]`,
    ],
    ['too long', `issuer_patterns: [${'a'.repeat(LIMITS.trustedIssuerPatternChars + 1)}]`],
    ['a class made to cost time', `issuer_patterns: ["[${'a-za-z'.repeat(40)}"]`],
  ])('%s is refused', (_, text) => {
    expect(read(text).ok).toBe(false)
  })
})
