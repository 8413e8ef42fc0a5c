/** From the inputs of the step to entries of `authorization_details` (RFC 9396). */
import { parse, YAMLError } from 'yaml'
import { type Ask, aws, github, jwt } from '../../src/client/index.ts'
import { kindOf as kindByMembers } from '../../src/sidecar/ask-kind.ts'
import { awsStatements } from './aws-statements.ts'
import { given, type Inputs, list, quoted } from './input-text.ts'
import { StepError } from './job.ts'
import { ACTION_LIMITS } from './limits.ts'

/** `kind`: which output its credential is; `other` is a member of `credentials`, by the issuer's name. */
export type WantedAsk = { kind: 'token' | 'aws' | 'jwt' | 'other'; ask: Ask }

/** At least one. @throws StepError */
export function readAsks(job: Inputs): WantedAsk[] {
  const all = [...githubAsk(job), ...awsAsk(job), ...jwtAsk(job), ...plainAsks(job)]
  if (all.length === 0)
    throw new StepError(
      'the step asks for nothing. Expected permission-<name> (for GitHub), aws-role, jwt-audience or asks',
    )
  if (all.length > ACTION_LIMITS.asks) throw new StepError(`at most ${ACTION_LIMITS.asks} asks can be made`)
  const taken = new Set<string>()
  for (const { kind, ask } of all) {
    const name = kind === 'other' ? `credentials.${ask.type}` : kind
    if (taken.has(name))
      throw new StepError(
        `two asks would both be the output ${quoted(name)}.\n` +
          '  Put what is wanted into one ask, or use the action once for each.',
      )
    taken.add(name)
  }
  return all
}

function githubAsk(job: Inputs): WantedAsk[] {
  const permissions = permissionsOf(job)
  const isNamed = given(job, 'repositories') !== undefined || given(job, 'owner') !== undefined
  if (Object.keys(permissions).length === 0) {
    if (!isNamed) return []
    throw new StepError(
      'no permission-<name> is given, and none does not mean all: say what is needed, like\n' +
        '  permission-contents: read',
    )
  }
  const issuer = given(job, 'github-issuer') ?? 'github'
  return [{ kind: 'token', ask: github({ issuer, repositories: repositoriesOf(job), permissions }) }]
}

const LEVELS: readonly string[] = ['read', 'write', 'admin']

/** `permission-pull-requests: write` is `pull_requests: write`, also one that is newer than this action. */
function permissionsOf({ env }: Inputs): Record<string, 'read' | 'write' | 'admin'> {
  const prefix = 'INPUT_PERMISSION-'
  const named = Object.entries(env).flatMap(([name, value = '']) => {
    if (!name.toUpperCase().startsWith(prefix) || value.trim() === '') return []
    const permission = name.slice(prefix.length).toLowerCase()
    const level = value.trim()
    if (LEVELS.includes(level)) return [[permission.replaceAll('-', '_'), level as 'read'] as const]
    throw new StepError(`permission-${permission}: ${quoted(level)} is not read, write or admin`)
  })
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** None given is the job's own repository. */
function repositoriesOf(job: Inputs): string[] {
  const owner = given(job, 'owner')
  const names = list(job.input('repositories'))
  const own = job.env.GITHUB_REPOSITORY ?? ''
  if (names.length === 0) {
    if (owner !== undefined && owner.toLowerCase() !== own.split('/')[0]?.toLowerCase())
      throw new StepError(
        `owner without repositories would be every repository of ${quoted(owner)}, which is never given: name them`,
      )
    if (own === '') throw new StepError('repositories: none is named, and GITHUB_REPOSITORY is not set')
    return [own]
  }
  return names.map(name => {
    const [first = '', second] = name.split('/')
    if (second === undefined) return `${owner ?? own.split('/')[0]}/${first}`
    if (owner === undefined || owner.toLowerCase() === first.toLowerCase()) return name
    throw new StepError(`repositories: ${quoted(name)} is not of the owner ${quoted(owner)}`)
  })
}

function awsAsk(job: Inputs): WantedAsk[] {
  const [role, other] = [given(job, 'aws-role'), given(job, 'role-to-assume')]
  const statements = awsStatements({
    actions: list(job.input('aws-actions')),
    resources: list(job.input('aws-resources')),
    policy: given(job, 'inline-session-policy'),
  })
  if (role !== undefined && other !== undefined)
    throw new StepError('aws-role and role-to-assume are two names of one input: give one of them')
  const arn = role ?? other
  if (arn === undefined) {
    if (statements.length === 0) return []
    throw new StepError('aws-role is missing: the ARN of the role that is narrowed to these statements')
  }
  if (statements.length === 0)
    throw new StepError(
      'what the session is for is missing: a role is never given whole. Expected\n' +
        '  aws-actions and aws-resources, like s3:GetObject and arn:aws:s3:::bucket/*, or inline-session-policy',
    )
  const issuer = given(job, 'aws-issuer') ?? 'aws'
  return [{ kind: 'aws', ask: aws({ issuer, role: arn, statements }) }]
}

function jwtAsk(job: Inputs): WantedAsk[] {
  const [audience, scopes] = [given(job, 'jwt-audience'), list(job.input('jwt-scopes'))]
  if (audience === undefined) {
    if (scopes.length === 0) return []
    throw new StepError('jwt-audience is missing: the resource server that jwt-scopes are of')
  }
  const issuer = given(job, 'jwt-issuer') ?? 'jwt'
  return [{ kind: 'jwt', ask: jwt({ issuer, audience, ...(scopes.length > 0 && { scopes }) }) }]
}

/** `asks`: one entry or a list of them, as JSON or YAML. */
function plainAsks(job: Inputs): WantedAsk[] {
  const text = given(job, 'asks')
  if (text === undefined) return []
  const value = parsed(text)
  return (Array.isArray(value) ? value : [value]).map((one: unknown, index) => {
    if (isRecord(one) && typeof one.type === 'string')
      return { kind: kindOf({ ...one, type: one.type }, job), ask: { ...one, type: one.type } }
    throw new StepError(`asks: entry ${index + 1} is not an object with a type (the issuer's name)`)
  })
}

/** By its members, since an issuer's name is the operator's choice; a JWT is known by its issuer alone. */
function kindOf(ask: Ask, job: Inputs): WantedAsk['kind'] {
  const kind = kindByMembers(ask)
  if (kind !== 'other') return kind === 'github' ? 'token' : kind
  return ask.type === (given(job, 'jwt-issuer') ?? 'jwt') ? 'jwt' : 'other'
}

/** What a parser says of it quotes it: only the place is told. */
function parsed(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 0 })
  } catch (error) {
    const place = error instanceof YAMLError ? error.linePos?.[0] : undefined
    throw new StepError(
      `asks is neither JSON nor YAML${place === undefined ? '' : ` (line ${place.line}, column ${place.col})`}`,
    )
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
