/**
 * An organization's own list of the issuers that may federate into it (`.github/chainguard/trusted-token-issuers.yaml`
 * in the organization's repository). Where it cannot be read, nothing is let in.
 */
import { z } from 'zod'
import { type Problem, parseShape } from '../config.ts'
import { LIMITS } from '../limits.ts'
import { compileAnchored } from '../policy/trust/anchored-pattern.ts'
import { readFile } from './trust-policy.ts'

export const TRUSTED_ISSUERS_PATH = '.github/chainguard/trusted-token-issuers.yaml'

export type TrustedIssuers = {
  /** `audit`: what is not on the list is let in, and told. */
  mode: 'enforce' | 'audit'
  permits(issuer: string): boolean
}

const shape = z.strictObject({
  mode: z.enum(['enforce', 'audit']).default('enforce'),
  issuers: z
    .array(
      z
        .string()
        .max(255)
        .regex(/^https?:\/\/[^A-Z/]+(?:\/|$)/, 'expected an issuer URL, its host in lower case'),
    )
    .max(LIMITS.trustedIssuers, `expected at most ${LIMITS.trustedIssuers} issuers`)
    .default([]),
  issuer_patterns: z
    .array(
      z
        .string()
        .min(1)
        .max(
          LIMITS.trustedIssuerPatternChars,
          `expected at most ${LIMITS.trustedIssuerPatternChars} characters`,
        ),
    )
    .max(LIMITS.trustedIssuerPatterns, `expected at most ${LIMITS.trustedIssuerPatterns} patterns`)
    .default([]),
})

export function readTrustedIssuers(
  path: string,
  content: string,
): { ok: true; value: TrustedIssuers } | { ok: false; problems: readonly Problem[] } {
  const file = readFile(path, content)
  if (!file.ok) return file
  const parsed = parseShape<z.infer<typeof shape>>(file.value, shape, file.value.value)
  if (!parsed.ok) return parsed
  const { mode, issuers, issuer_patterns: texts } = parsed.value
  if (issuers.length + texts.length === 0)
    return { ok: false, problems: [file.value.problem([], 'expected at least one issuer or pattern')] }
  const problems: Problem[] = []
  const patterns = texts.flatMap((text, index) => {
    const compiled = compileAnchored(text)
    const why = compiled.ok ? spansTheHost(text) : compiled.why
    if (why !== undefined) problems.push(file.value.problem(['issuer_patterns', index], why))
    return compiled.ok ? [compiled.pattern] : []
  })
  if (problems.length > 0) return { ok: false, problems }
  const permits = (issuer: string) => issuers.includes(issuer) || patterns.some(one => one.matches(issuer))
  return { ok: true, value: { mode, permits } }
}

/**
 * A pattern whose varying part can match `/` reaches past the host: `https://.*\.example\.com` also takes
 * `https://evil.test/x.example.com`. Told by what is left of the pattern when everything fixed is taken out: a plain
 * letter, an escaped sign, and a class that lists what it takes without `/`; whatever else varies is refused.
 */
function spansTheHost(pattern: string): string | undefined {
  const bare = pattern.replaceAll(/\\[.\-/+]/g, '').replaceAll(CLASS, '')
  const isFixed = /^\^?(?:[\w:/@%~-]|\{\d{1,3}(?:,\d{0,3})?\}|[+*?])*\$?$/.test(bare)
  if (isFixed && !/\/[+*?{]/.test(pattern)) return undefined
  return 'expected a pattern that cannot reach past the host: letters, escaped dots and classes such as [a-z0-9-]+'
}
/** Of letters, digits and dashes. No range of it begins below `0`, which `/` is, but one from a dash. */
const CLASS = /\[(?![^\]]*--)[\w-]+\]|\\[dw]/g
