/** The stand-in's own record of every session it ever gave, and whether each is of any use now. */
import { identityPolicies, judge } from './authorize.ts'
import type { PolicyDocument } from './policy-document.ts'
import { principalArn, type Session, type Tag, type World } from './world.ts'

export type AwsCredential = {
  accessKeyId: string
  secretAccessKey: string
  sessionToken: string
  /** The session's own ARN: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`. */
  arn: string
  roleArn: string
  sessionName: string
  sourceIdentity: string | undefined
  tags: readonly Tag[]
  /** Access key id that asked for it: a user's, or a session's where roles were chained. */
  issuedTo: string
  /** Epoch ms. */
  issuedAt: number
  /** Epoch ms. */
  expiresAt: number
  /** Whether any call it was made for is still allowed now (GetCallerIdentity, which nothing can take away, not counted). */
  alive: boolean
}

export function credentials(world: World): AwsCredential[] {
  return [...world.sessions.values()].map(session => ({
    accessKeyId: session.accessKeyId,
    secretAccessKey: session.secretAccessKey,
    sessionToken: session.sessionToken,
    arn: principalArn(world, session),
    roleArn: session.role.arn,
    sessionName: session.sessionName,
    sourceIdentity: session.sourceIdentity,
    tags: session.tags,
    issuedTo: session.issuedTo,
    issuedAt: session.issuedAt,
    expiresAt: session.expiresAt,
    alive: isAlive(world, session),
  }))
}

/**
 * Tries the session on a finite sample of calls: every action and resource that an Allow of its role or its
 * session policy names, with wildcards filled in, and every action of this stand-in.
 */
function isAlive(world: World, session: Session): boolean {
  if (world.now() >= session.expiresAt) return false
  const documents = [...identityPolicies(world, session), ...(session.policy ? [session.policy] : [])]
  const allowed = documents.flatMap(allowStatements)
  const actions = new Set([...OWN_ACTIONS, ...allowed.flatMap(({ Action }) => Action ?? []).map(concrete)])
  const resources = new Set([
    ...ownResources(world),
    ...allowed.flatMap(({ Resource }) => Resource ?? []).map(concrete),
  ])
  return [...actions].some(action =>
    [...resources].some(resource => judge(world, session, { action, resource }).allowed),
  )
}

const OWN_ACTIONS = [
  's3:GetObject',
  's3:PutObject',
  's3:DeleteObject',
  's3:ListBucket',
  'ec2:DescribeRegions',
  'iam:GetRole',
  'iam:PutRolePolicy',
  'iam:GetRolePolicy',
  'iam:ListRolePolicies',
  'iam:DeleteRolePolicy',
  'sts:AssumeRole',
]

function ownResources(world: World): string[] {
  const objects = [...world.buckets].flatMap(([bucket, keys]) =>
    [...keys.keys()].map(key => `arn:aws:s3:::${bucket}/${key}`),
  )
  return ['*', ...[...world.roles.values()].map(({ arn }) => arn), ...objects]
}

function allowStatements(document: PolicyDocument) {
  return document.Statement.filter(({ Effect }) => Effect === 'Allow')
}

/** One thing that the pattern matches. */
function concrete(pattern: string): string {
  return pattern === '*' ? 'any:Thing' : pattern.replaceAll('*', 'anything').replaceAll('?', 'x')
}
