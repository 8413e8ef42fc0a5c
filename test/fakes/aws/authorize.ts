/**
 * Policy evaluation within one account: an explicit deny wins, then identity policy and session policy must
 * both allow. Judged anew at every request, because AWS does. IAM User Guide, "Policy evaluation logic".
 */
import { AwsError } from './aws-error.ts'
import { conditionsHold, matchesPattern, type RequestContext, withVariables } from './conditions.ts'
import type { PolicyDocument, Statement } from './policy-document.ts'
import {
  effectiveInline,
  isoSeconds,
  type Principal,
  principalArn,
  principalUserId,
  type World,
} from './world.ts'

/** One call to be judged. `context` adds the request's own keys (`aws:RequestTag/team`). */
export type Access = {
  action: string
  resource: string
  context?: Readonly<Record<string, string | readonly string[]>>
  /** A resource policy in the account (a role's trust) already names the principal: its own policy need not allow it. */
  grantedByResource?: boolean
}

export type Judgement =
  | { allowed: true }
  | { allowed: false; because: 'explicit_deny' | 'session_policy' | 'identity_policy' }

export function judge(world: World, principal: Principal, access: Access): Judgement {
  const context = requestContext(world, principal, access)
  const identity = identityPolicies(world, principal)
  const session = principal.kind === 'session' ? principal.policy : undefined
  const says = (effect: 'Allow' | 'Deny', document: PolicyDocument) =>
    document.Statement.some(statement => statement.Effect === effect && applies(statement, access, context))

  const all = session === undefined ? identity : [...identity, session]
  if (all.some(document => says('Deny', document))) return { allowed: false, because: 'explicit_deny' }
  if (session !== undefined && !says('Allow', session)) return { allowed: false, because: 'session_policy' }
  if (access.grantedByResource === true) return { allowed: true }
  if (identity.some(document => says('Allow', document))) return { allowed: true }
  return { allowed: false, because: 'identity_policy' }
}

/** The policies of the user, or of the session's role, as AWS applies them now. */
export function identityPolicies(world: World, principal: Principal): PolicyDocument[] {
  if (principal.kind === 'user') return principal.policy === undefined ? [] : [principal.policy]
  return [principal.role.attached, ...effectiveInline(world, principal.role)]
}

const BECAUSE = {
  explicit_deny: 'with an explicit deny in an identity-based policy',
  session_policy: 'because no session policy allows the',
  identity_policy: 'because no identity-based policy allows the',
} as const

/** @throws AwsError `AccessDenied` (403), in AWS's words. */
export function authorize(world: World, principal: Principal, access: Access): void {
  const judgement = judge(world, principal, access)
  if (judgement.allowed) return
  const reason = BECAUSE[judgement.because]
  const tail = judgement.because === 'explicit_deny' ? '' : ` ${access.action} action`
  const who = principalArn(world, principal)
  const what = `${access.action} on resource: ${access.resource}`
  throw new AwsError(
    403,
    'AccessDenied',
    `User: ${who} is not authorized to perform: ${what} ${reason}${tail}`,
  )
}

function applies(statement: Statement, access: Access, context: RequestContext): boolean {
  const { Action, NotAction, Resource, NotResource, Condition } = statement
  const isAction = (pattern: string) => matchesPattern(access.action.toLowerCase(), pattern.toLowerCase())
  const isResource = (pattern: string) => matchesPattern(access.resource, withVariables(pattern, context))
  if (Action !== undefined && !Action.some(isAction)) return false
  if (NotAction?.some(isAction)) return false
  if (Resource !== undefined && !Resource.some(isResource)) return false
  if (NotResource?.some(isResource)) return false
  return conditionsHold(Condition, context)
}

/** Global condition keys as AWS fills them; a key that AWS would leave out is left out. */
function requestContext(world: World, principal: Principal, access: Access): RequestContext {
  const keys: [string, string | readonly string[]][] = [
    ['aws:CurrentTime', isoSeconds(world.now())],
    ['aws:EpochTime', String(Math.floor(world.now() / 1000))],
    ['aws:userid', principalUserId(principal)],
    ['aws:PrincipalAccount', world.account],
    ...principalKeys(principal),
    ...Object.entries(access.context ?? {}),
  ]
  return new Map(keys.map(([key, value]) => [key.toLowerCase(), [value].flat()]))
}

function principalKeys(principal: Principal): [string, string][] {
  if (principal.kind === 'user') {
    return [
      ['aws:PrincipalArn', principal.arn],
      ['aws:PrincipalType', 'User'],
      ['aws:username', principal.name],
    ]
  }
  const keys: [string, string][] = [
    // The role's ARN, not the session's: IAM User Guide, "aws:PrincipalArn".
    ['aws:PrincipalArn', principal.role.arn],
    ['aws:PrincipalType', 'AssumedRole'],
    ['aws:TokenIssueTime', isoSeconds(principal.issuedAt)],
    ['aws:MultiFactorAuthPresent', 'false'],
    ...principal.tags.map(({ key, value }): [string, string] => [`aws:PrincipalTag/${key}`, value]),
  ]
  if (principal.sourceIdentity !== undefined) keys.push(['aws:SourceIdentity', principal.sourceIdentity])
  return keys
}
