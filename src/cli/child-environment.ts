/** What a child of `mayfly exec` finds in its environment: its credentials, and nothing to get others with. */
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Minted } from './answers.ts'
import type { AskDetail } from './ask.ts'
import { EVIDENCE_VARIABLES } from './evidence.ts'
import { type Terminal, usageError } from './terminal.ts'

const OURS = ['MAYFLY_TASK_TOKEN_FILE', 'MAYFLY_OPERATOR_TOKEN_FILE'] as const
const AWS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const
/** Other ways to AWS credentials: some SDKs look at these first, and would not use what was asked for. */
const AWS_OTHERS = [
  ...['AWS_PROFILE', 'AWS_DEFAULT_PROFILE', 'AWS_SECURITY_TOKEN', 'AWS_CREDENTIAL_EXPIRATION'],
  ...['AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_ARN', 'AWS_ROLE_SESSION_NAME'],
  ...['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_CONTAINER_CREDENTIALS_FULL_URI'],
  ...['AWS_CONTAINER_AUTHORIZATION_TOKEN', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
]

type Kind = 'github' | 'aws' | 'other'

/**
 * Refuses asks whose credentials would be under one name, before any of them is minted.
 * @throws CommandError (usage)
 */
export function checkVariables(asks: readonly AskDetail[]): void {
  const taken = new Map<string, AskDetail>()
  for (const ask of asks) {
    const [name = ''] = namesOf(ask)
    if (taken.has(name))
      throw usageError(
        `two asks would both be ${name} in the command's environment.\n` +
          '  Put what is wanted into one ask, or run mayfly exec once for each.',
      )
    taken.set(name, ask)
  }
}

/** The variables an ask's credential comes in. */
export function namesOf(ask: AskDetail): string[] {
  switch (kindOf(ask)) {
    case 'github':
      return ['GH_TOKEN', 'GITHUB_TOKEN']
    case 'aws':
      return [...AWS]
    case 'other':
      // `payments.jwt` is not `payments-jwt`: the dot of a team's name is two.
      return [`MAYFLY_TOKEN_${ask.type.toUpperCase().replaceAll('-', '_').replaceAll('.', '__')}`]
  }
}

export function childEnvironment(
  { env }: Pick<Terminal, 'env'>,
  credentials: readonly { ask: AskDetail; minted: Minted }[],
): Record<string, string> {
  const hidden = new Set<string>([...EVIDENCE_VARIABLES, ...OURS])
  if (credentials.some(({ ask }) => kindOf(ask) === 'aws')) for (const name of AWS_OTHERS) hidden.add(name)
  const kept = Object.entries(env).filter(([name, value]) => value !== undefined && !hidden.has(name))
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    ...Object.assign({}, ...credentials.map(({ ask, minted }) => variables(ask, minted.secret))),
  }
}

/** By the members of the ask: an issuer's name is the operator's choice and says nothing. */
function kindOf(ask: AskDetail): Kind {
  if ('role' in ask && 'statements' in ask) return 'aws'
  return 'permissions' in ask && ('repositories' in ask || 'repository_ids' in ask) ? 'github' : 'other'
}

/** The one place where `exec` reveals a credential: into the child's environment. */
function variables(ask: AskDetail, secret: Secret): Record<string, string> {
  const text = secret.reveal()
  const values = kindOf(ask) === 'aws' ? awsValues(text) : namesOf(ask).map(() => text)
  return Object.fromEntries(namesOf(ask).map((name, index) => [name, values[index] ?? '']))
}

function awsValues(text: string): string[] {
  const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(text) as Record<string, string>
  return [AccessKeyId ?? '', SecretAccessKey ?? '', SessionToken ?? '']
}
