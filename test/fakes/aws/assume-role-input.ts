/** AssumeRole's parameters and limits. AWS STS API Reference, "AssumeRole". */
import { deflateRawSync } from 'node:zlib'
import { AwsError, validationError } from './aws-error.ts'
import { type PolicyDocument, parsePolicy } from './policy-document.ts'
import { type QueryParameters, readMembers } from './query.ts'
import type { Principal, Role, Tag } from './world.ts'

export type AssumeRoleInput = {
  roleArn: string
  sessionName: string
  durationSeconds: number
  policyText: string | undefined
  policy: PolicyDocument | undefined
  sourceIdentity: string | undefined
  tags: readonly Tag[]
  transitiveTagKeys: readonly string[]
}

/** Everything that can be judged without knowing the role. @throws AwsError 400 */
export function readAssumeRole(parameters: QueryParameters, caller: Principal): AssumeRoleInput {
  const policyText = parameters.get('Policy')
  if (policyText !== undefined) lengthWithin(policyText, 'policy', 1, 2048)
  if (readMembers(parameters, 'PolicyArns').length > 0) {
    throw new AwsError(501, 'NotImplemented', 'This stand-in holds no managed policies: send Policy.')
  }
  const input = {
    roleArn: required(parameters, 'RoleArn', 'roleArn'),
    sessionName: named(required(parameters, 'RoleSessionName', 'roleSessionName'), 'roleSessionName'),
    durationSeconds: duration(parameters.get('DurationSeconds')),
    sourceIdentity: readSourceIdentity(parameters.get('SourceIdentity'), caller),
    ...readTags(parameters, caller),
  }
  lengthWithin(input.roleArn, 'roleArn', 20, 2048)
  return { ...input, policyText, policy: policyText === undefined ? undefined : parsePolicy(policyText) }
}

/**
 * Packed size that counts as 100 %. AWS does not publish its packing; this one (deflated policy and plain
 * tags against 1,800 bytes) gives about the 8 % of the example in the API reference, and refuses policies
 * of random-looking ARNs well below 2,048 characters, as AWS is seen to do.
 */
const PACKED_BYTES = 1800

/** The limits that depend on the role, the caller and the packing. @throws AwsError 400 */
export function assumeRoleLimits(
  input: AssumeRoleInput,
  role: Role,
  caller: Principal,
): { durationSeconds: number; packedPercent: number | undefined } {
  const { durationSeconds, policyText, tags } = input
  if (durationSeconds > role.maxSessionSeconds) {
    const message = 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.'
    throw new AwsError(400, 'ValidationError', message)
  }
  if (caller.kind === 'session' && durationSeconds > 3600) {
    const message =
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.'
    throw new AwsError(400, 'ValidationError', message)
  }
  if (policyText === undefined && tags.length === 0) return { durationSeconds, packedPercent: undefined }
  const policyBytes = policyText === undefined ? 0 : deflateRawSync(policyText).length
  const tagBytes = tags.reduce((sum, { key, value }) => sum + Buffer.byteLength(key + value), 0)
  const packedPercent = Math.ceil((100 * (policyBytes + tagBytes)) / PACKED_BYTES)
  if (packedPercent > 100) {
    const message = `Packed policy consumes ${packedPercent}% of allotted space, please use smaller policy.`
    throw new AwsError(400, 'PackedPolicyTooLarge', message)
  }
  return { durationSeconds, packedPercent }
}

function required(parameters: QueryParameters, name: string, member: string): string {
  const value = parameters.get(name)
  if (value === undefined) throw validationError('null', member, 'Member must not be null')
  return value
}

/** The form of session names and source identities: 2 to 64 of `[\w+=,.@-]`. */
function named(value: string, member: string): string {
  lengthWithin(value, member, 2, 64)
  if (/^[\w+=,.@-]*$/.test(value)) return value
  throw validationError(value, member, 'Member must satisfy regular expression pattern: [\\w+=,.@-]*')
}

function duration(text: string | undefined): number {
  if (text === undefined) return 3600
  if (!/^\d{1,9}$/.test(text)) throw new AwsError(400, 'MalformedInput', 'DurationSeconds is not a number')
  const seconds = Number(text)
  const bound = 'Member must have value'
  if (seconds < 900) throw validationError(text, 'durationSeconds', `${bound} greater than or equal to 900`)
  if (seconds > 43_200) throw validationError(text, 'durationSeconds', `${bound} less than or equal to 43200`)
  return seconds
}

function readSourceIdentity(value: string | undefined, caller: Principal): string | undefined {
  if (value === undefined) return undefined
  named(value, 'sourceIdentity')
  if (value.toLowerCase().startsWith('aws:')) {
    throw validationError(value, 'sourceIdentity', 'Member must not start with aws:')
  }
  const set = caller.kind === 'session' ? caller.sourceIdentity : undefined
  if (set !== undefined && set !== value) {
    throw new AwsError(403, 'AccessDenied', 'The source identity cannot be changed once it is set.')
  }
  return value
}

function readTags(parameters: QueryParameters, caller: Principal) {
  const tags = readMembers(parameters, 'Tags').map(member => ({
    key: member.get('Key') ?? '',
    value: member.get('Value') ?? '',
  }))
  const transitiveTagKeys = readMembers(parameters, 'TransitiveTagKeys').map(member => member.get('') ?? '')
  if (tags.length > 50) {
    throw validationError('[...]', 'tags', 'Member must have length less than or equal to 50')
  }
  for (const [index, { key, value }] of tags.entries()) {
    lengthWithin(key, `tags.${index + 1}.member.key`, 1, 128)
    lengthWithin(value, `tags.${index + 1}.member.value`, 0, 256)
    if (!TAG_TEXT.test(key + value)) {
      throw validationError(key, `tags.${index + 1}.member`, `Member must match ${TAG_TEXT.source}`)
    }
  }
  const lower = tags.map(({ key }) => key.toLowerCase())
  if (new Set(lower).size !== lower.length) {
    throw invalid('Duplicate tag keys found. Please note that Tag keys are case insensitive.')
  }
  if (transitiveTagKeys.some(key => !lower.includes(key.toLowerCase()))) {
    throw invalid('The specified transitive tag key must be included in the requested tags.')
  }
  const inherited = caller.kind === 'session' ? caller.transitiveTagKeys : []
  if (inherited.some(key => lower.includes(key.toLowerCase()))) {
    throw invalid(
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
    )
  }
  return { tags, transitiveTagKeys }
}

const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u

function lengthWithin(value: string, member: string, least: number, most: number): void {
  const bound = 'Member must have length'
  if (value.length < least) throw validationError(value, member, `${bound} greater than or equal to ${least}`)
  if (value.length > most) throw validationError(value, member, `${bound} less than or equal to ${most}`)
}

function invalid(message: string): AwsError {
  return new AwsError(400, 'InvalidParameterValue', message)
}
