/** What a child of `mayfly exec` finds in its environment: its credentials, and nothing to get others with. */
import { devNull } from 'node:os'
import type { Credential } from '../client/credential.ts'
import { type AskKind, kindOf } from '../sidecar/ask-kind.ts'
import { awsPartsOf } from '../sidecar/aws-parts.ts'
import { OTHER_AWS_VARIABLES, tokenVariable, WITHHELD_VARIABLES } from '../sidecar/variables.ts'
import type { AskDetail } from './ask.ts'
import { gitEnvironment } from './git-environment.ts'
import { CommandError, type Terminal, usageError } from './terminal.ts'

/**
 * `variables`: every credential as it is. `handles`: none, but what is needed to ask for them. `auto`: handles for
 * AWS and git, whose clients ask again, and variables for what reads nothing else (gh, JWTs).
 */
export const ENV_STYLES = ['auto', 'handles', 'variables'] as const
export type EnvStyle = (typeof ENV_STYLES)[number]

/** `handle`: of the ask; `provider`: the host of its web pages. */
export type Given = { ask: AskDetail; handle: string; provider: string | undefined; credential: Credential }

/** As much of it as an environment is made of. */
export type GivenSecret = Omit<Given, 'credential'> & { credential: Pick<Credential, 'reveal'> }

/** Where handles are good; undefined where none are given. */
export type Place = {
  variables: Record<string, string>
  /** For AWS SDKs: the URL that a handle is put behind, and the token or the file that holds it. */
  aws: { url: string; token: string; tokenFile: string | undefined } | undefined
}

const GITHUB = ['GH_TOKEN', 'GITHUB_TOKEN'] as const
const AWS = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const
/** Without keys in the environment the SDKs would look into these files, and at the machine, first or after all. */
const AWS_ELSEWHERE = {
  AWS_SHARED_CREDENTIALS_FILE: devNull,
  AWS_CONFIG_FILE: devNull,
  AWS_EC2_METADATA_DISABLED: 'true',
}

/** Whether a credential of this kind is put into the environment as it is. */
function isVariable(kind: AskKind, style: EnvStyle): boolean {
  return style === 'variables' || (style === 'auto' && kind !== 'aws')
}

/**
 * Refuses asks that would be under one name, before any of their credentials is minted.
 * @throws CommandError (usage)
 */
export function checkVariables(asks: readonly AskDetail[], style: EnvStyle): void {
  const taken = new Set<string>()
  for (const ask of asks) {
    const name = nameOf(ask, style)
    if (name !== undefined && taken.has(name))
      throw usageError(
        `two asks would both be ${name} in the command's environment.\n` +
          '  Put what is wanted into one ask, or run mayfly exec once for each.',
      )
    if (name !== undefined) taken.add(name)
  }
}

/** The one that stands for its ask; undefined where nothing in the environment is of that ask alone. */
function nameOf(ask: AskDetail, style: EnvStyle): string | undefined {
  if (isVariable(kindOf(ask), style)) return namesOf(ask)[0]
  return kindOf(ask) === 'aws' ? 'AWS_CONTAINER_CREDENTIALS_FULL_URI' : undefined
}

/** The variables an ask's credential comes in. */
export function namesOf(ask: AskDetail): string[] {
  switch (kindOf(ask)) {
    case 'github':
      return [...GITHUB]
    case 'aws':
      return [...AWS]
    case 'other':
      return [tokenVariable(ask.type)]
  }
}

export function childEnvironment(
  terminal: Pick<Terminal, 'env' | 'self'>,
  given: readonly GivenSecret[],
  style: EnvStyle,
  place: Place | undefined,
): Record<string, string> {
  const of = (kind: AskKind) => given.filter(({ ask }) => kindOf(ask) === kind)
  const [aws] = of('aws')
  const hidden = new Set<string>(WITHHELD_VARIABLES)
  if (aws !== undefined) for (const name of [...AWS, ...OTHER_AWS_VARIABLES]) hidden.add(name)
  if (of('github').length > 0) for (const name of GITHUB) hidden.add(name)
  const kept = Object.entries(terminal.env).filter(
    ([name, value]) => value !== undefined && !hidden.has(name),
  )
  const providers = of('github').flatMap(({ provider }) => provider ?? [])
  return {
    ...(Object.fromEntries(kept) as Record<string, string>),
    ...Object.assign({}, ...given.filter(({ ask }) => isVariable(kindOf(ask), style)).map(variables)),
    ...place?.variables,
    ...(place !== undefined && providers.length > 0 && gitEnvironment(terminal, providers)),
    ...(place?.aws !== undefined && aws !== undefined && awsHandle(place.aws, aws.handle)),
  }
}

export function awsHandle(aws: NonNullable<Place['aws']>, handle: string): Record<string, string> {
  return {
    ...AWS_ELSEWHERE,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: aws.url + handle,
    ...(aws.tokenFile === undefined
      ? { AWS_CONTAINER_AUTHORIZATION_TOKEN: aws.token }
      : { AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: aws.tokenFile }),
  }
}

/** The one place where `exec` reveals a credential: into the child's environment. */
function variables({ ask, credential }: GivenSecret): Record<string, string> {
  const value = credential.reveal()
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const values = kindOf(ask) === 'aws' ? awsValues(value) : namesOf(ask).map(() => text)
  return Object.fromEntries(namesOf(ask).map((name, index) => [name, values[index] ?? '']))
}

function awsValues(value: unknown): string[] {
  const parts = awsPartsOf(value)
  if (parts === undefined)
    throw new CommandError('the credential for AWS is no session: is the issuer one of AWS?')
  const { AccessKeyId, SecretAccessKey, SessionToken } = parts
  return [AccessKeyId, SecretAccessKey, SessionToken]
}
