/** `AssumeRoleWithWebIdentity`, held to the bounds that AWS has (STS API Reference, 2011-06-15). */
import type { AwsStatement } from '../../issuers/shared/aws-ask.ts'
import type { Parameters } from './sts-parameters.ts'
import { validationError } from './sts-refusal.ts'
import { sessionStatements } from './sts-session-policy.ts'

export type AssumeRole = {
  role: string
  sessionName: string
  /** The JWT, as it came. */
  token: string
  /** What the session policy allows; absent: what the agent may have of the role. */
  statements?: AwsStatement[]
  minutes: number
}

const KNOWN: ReadonlySet<string> = new Set([
  'Action',
  'Version',
  'RoleArn',
  'RoleSessionName',
  'WebIdentityToken',
  'DurationSeconds',
  'Policy',
])
/** Where the caller does not say: AWS's own default, an hour. */
const DEFAULT_SECONDS = 3_600
const SHORTEST_SECONDS = 900
const LONGEST_SECONDS = 43_200
const MAX_POLICY_CHARACTERS = 2_048

/** @throws StsRefusal */
export function readAssumeRole(parameters: Parameters): AssumeRole {
  refuseUnsupported(parameters)
  const role = demand(parameters, 'RoleArn', /^arn:aws(?:-[a-z]+)*:iam::\d{12}:role\/[\w+=,.@/-]{1,576}$/)
  const sessionName = demand(parameters, 'RoleSessionName', /^[\w+=,.@-]{2,64}$/)
  // An empty one is evidence that is not accepted, answered like any other of that kind.
  const token = parameters.get('WebIdentityToken')
  if (token === undefined) throw validationError('the parameter WebIdentityToken is missing')
  const policy = parameters.get('Policy')
  if (policy !== undefined && policy.length > MAX_POLICY_CHARACTERS)
    throw validationError(`Policy may have ${MAX_POLICY_CHARACTERS} characters, and has ${policy.length}`)
  return {
    ...{ role, sessionName, token },
    ...(policy === undefined || policy === '' ? {} : { statements: sessionStatements(policy) }),
    minutes: Math.ceil(readSeconds(parameters) / 60),
  }
}

function refuseUnsupported(parameters: Parameters): void {
  for (const [name, value] of parameters) {
    if (KNOWN.has(name)) continue
    if (name === 'ProviderId')
      throw validationError('ProviderId is for access tokens of OAuth 2.0: only ID tokens are taken here')
    if (name === 'PolicyArns' && value === '') continue
    if (name.startsWith('PolicyArns'))
      throw validationError('PolicyArns is not supported: say what the session may do in Policy')
    throw validationError(`the parameter ${name.slice(0, 40)} is not supported`)
  }
}

function demand(parameters: Parameters, name: string, form: RegExp): string {
  const value = parameters.get(name)
  if (value === undefined || value === '') throw validationError(`the parameter ${name} is missing`)
  if (!form.test(value))
    throw validationError(`the parameter ${name} is not of the expected form ${form.source}`)
  return value
}

function readSeconds(parameters: Parameters): number {
  const text = parameters.get('DurationSeconds')
  if (text === undefined || text === '') return DEFAULT_SECONDS
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (seconds >= SHORTEST_SECONDS && seconds <= LONGEST_SECONDS) return seconds
  throw validationError(
    `DurationSeconds must be a whole number from ${SHORTEST_SECONDS} to ${LONGEST_SECONDS}`,
  )
}
