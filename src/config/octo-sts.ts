/** `octo_sts:` in mayfly.yaml: the exchange that clients of octo-sts speak, and what each owner may have by it. */
import { z } from 'zod'
import { githubPermissions } from '../../issuers/shared/github-ask.ts'
import { LIMITS } from '../limits.ts'
import { lineShape, nameShape, wholeNumber } from './shapes.ts'

/** An account at GitHub; its letters' case does not matter. */
export const ownerShape = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, 'expected the name of an account at GitHub')

export const repositoryPartShape = z
  .string()
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/, 'expected the name of a repository, without its owner')

const ownerSettings = z.strictObject({
  /** A `github-app` issuer whose App may read contents of the repositories that hold policies. */
  issuer: nameShape,
  /** Attestors whose tokens policies of this owner may admit. Nobody else's issuer is ever contacted. */
  attestors: z.array(nameShape).min(1, 'expected at least one attestor').max(LIMITS.pluginInstances),
  /** Who answers for these identities, and who runs them. */
  owner: z.strictObject({ business: lineShape(LIMITS.labelChars), technical: lineShape(LIMITS.labelChars) }),
  risk_tier: z.enum(['low', 'medium', 'high']),
  /** The most that any policy gives, whatever it says. Without `repositories`: those that a policy names. */
  ceiling: z.strictObject({
    repositories: z.array(repositoryPartShape).min(1, 'expected at least one repository').max(500).optional(),
    permissions: githubPermissions,
  }),
  /** Identities open nothing after it: somebody looks at this section again. */
  expires_at: z.iso
    .datetime({ offset: true, message: 'expected a date and time with its zone, like 2027-01-31T00:00:00Z' })
    .transform(text => Date.parse(text)),
  /** Risky events that policies need not name. */
  events: z.array(lineShape(LIMITS.labelChars)).max(LIMITS.valuesPerClaim).default([]),
  /** Whether the organization's `trusted-token-issuers.yaml` is read, and counts. Without it nothing is given then. */
  trusted_issuers_file: z.boolean().default(true),
  limits: z
    .strictObject({
      task_minutes: wholeNumber(LIMITS.taskMinMinutes, LIMITS.taskMinutes, 'minutes').default(60),
      active_tasks: wholeNumber(1, LIMITS.activeTasksPerAgent, 'tasks').default(100),
      credentials_per_hour: wholeNumber(1, LIMITS.credentialsPerHourPerAgent, 'credentials').default(300),
    })
    .prefault({}),
})

export const octoStsShape = z.strictObject({
  /** What clients have as `domain`, and the audience of a token whose policy names none. The host of `public_url`. */
  domain: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::\d{1,5})?$/, 'expected a host name, without https://')
    .optional(),
  /** Of the agents that identities become. Nobody else should have it. */
  namespace: nameShape,
  /** Where the policies stand that are for an owner as a whole. */
  organization_repository: repositoryPartShape.default('.github'),
  /** By account. */
  owners: z
    .record(ownerShape, ownerSettings)
    .refine(all => Object.keys(all).length > 0, 'expected at least one owner')
    .refine(
      all => Object.keys(all).length <= LIMITS.namespaces,
      `expected at most ${LIMITS.namespaces} owners`,
    )
    .refine(
      all => new Set(Object.keys(all).map(one => one.toLowerCase())).size === Object.keys(all).length,
      'expected each account once: case does not matter',
    ),
})

export type OctoSts = z.infer<typeof octoStsShape>
export type OctoStsOwner = OctoSts['owners'][string]

type Named = {
  octo_sts?: OctoSts | undefined
  namespaces: Readonly<Record<string, { issuers: Readonly<Record<string, { ceiling?: unknown }>> }>>
  issuers: Readonly<Record<string, { type: string }>>
  attestors: object
}

/** What the section names must be there. */
export function refuseUnknownNames(
  { octo_sts: it, namespaces, issuers, attestors }: Named,
  context: z.RefinementCtx,
): void {
  if (it === undefined) return
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: 'custom', path: ['octo_sts', ...path], message })
  if (!Object.hasOwn(namespaces, it.namespace))
    refuse(['namespace'], `expected a namespace of mayfly.yaml: there is no ${it.namespace}`)
  const shared = namespaces[it.namespace]?.issuers ?? {}
  for (const [name, { issuer, attestors: named }] of Object.entries(it.owners)) {
    if (!Object.hasOwn(issuers, issuer) || issuers[issuer]?.type !== 'github-app')
      refuse(['owners', name, 'issuer'], 'expected the name of an issuer of type github-app')
    else if (Object.hasOwn(namespaces, it.namespace) && !Object.hasOwn(shared, issuer))
      refuse(['owners', name, 'issuer'], `expected one that namespaces.${it.namespace}.issuers lists`)
    else if (shared[issuer]?.ceiling !== undefined)
      refuse(
        ['owners', name, 'issuer'],
        `expected no ceiling in namespaces.${it.namespace}.issuers.${issuer}: each owner has one here`,
      )
    for (const [index, attestor] of named.entries())
      if (!Object.hasOwn(attestors, attestor))
        refuse(['owners', name, 'attestors', index], 'expected the name of an attestor of mayfly.yaml')
  }
}
