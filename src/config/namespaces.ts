/** `namespaces:` in mayfly.yaml: the teams that register resources of their own, and what each may register. */
import { join } from 'node:path'
import { z } from 'zod'
import type { Issuer } from '../../issuers/issuer.ts'
import { LIMITS } from '../limits.ts'
import { SYSTEM_AGENT } from '../policy/agent.ts'
import { oneOf, type Problem } from './problem.ts'
import { lineShape, nameShape, wholeNumber } from './shapes.ts'

const typeNames = z.array(z.string().min(1).max(LIMITS.nameChars)).max(LIMITS.pluginInstances)

/** The most that any agent of the namespace may have of an issuer: entries as in an agent's ceiling. */
const issuerGrantShape = z.strictObject({
  ceiling: z
    .array(z.unknown())
    .min(1, 'expected at least one ask')
    .max(LIMITS.ceilingAsksPerIssuer, `expected at most ${LIMITS.ceilingAsksPerIssuer} asks`)
    .optional(),
})

/** Names alone, or each with what bounds it; read as the latter. */
const issuerGrantsShape = z
  .union([
    z.array(nameShape).transform(names => Object.fromEntries(names.map(name => [name, {}]))),
    z.record(nameShape, issuerGrantShape),
  ])
  .transform((grants): Readonly<Record<string, z.infer<typeof issuerGrantShape>>> => grants)

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
  /** Which of the operator's issuers its agents may use, and how far; none where it is not said. */
  issuers: issuerGrantsShape.default({}),
  /** Which of the operator's attestors may prove who its agents are; all where it is not said. */
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

type Namespaces = Readonly<Record<string, Namespace>>

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

/** What a namespace names must be there. */
export function refuseUnknownShares(
  { namespaces, ...instances }: { namespaces: Namespaces } & Record<'issuers' | 'attestors', object>,
  context: z.RefinementCtx,
): void {
  for (const [namespace, { issuers, attestors = [] }] of Object.entries(namespaces))
    for (const [key, names] of Object.entries({ issuers: Object.keys(issuers), attestors }))
      for (const name of names) {
        const known = instances[key as 'issuers' | 'attestors']
        if (Object.hasOwn(known, name)) continue
        const path = ['namespaces', namespace, key]
        context.addIssue({ code: 'custom', path, message: oneOf(key, Object.keys(known)) })
      }
}

/** Ceilings of namespaces, held against the asks of their issuers. */
export function ceilingProblems(
  { namespaces, directory }: { namespaces: Namespaces; directory: string },
  issuers: ReadonlyMap<string, Pick<Issuer, 'ask'>>,
): Problem[] {
  const file = join(directory, 'mayfly.yaml')
  const problems: Problem[] = []
  for (const [namespace, grants] of Object.entries(namespaces))
    for (const [issuer, { ceiling = [] }] of Object.entries(grants.issuers))
      for (const [index, ask] of ceiling.entries()) {
        const parsed = issuers.get(issuer)?.ask.safeParse(ask)
        for (const { path, message } of parsed?.error?.issues ?? []) {
          const key = ['namespaces', namespace, 'issuers', issuer, 'ceiling', index, ...path].join('.')
          problems.push({ file, key, expected: message })
        }
      }
  return problems
}

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
