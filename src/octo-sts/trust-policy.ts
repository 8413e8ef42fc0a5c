/**
 * A trust policy file of octo-sts (`.github/chainguard/<identity>.sts.yaml`), read strictly: a key that is not known,
 * or stands twice, would mean something else to its writer than to us.
 */
import { z } from 'zod'
import { GITHUB_PERMISSIONS, type Level } from '../../issuers/shared/github-permissions.ts'
import { repositoryPartShape } from '../config/octo-sts.ts'
import { ConfigError, type Parsed, type Problem, parseShape, parseYaml, type YamlFile } from '../config.ts'
import { LIMITS } from '../limits.ts'
import { compileAnchored } from '../policy/trust/anchored-pattern.ts'
import type { TrustRule } from '../policy/trust/trust-rule.ts'

export type TrustPolicy = Omit<TrustRule, 'origin' | 'attestors' | 'events'> & {
  /** May be empty: GitHub would read that as all of them, so that nothing is given for it. */
  permissions: Readonly<Record<string, Level>>
  /** Of an organization's policy only. Absent there: as many as the ceiling names. */
  repositories?: readonly string[]
}

/** `stage`: octo-sts tells a file that does not parse from one whose patterns do not compile. */
export type ReadPolicy =
  | { ok: true; policy: TrustPolicy; file: YamlFile }
  | { ok: false; stage: 'parse' | 'compile'; problems: readonly Problem[] }

const text = z.string().min(1, 'expected some text').max(LIMITS.claimChars)
const permissions = z.strictObject(
  Object.fromEntries(
    Object.entries(GITHUB_PERMISSIONS).map(([name, { levels }]) => [name, z.enum(levels).optional()]),
  ),
)
const repositoryPolicy = z.strictObject({
  issuer: text.optional(),
  issuer_pattern: text.optional(),
  subject: text.optional(),
  subject_pattern: text.optional(),
  audience: text.optional(),
  audience_pattern: text.optional(),
  claim_pattern: z
    .record(z.string().regex(/^\P{Cc}{1,256}$/u, 'expected the name of a claim'), text)
    .refine(
      all => Object.keys(all).length <= LIMITS.trustClaimPatterns,
      `expected at most ${LIMITS.trustClaimPatterns} claims`,
    )
    .default({}),
  permissions: permissions.default({}),
})
const organizationPolicy = repositoryPolicy.extend({
  repositories: z.array(repositoryPartShape).min(1, 'expected at least one repository').max(500).optional(),
})

/**
 * @param path what problems name the file by
 * @param isOrganization whether it stands for the owner as a whole, and may name repositories
 */
export function readTrustPolicy(path: string, content: string, isOrganization: boolean): ReadPolicy {
  const file = readFile(path, content)
  if (!file.ok) return { ok: false, stage: 'parse', problems: file.problems }
  const shape = isOrganization ? organizationPolicy : repositoryPolicy
  const parsed = parseShape<z.infer<typeof organizationPolicy>>(file.value, shape, file.value.value)
  if (!parsed.ok) return { ok: false, stage: 'parse', problems: parsed.problems }
  const problems = [...choiceProblems(file.value, parsed.value), ...patternProblems(file.value, parsed.value)]
  if (problems.length > 0) return { ok: false, stage: 'compile', problems }
  return { ok: true, file: file.value, policy: withoutAbsent(parsed.value) }
}

/** One bounded YAML document. */
export function readFile(path: string, content: string): Parsed<YamlFile> {
  if (content.length > LIMITS.trustPolicyChars) {
    const expected = `expected at most ${LIMITS.trustPolicyChars} characters`
    return { ok: false, problems: [{ file: path, key: '', expected }] }
  }
  try {
    return { ok: true, value: parseYaml(path, content) }
  } catch (error) {
    if (error instanceof ConfigError) return { ok: false, problems: [...error.problems] }
    throw error
  }
}

type Shape = z.infer<typeof organizationPolicy>

function choiceProblems(file: YamlFile, shape: Shape): Problem[] {
  return (['issuer', 'subject', 'audience'] as const).flatMap(name => {
    const [exact, pattern] = [shape[name], shape[`${name}_pattern`]]
    if (exact !== undefined && pattern !== undefined)
      return [file.problem([`${name}_pattern`], `expected one of ${name} and ${name}_pattern, not both`)]
    if (name === 'audience' || exact !== undefined || pattern !== undefined) return []
    return [file.problem([name], `expected ${name} or ${name}_pattern`, 'Name it')]
  })
}

function patternProblems(file: YamlFile, shape: Shape): Problem[] {
  const patterns: (readonly [key: readonly string[], text: string | undefined])[] = [
    ...(['issuer_pattern', 'subject_pattern', 'audience_pattern'] as const).map(
      name => [[name], shape[name]] as const,
    ),
    ...Object.entries(shape.claim_pattern).map(([name, one]) => [['claim_pattern', name], one] as const),
  ]
  return patterns.flatMap(([key, one]) => {
    const compiled = one === undefined ? undefined : compileAnchored(one)
    return compiled?.ok === false ? [file.problem(key, compiled.why)] : []
  })
}

function withoutAbsent({ permissions: asked, ...shape }: Shape): TrustPolicy {
  const present = (value: object) =>
    Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined))
  return { ...(present(shape) as Omit<TrustPolicy, 'permissions'>), permissions: present(asked) }
}
