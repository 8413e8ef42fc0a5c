/** AWS IAM: the inline policies of a role. AWS IAM API Reference; quotas from "IAM and AWS STS quotas". */
import { authorize } from './authorize.ts'
import { AwsError, validationError } from './aws-error.ts'
import { parsePolicy } from './policy-document.ts'
import type { QueryParameters } from './query.ts'
import { isoSeconds, type Principal, type Role, type World, writeInline, writtenInline } from './world.ts'
import type { Xml } from './xml.ts'

/** Sum over a role's inline policies, white space not counted. */
const INLINE_CHARACTERS = 10_240

const HANDLERS: Readonly<
  Record<string, (world: World, role: Role, parameters: QueryParameters) => Xml | undefined>
> = {
  GetRole: getRole,
  PutRolePolicy: putRolePolicy,
  GetRolePolicy: getRolePolicy,
  ListRolePolicies: listRolePolicies,
  DeleteRolePolicy: deleteRolePolicy,
}

/** The content of `<{Action}Result>`, undefined where the action answers with none. @throws AwsError */
export function iam(
  world: World,
  caller: Principal,
  action: string,
  parameters: QueryParameters,
): Xml | undefined {
  const handler = Object.hasOwn(HANDLERS, action) ? HANDLERS[action] : undefined
  if (handler === undefined) {
    throw new AwsError(400, 'InvalidAction', `Could not find operation ${action} for version 2010-05-08`)
  }
  const name = entityName(parameters, 'RoleName', 64)
  // Judged before it is looked for: who may not ask does not learn whether the role exists.
  const resource = world.roles.get(name)?.arn ?? `arn:aws:iam::${world.account}:role/${name}`
  authorize(world, caller, { action: `iam:${action}`, resource })
  const role = world.roles.get(name)
  if (role === undefined) throw notFound(`The role with name ${name} cannot be found.`)
  return handler(world, role, parameters)
}

function getRole(_world: World, role: Role): Xml {
  const trust = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: role.trusts }, Action: role.trustActions }],
  }
  return {
    Role: {
      Path: '/',
      RoleName: role.name,
      RoleId: role.roleId,
      Arn: role.arn,
      CreateDate: isoSeconds(role.createdAt),
      AssumeRolePolicyDocument: encodeURIComponent(JSON.stringify(trust)),
      MaxSessionDuration: role.maxSessionSeconds,
    },
  }
}

function putRolePolicy(world: World, role: Role, parameters: QueryParameters): undefined {
  const name = entityName(parameters, 'PolicyName', 128)
  const text = parameters.get('PolicyDocument')
  if (text === undefined) throw validationError('null', 'policyDocument', 'Member must not be null')
  const document = parsePolicy(text)
  const others = [...writtenInline(role)].filter(([other]) => other !== name).map(([, other]) => other)
  const characters = [...others, text].reduce((sum, policy) => sum + policy.replace(/\s/g, '').length, 0)
  if (characters > INLINE_CHARACTERS) {
    const message = `Maximum policy size of ${INLINE_CHARACTERS} bytes exceeded for role ${role.name}`
    throw new AwsError(409, 'LimitExceeded', message)
  }
  writeInline(world, role, name, text, document)
}

function getRolePolicy(_world: World, role: Role, parameters: QueryParameters): Xml {
  const name = entityName(parameters, 'PolicyName', 128)
  const text = writtenInline(role).get(name)
  if (text === undefined) throw notFound(`The role policy with name ${name} cannot be found.`)
  return { RoleName: role.name, PolicyName: name, PolicyDocument: encodeURIComponent(text) }
}

function listRolePolicies(_world: World, role: Role, parameters: QueryParameters): Xml {
  const maxItems = parameters.get('MaxItems') ?? '100'
  const most = Number(maxItems)
  if (!(Number.isInteger(most) && most >= 1 && most <= 1000)) {
    throw validationError(maxItems, 'maxItems', 'Member must have value between 1 and 1000')
  }
  const after = parameters.get('Marker') ?? ''
  const names = [...writtenInline(role).keys()].sort().filter(name => name > after)
  const page = names.slice(0, most)
  const truncated = names.length > page.length
  return {
    PolicyNames: { member: page },
    IsTruncated: truncated,
    Marker: truncated ? page.at(-1) : undefined,
  }
}

function deleteRolePolicy(world: World, role: Role, parameters: QueryParameters): undefined {
  const name = entityName(parameters, 'PolicyName', 128)
  if (!writtenInline(role).has(name)) {
    throw notFound(`The role policy with name ${name} cannot be found.`)
  }
  writeInline(world, role, name, '', undefined)
}

function entityName(parameters: QueryParameters, parameter: string, most: number): string {
  const value = parameters.get(parameter) ?? ''
  const member = parameter.charAt(0).toLowerCase() + parameter.slice(1)
  if (value.length < 1 || value.length > most || !/^[\w+=,.@-]+$/.test(value)) {
    throw validationError(value, member, `Member must match [\\w+=,.@-]+ and be 1 to ${most} long`)
  }
  return value
}

function notFound(message: string): AwsError {
  return new AwsError(404, 'NoSuchEntity', message)
}
