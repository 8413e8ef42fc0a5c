/** What may be asked of AWS: one role, narrowed to actions on resources. */
import { z } from 'zod'
import type { AskFacts, Phase, TouchedResource } from '../issuer.ts'
import { globCovers } from './glob-covers.ts'

export type AwsStatement = { actions: string[]; resources: string[] }

/** Canonical: flags always present; actions and resources in order and without repeats. */
export type AwsAsk = {
  role: string
  statements: AwsStatement[]
  /** Whether the session may call STS for further credentials, which live past this one's deadline. */
  allow_role_chaining: boolean
  /** Whether the session may change IAM, or pass roles. */
  allow_iam_writes: boolean
}

/** Actions that hand out credentials of their own life: roles, federated sessions, identity and session tokens. */
export const CHAINING_ACTIONS = ['sts:Assume*', 'sts:Get*Token'] as const

/**
 * IAM's verbs but Get, List, Generate and Simulate: Accept to Attach, Change, Create, De..., Di..., Enable,
 * Pass (lends a role to a machine that stays), Put, Re..., Send, Set, Tag, Un..., Up... Short, for the
 * policy has 2048 characters.
 */
export const IAM_WRITE_ACTIONS = [
  'iam:A*',
  'iam:C*',
  'iam:D*',
  'iam:E*',
  'iam:P*',
  'iam:R*',
  'iam:Se*',
  'iam:T*',
  'iam:U*',
] as const

/** `arn:partition:iam::account:role/path/name` (IAM User Guide, "IAM ARNs"). */
export const roleArn = z
  .string()
  .max(2048)
  .regex(/^arn:aws(-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@/-]{1,576}$/, 'the ARN of one role, without wildcards')

const action = z
  .string()
  .max(128)
  .regex(/^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$/, 'an action is written service:Verb, with * and ? in the verb')

const resource = z
  .string()
  .max(2048)
  .regex(/^[\x21-\x7e]+$/, 'a resource is printable ASCII without spaces')
  .refine(text => text === '*' || text.split(':').length >= 6, 'a resource is an ARN or *')
  // A policy variable stands for text that nobody has seen at decision time.
  .refine(text => !text.includes('${'), 'policy variables are not allowed')

const unique = (texts: string[]) => [...new Set(texts)].sort()

export const awsAsk = z
  .strictObject({
    role: roleArn,
    statements: z
      .array(
        z.strictObject({
          actions: z.array(action).min(1).max(64).transform(unique),
          resources: z.array(resource).min(1).max(64).transform(unique),
        }),
      )
      .min(1)
      .max(16),
    allow_role_chaining: z.boolean().default(false),
    allow_iam_writes: z.boolean().default(false),
  })
  .superRefine((ask, issues) => {
    for (const action of ask.statements.flatMap(statement => statement.actions)) {
      const flag = flagNeededFor(action)
      if (flag && !ask[flag]) issues.addIssue({ code: 'custom', message: `${action} needs ${flag}: true` })
    }
  })

/** Every wanted pair of action and resource lies within one pair of the ceiling; same role; no flag above it. */
export function awsCovers(ceiling: AwsAsk, wanted: AwsAsk): boolean {
  return (
    ceiling.role === wanted.role &&
    (ceiling.allow_role_chaining || !wanted.allow_role_chaining) &&
    (ceiling.allow_iam_writes || !wanted.allow_iam_writes) &&
    wanted.statements.every(statement =>
      statement.actions.every(action =>
        statement.resources.every(resource => ceiling.statements.some(one => allows(one, action, resource))),
      ),
    )
  )
}

const PHASES: readonly Phase[] = ['read', 'propose', 'execute', 'deploy', 'transact']
const READ_VERBS = /^(Get|List|Describe|Head|BatchGet|Query|Scan|Search|Lookup|Select|Simulate)/i
const EXECUTE_VERBS = /^(Invoke|Start|Run|Send|Publish|Execute|Submit|Poll|Receive)/i
/** Services whose writes decide who may do what; no deletion of a resource undoes what they allowed. */
const ACCESS_SERVICES =
  /^(iam|sts|organizations|sso|sso-admin|identitystore|kms|secretsmanager|ram|rolesanywhere)$/
/** Writes elsewhere that hand access to somebody: resource policies, permissions, keys, grants. */
const ACCESS_VERBS = /(Policy|Permission|Acl|Grant|AccessKey|KeyPair|Credential|Principal|Secret)/i

/** Services where reading is being given a secret or a credential. */
const LENDING_READS = /^(sts|secretsmanager)$/

export function awsFacts(ask: AwsAsk): AskFacts {
  const actions = unique(ask.statements.flatMap(statement => statement.actions))
  const phase = Math.max(...actions.map(action => PHASES.indexOf(phaseOf(action))))
  return {
    phase: ask.allow_iam_writes ? 'transact' : (PHASES[phase] ?? 'transact'),
    resources: [touchedRole(ask.role)],
    targets: unique(ask.statements.flatMap(statement => statement.resources)),
    permissions: actions,
    mayLeaveAccess: ask.allow_iam_writes || ask.allow_role_chaining || actions.some(leavesAccess),
  }
}

function touchedRole(arn: string): TouchedResource {
  const account = arn.split(':')[4] ?? ''
  return { type: 'Role', id: arn, name: arn, parents: [{ type: 'Account', id: account }] }
}

/** Reading the verb's first letters is coarse, and a verb that a wildcard opens is taken for the worst. */
function phaseOf(action: string): Phase {
  const [service = '', verb = '*'] = action.split(':')
  if (READ_VERBS.test(verb)) return 'read'
  if (service === '*' || ACCESS_SERVICES.test(service) || /^[*?]/.test(verb)) return 'transact'
  return EXECUTE_VERBS.test(verb) ? 'execute' : 'deploy'
}

function leavesAccess(action: string): boolean {
  const [service = '', verb = '*'] = action.split(':')
  if (READ_VERBS.test(verb)) return LENDING_READS.test(service) && verb.toLowerCase() !== 'getcalleridentity'
  return service === '*' || ACCESS_SERVICES.test(service) || /[*?]/.test(verb) || ACCESS_VERBS.test(verb)
}

/** The flag without which the session policy would deny all that this action names. */
function flagNeededFor(action: string): 'allow_role_chaining' | 'allow_iam_writes' | undefined {
  const within = (denied: readonly string[]) => denied.some(one => actionCovers(one, action))
  if (within(CHAINING_ACTIONS)) return 'allow_role_chaining'
  return within(IAM_WRITE_ACTIONS) ? 'allow_iam_writes' : undefined
}

function allows(ceiling: AwsStatement, action: string, resource: string): boolean {
  return (
    ceiling.actions.some(allowed => actionCovers(allowed, action)) &&
    ceiling.resources.some(allowed => resourceCovers(allowed, resource))
  )
}

/** Actions are compared without regard to case, as IAM does. */
function actionCovers(ceiling: string, wanted: string): boolean {
  return globCovers(ceiling.toLowerCase(), wanted.toLowerCase())
}

/** The five sections before an ARN's resource are compared one by one: a `*` does not reach across a colon. */
function resourceCovers(ceiling: string, wanted: string): boolean {
  if (ceiling === '*') return true
  const outer = sections(ceiling)
  const inner = sections(wanted)
  return outer.length === inner.length && outer.every((section, i) => globCovers(section, inner[i] ?? ''))
}

function sections(arn: string): string[] {
  const parts = arn.split(':')
  return parts.length < 6 ? [arn] : [...parts.slice(0, 5), parts.slice(5).join(':')]
}
