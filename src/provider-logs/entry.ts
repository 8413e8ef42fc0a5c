/** One thing that somebody did at a provider, in the provider's own account of it. */
export type ProviderLogEntry = {
  provider: 'github' | 'aws'
  /** Epoch ms. */
  at: number
  /** GitHub: `repo.create`. AWS: service and event, `iam:CreateUser`. */
  action: string
  /** A GitHub login, or the ARN that called. */
  actor?: string
  /**
   * SHA-256 of the credential that was used, hex, as a lease keeps it (`secret_sha256`). What the log holds
   * instead of a hash stands here as it is, so that it is known to belong to nothing.
   */
  tokenHash?: string
  /** How GitHub names the kind of credential: `GitHub App server-to-server token`. */
  via?: string
  /** The name of the role session that called: the lease, for one of this broker's. */
  session?: string
  /** The source identity of that session: the lease, also where the session was used to assume another role. */
  sourceIdentity?: string
  /** ARN of the role whose session called. */
  role?: string
  /** Where: a repository, an organisation, an account. */
  resource?: string
  /** What was made that may give access, or go on existing, after the credential is dead. */
  created?: Created
  /** The provider refused it: it had no effect. Its code. */
  refused?: string
}

export type Created = { kind: string; name: string }

/** A JSON object out of a log: anything may be in it. */
export type LogRecord = Readonly<Record<string, unknown>>

/** The log, or one entry of it, is not what it should be. Says where, and never what stands there. */
export class ProviderLogError extends Error {
  override name = 'ProviderLogError'
}
