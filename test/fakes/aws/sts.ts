/** AWS STS: AssumeRole and GetCallerIdentity, with the checks of the API reference in the order AWS makes them. */
import { assumeRoleLimits, readAssumeRole } from './assume-role-input.ts'
import { authorize } from './authorize.ts'
import { AwsError } from './aws-error.ts'
import type { QueryParameters } from './query.ts'
import {
  isoSeconds,
  type Principal,
  principalArn,
  principalUserId,
  type Role,
  type Session,
  uniqueId,
  type World,
  wholeSecond,
} from './world.ts'
import type { Xml } from './xml.ts'

/** The content of `<{Action}Result>`. @throws AwsError */
export function sts(world: World, caller: Principal, action: string, parameters: QueryParameters): Xml {
  switch (action) {
    case 'AssumeRole':
      return assumeRole(world, caller, parameters)
    case 'GetCallerIdentity':
      // No permission is asked for, and none can take it away: an explicit deny is not looked at.
      return {
        Arn: principalArn(world, caller),
        UserId: principalUserId(caller),
        Account: world.account,
      }
    default:
      throw new AwsError(400, 'InvalidAction', `Could not find operation ${action} for version 2011-06-15`)
  }
}

function assumeRole(world: World, caller: Principal, parameters: QueryParameters): Xml {
  const input = readAssumeRole(parameters, caller)
  const role = [...world.roles.values()].find(({ arn }) => arn === input.roleArn)
  // A role that does not exist answers as one that does not trust the caller.
  if (role === undefined) throw untrusted(world, caller, 'sts:AssumeRole', input.roleArn)
  const sourceIdentity = input.sourceIdentity ?? inheritedSourceIdentity(caller)
  const inherited = inheritedTags(caller)
  const context = {
    'sts:RoleSessionName': input.sessionName,
    'aws:TagKeys': input.tags.map(({ key }) => key),
    ...Object.fromEntries(input.tags.map(({ key, value }) => [`aws:RequestTag/${key}`, value])),
    ...(sourceIdentity === undefined ? {} : { 'sts:SourceIdentity': sourceIdentity }),
  }
  const needed = ['sts:AssumeRole']
  if (input.tags.length > 0 || inherited.length > 0) needed.push('sts:TagSession')
  if (sourceIdentity !== undefined) needed.push('sts:SetSourceIdentity')
  for (const action of needed) authorizeTrust(world, caller, role, { action, context })
  const { durationSeconds, packedPercent } = assumeRoleLimits(input, role, caller)

  const session = openSession(world, role, {
    sessionName: input.sessionName,
    sourceIdentity,
    tags: [...inherited, ...input.tags],
    transitiveTagKeys: [...inherited.map(({ key }) => key), ...input.transitiveTagKeys],
    policy: input.policy,
    durationSeconds,
    issuedTo: caller.accessKeyId,
  })
  return {
    Credentials: {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.sessionToken,
      Expiration: isoSeconds(session.expiresAt),
    },
    AssumedRoleUser: { AssumedRoleId: principalUserId(session), Arn: principalArn(world, session) },
    PackedPolicySize: packedPercent,
    SourceIdentity: sourceIdentity,
  }
}

type NewSession = Pick<
  Session,
  'sessionName' | 'sourceIdentity' | 'tags' | 'transitiveTagKeys' | 'policy' | 'issuedTo'
> & { durationSeconds: number }

export function openSession(world: World, role: Role, { durationSeconds, ...given }: NewSession): Session {
  const issuedAt = wholeSecond(world.now())
  const session: Session = {
    kind: 'session',
    accessKeyId: uniqueId(world, 'ASIA'),
    secretAccessKey: Buffer.from(world.random(30)).toString('base64'),
    sessionToken: Buffer.from(world.random(192)).toString('base64'),
    role,
    ...given,
    issuedAt,
    expiresAt: issuedAt + durationSeconds * 1000,
  }
  world.sessions.set(session.accessKeyId, session)
  return session
}

/**
 * The role's trust policy and the caller's own. Within one account a trust policy that names the caller is
 * enough; one that names the account's root leaves it to the caller's policy.
 * @throws AwsError `AccessDenied`
 */
function authorizeTrust(
  world: World,
  caller: Principal,
  role: Role,
  { action, context }: { action: string; context: Readonly<Record<string, string | string[]>> },
): void {
  const own = caller.kind === 'user' ? [caller.arn] : [caller.role.arn, principalArn(world, caller)]
  const trusted = role.trustActions.includes(action) ? role.trusts : []
  const byName = own.some(arn => trusted.includes(arn))
  const byAccount = trusted.includes(`arn:aws:iam::${world.account}:root`)
  if (!byName && !byAccount) throw untrusted(world, caller, action, role.arn)
  authorize(world, caller, { action, resource: role.arn, context, grantedByResource: byName })
}

function untrusted(world: World, caller: Principal, action: string, resource: string): AwsError {
  const who = principalArn(world, caller)
  const message = `User: ${who} is not authorized to perform: ${action} on resource: ${resource}`
  return new AwsError(403, 'AccessDenied', message)
}

function inheritedSourceIdentity(caller: Principal): string | undefined {
  return caller.kind === 'session' ? caller.sourceIdentity : undefined
}

function inheritedTags(caller: Principal) {
  if (caller.kind === 'user') return []
  return caller.tags.filter(({ key }) => caller.transitiveTagKeys.includes(key))
}
