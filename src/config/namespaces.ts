/** `namespaces:` in mayfly.yaml: the teams that register resources of their own, and what each may register. */
import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { SYSTEM_AGENT } from '../policy/agent.ts'
import { lineShape, nameShape, wholeNumber } from './shapes.ts'

const typeNames = z.array(z.string().min(1).max(LIMITS.nameChars)).max(LIMITS.pluginInstances)

const namespaceShape = z.strictObject({
  /** Groups of operators, as the identity provider names them, whose namespace it is. */
  owners: z
    .array(lineShape(LIMITS.labelChars))
    .min(1, 'expected at least one group')
    .max(LIMITS.approverGroups),
  description: lineShape(LIMITS.reasonChars).optional(),
  /** Types of which it may have instances of its own. */
  issuer_types: typeNames.default([]),
  attestor_types: typeNames.default([]),
  /** Which of the operator's issuers and attestors its agents may use; all where it is not said. */
  issuers: z.array(nameShape).optional(),
  attestors: z.array(nameShape).optional(),
  /** What its issuers may sign tokens for, and its resource servers may introspect. Exact values. */
  audiences: z
    .array(lineShape(LIMITS.audienceChars).regex(/^\S+$/, 'expected an audience without white space'))
    .max(256)
    .default([]),
  limits: z
    .strictObject({
      agents: wholeNumber(0, LIMITS.registryFiles, 'agents').default(100),
      /** Attestors and issuers together. */
      instances: wholeNumber(0, LIMITS.pluginInstances, 'instances').default(10),
      resource_servers: wholeNumber(0, LIMITS.registryFiles, 'resource servers').default(20),
      policies: wholeNumber(0, LIMITS.policies, 'policies').default(20),
    })
    .prefault({}),
})

export type Namespace = z.infer<typeof namespaceShape>

export const namespacesShape = z
  .record(
    nameShape.refine(name => name !== SYSTEM_AGENT, `expected another name: ${SYSTEM_AGENT} is the broker`),
    namespaceShape,
  )
  .refine(
    all => Object.keys(all).length <= LIMITS.namespaces,
    `expected at most ${LIMITS.namespaces} namespaces`,
  )
  .default({})

/** `team.name`, as a team's own resources are called; what stands in files has no dot in its name. */
export const teamNameShape = z
  .string()
  .max(LIMITS.nameChars, `expected at most ${LIMITS.nameChars} characters`)
  .regex(
    /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/,
    'expected NAMESPACE.NAME: each a lower-case letter, then lower-case letters, digits and dashes',
  )

/** The operator's own, or a team's. */
export const anyNameShape = z.union([nameShape, teamNameShape])

/** Whose it is; null for the operator's own. */
export function namespaceOf(name: string): string | null {
  const dot = name.indexOf('.')
  return dot === -1 ? null : name.slice(0, dot)
}
