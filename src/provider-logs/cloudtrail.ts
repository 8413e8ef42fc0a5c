/**
 * AWS CloudTrail records (CloudTrail User Guide, "CloudTrail record contents" and "userIdentity element"): a
 * session of a role is named in `userIdentity.arn` (`…:assumed-role/ROLE/SESSION`), its source identity in
 * `userIdentity.sessionContext.sourceIdentity`.
 */
import type { Created, LogRecord, ProviderLogEntry } from './entry.ts'
import { firstOf, isRecord, momentOf, present, recordOf, textOf } from './fields.ts'

export function isCloudTrailRecord(record: LogRecord): boolean {
  return typeof record.eventName === 'string' && typeof record.eventSource === 'string'
}

export function cloudTrailEntry(record: LogRecord): ProviderLogEntry | undefined {
  const at = momentOf(record.eventTime)
  const event = textOf(record, 'eventName')
  if (at === undefined || event === undefined) return undefined
  const caller = recordOf(record, 'userIdentity')
  const context = recordOf(caller, 'sessionContext')
  const refused = textOf(record, 'errorCode')
  return present<ProviderLogEntry>({
    provider: 'aws',
    at,
    action: `${(textOf(record, 'eventSource') ?? '').replace(/\.amazonaws\.com$/, '')}:${event}`,
    actor: firstOf(caller, ['arn', 'invokedBy', 'principalId', 'userName', 'type']),
    tokenHash: undefined,
    via: undefined,
    session: sessionOf(caller),
    sourceIdentity: textOf(context, 'sourceIdentity'),
    role: textOf(recordOf(context, 'sessionIssuer'), 'arn'),
    resource: resourceOf(record),
    created: refused === undefined ? createdBy(event, record) : undefined,
    refused,
  })
}

function sessionOf(caller: LogRecord): string | undefined {
  if (textOf(caller, 'type') !== 'AssumedRole') return undefined
  const arn = /:assumed-role\/[^/]+\/([^/]+)$/.exec(textOf(caller, 'arn') ?? '')
  return arn?.[1] ?? /^[^:]+:([^:]+)$/.exec(textOf(caller, 'principalId') ?? '')?.[1]
}

function resourceOf(record: LogRecord): string | undefined {
  const [first] = Array.isArray(record.resources) ? (record.resources as unknown[]) : []
  const arn = isRecord(first) ? firstOf(first, ['ARN', 'arn']) : undefined
  return arn ?? textOf(record, 'recipientAccountId')
}

/** What gives or widens access without a noun of its own that would be found below. */
const GRANTS: Readonly<Record<string, string>> = {
  AssumeRole: 'role_session',
  AssumeRoleWithWebIdentity: 'role_session',
  AssumeRoleWithSAML: 'role_session',
  GetFederationToken: 'federated_session',
  GetSessionToken: 'session_token',
  AddUserToGroup: 'group_member',
  AddRoleToInstanceProfile: 'instance_profile',
  AttachGroupPolicy: 'policy_attachment',
  AttachRolePolicy: 'policy_attachment',
  AttachUserPolicy: 'policy_attachment',
  SetDefaultPolicyVersion: 'policy',
  UpdateAssumeRolePolicy: 'trust_policy',
  UpdateAccessKey: 'access_key',
  UpdateLoginProfile: 'login_profile',
  AddPermission: 'resource_policy',
  UpdateFunctionCode: 'function',
  UpdateFunctionConfiguration: 'function',
  PutSecretValue: 'secret',
  AuthorizeSecurityGroupIngress: 'ingress_rule',
  ModifySnapshotAttribute: 'snapshot_share',
  ModifyImageAttribute: 'image_share',
  RunInstances: 'instance',
  StartSession: 'session',
  SendCommand: 'command',
}

const MAKES =
  /^(?:Create|Import|Register|Upload|Put(?=\w*Policy$)|Put(?=Rule$)|Enable(?=\w*(?:User|Key|Access)))(\w+)$/

function createdBy(event: string, record: LogRecord): Created | undefined {
  // Lambda writes the date of its API behind the name of the call: CreateFunction20150331v2.
  const call = event.replace(/\d{8}(v\d+)?$/, '')
  const noun = MAKES.exec(call)?.[1]
  const kind = Object.hasOwn(GRANTS, call) ? GRANTS[call] : noun === undefined ? undefined : snakeCase(noun)
  return kind === undefined ? undefined : { kind, name: nameIn(record) }
}

const snakeCase = (words: string) =>
  words.replace(/([a-z0-9])([A-Z])|([A-Z]+)([A-Z][a-z])/g, '$1$3_$2$4').toLowerCase()

/** Of the thing made, then of what it was made on. */
function nameIn(record: LogRecord): string {
  const answered = recordOf(record, 'responseElements')
  const asked = recordOf(record, 'requestParameters')
  for (const name of ['assumedRoleUser', 'federatedUser'] as const) {
    const arn = textOf(recordOf(answered, name), 'arn')
    if (arn !== undefined) return arn
  }
  const made = Object.values(answered).find(isRecord) ?? {}
  const names = [
    ...['accessKeyId', 'arn', 'sSHPublicKeyId', 'serviceSpecificCredentialId', 'functionArn', 'aRN', 'keyId'],
    ...['policyName', 'policyArn', 'roleName', 'userName', 'groupName', 'keyName', 'functionName', 'name'],
    ...['secretId', 'bucketName', 'repositoryName', 'id'],
  ]
  return firstOf(made, names) ?? firstOf(answered, names) ?? firstOf(asked, names) ?? 'without a name'
}
