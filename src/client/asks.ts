/** What a task may ask for: plain `{ type, ... }` as RFC 9396 has it, or written by one of these builders. */
import { MayflyError } from './mayfly-error.ts'

/** Not sent: what the credential of an ask is made of. */
export const FORM: unique symbol = Symbol('the form of its credential')

/**
 * One entry of `authorization_details`: `type` is the issuer's configured name, the rest is judged by that
 * issuer. What its credential is made of is known only where a builder wrote it.
 */
export type Ask = { readonly type: string; readonly [member: string]: unknown; readonly [FORM]?: Form }
export type TokenAsk = Ask & { readonly [FORM]: 'token' }
export type AwsAsk = Ask & { readonly [FORM]: 'aws' }
export type Form = 'token' | 'aws'

/** As the AWS SDKs take it in `credential_process`; `Expiration` is RFC 3339. */
export type AwsSession = {
  AccessKeyId: string
  SecretAccessKey: string
  SessionToken: string
  Expiration: string
}

/** What `reveal()` of an ask's credential returns. */
export type CredentialValue<A extends Ask = Ask> = A extends { readonly [FORM]: 'token' }
  ? string
  : A extends { readonly [FORM]: 'aws' }
    ? AwsSession
    : string | Readonly<Record<string, unknown>>

type GithubMembers = {
  /** The issuer's configured name; `github` unless told. */
  issuer?: string
  /** `owner/name`. */
  repositories?: readonly string[]
  repository_ids?: readonly number[]
  /** `{ contents: 'write', issues: 'read' }`; GitHub's own names. */
  permissions: Readonly<Record<string, 'read' | 'write' | 'admin'>>
}

/** An installation token of a GitHub App, for these repositories and permissions. */
export function github({ issuer = 'github', ...members }: GithubMembers): TokenAsk {
  return { type: issuer, ...members, [FORM]: 'token' }
}

type JwtMembers = {
  /** The issuer's configured name; `jwt` unless told. */
  issuer?: string
  audience: string
  scopes?: readonly string[]
}

/** A JWT (RFC 9068) for a resource server that knows the broker. */
export function jwt({ issuer = 'jwt', ...members }: JwtMembers): TokenAsk {
  return { type: issuer, ...members, [FORM]: 'token' }
}

type AwsMembers = {
  /** The issuer's configured name; `aws` unless told. */
  issuer?: string
  /** ARN of the role. */
  role: string
  statements: readonly { actions: readonly string[]; resources: readonly string[] }[]
  allow_role_chaining?: boolean
  allow_iam_writes?: boolean
}

/** A session of a role, narrowed to these statements. */
export function aws({ issuer = 'aws', ...members }: AwsMembers): AwsAsk {
  return { type: issuer, ...members, [FORM]: 'aws' }
}

const AWS_PARTS = ['AccessKeyId', 'SecretAccessKey', 'SessionToken']

/** What came, if it is what the ask's builder promises. @throws MayflyError `answer_unexpected` */
export function demandForm<A extends Ask>(ask: A, credential: unknown): CredentialValue<A> {
  if (fits(ask[FORM], credential)) return credential as CredentialValue<A>
  throw new MayflyError(
    `the issuer ${JSON.stringify(ask.type)} mints credentials of another form than the builder of this ask ` +
      "promises: write the ask as plain { type, ... }, or with the issuer's own builder",
    { code: 'answer_unexpected' },
  )
}

function fits(form: Form | undefined, credential: unknown): boolean {
  const parts = (typeof credential === 'object' && credential !== null ? credential : {}) as Record<
    string,
    unknown
  >
  switch (form) {
    case undefined:
      return typeof credential === 'string' || typeof credential === 'object'
    case 'token':
      return typeof credential === 'string'
    case 'aws':
      return AWS_PARTS.every(part => typeof parts[part] === 'string')
  }
}
