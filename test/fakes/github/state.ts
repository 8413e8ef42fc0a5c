/**
 * What the stand-in knows: apps, installations, repositories, workflow jobs, and every installation token it
 * ever gave. Plain data; who may see what is asked in access.ts.
 */
import { createHash, type KeyObject } from 'node:crypto'

export type AppRecord = { appId: number; clientId: string; slug: string; publicKey: KeyObject }

export type Level = 'read' | 'write' | 'admin'
export type Permissions = Readonly<Record<string, string>>

export type InstallationRecord = {
  id: number
  appId: number
  account: string
  accountId: number
  accountType: 'Organization' | 'User'
  repositories: 'all' | readonly number[]
  permissions: Permissions
  createdAt: number
  suspendedAt?: number
}

export type RepositoryRecord = {
  id: number
  owner: string
  ownerId: number
  name: string
  private: boolean
  createdAt: number
  /** Branch name to path to bytes. */
  branches: Map<string, Map<string, Buffer>>
  issues: IssueRecord[]
  pulls: PullRecord[]
  /** By login in lower case. Everybody else has what visibility gives. */
  collaborators: Map<string, CollaboratorRecord>
  /** By number. */
  secretAlerts: Map<number, SecretAlertRecord>
}

export type SecretAlertRecord = {
  number: number
  at: number
  /** `github_app_installation_access_token`, or the name of a custom pattern. */
  type: string
  secret: string
  publiclyLeaked: boolean
}

/** `role`: one of GitHub's five, or the name of a custom one; `permission`: what it comes to (`role_name`, `permission`). */
export type CollaboratorRecord = { login: string; id: number; role: string; permission: Level }

export type IssueRecord = {
  id: number
  number: number
  title: string
  body: string | null
  author: string
  at: number
}
export type PullRecord = IssueRecord & { head: string; base: string; draft: boolean }

export type JobStatus = 'queued' | 'in_progress' | 'completed' | 'waiting' | 'requested' | 'pending'
export type JobConclusion =
  | 'success'
  | 'failure'
  | 'neutral'
  | 'cancelled'
  | 'skipped'
  | 'timed_out'
  | 'action_required'

export type RunRecord = {
  id: number
  repositoryId: number
  name: string
  headBranch: string
  headSha: string
  /** By attempt; a run without one goes on. */
  conclusions: Map<number, JobConclusion>
}
export type JobRecord = {
  /** Also the id of the check run (the `check_run_id` claim of the job's OIDC token). */
  id: number
  runId: number
  runAttempt: number
  name: string
  status: JobStatus
  conclusion: JobConclusion | null
  startedAt: number
  completedAt: number | null
}

export type TokenRecord = {
  /** Lower-case hex of SHA-256 over the token; the token itself is not kept. */
  sha256: string
  installationId: number
  /** `all` follows the installation's own selection. */
  repositories: 'all' | readonly number[]
  permissions: Permissions
  userAgent: string
  mintedAt: number
  expiresAt: number
  revokedAt?: number
}

export type GithubState = {
  readonly now: () => number
  readonly random: (bytes: number) => Uint8Array
  readonly apps: Map<number, AppRecord>
  readonly installations: Map<number, InstallationRecord>
  readonly repositories: Map<number, RepositoryRecord>
  /** Lower-case `owner/name` of before a rename, to the repository's id. */
  readonly formerNames: Map<string, number>
  /** Whoever has an account, by login in lower case. */
  readonly users: Map<string, { login: string; id: number }>
  readonly runs: Map<number, RunRecord>
  readonly jobs: Map<number, JobRecord>
  /** By SHA-256. In the order of minting. */
  readonly tokens: Map<string, TokenRecord>
  lastIssueId: number
}

export function createState(now: () => number, random: (bytes: number) => Uint8Array): GithubState {
  return {
    now,
    random,
    apps: new Map(),
    installations: new Map(),
    repositories: new Map(),
    formerNames: new Map(),
    users: new Map(),
    runs: new Map(),
    jobs: new Map(),
    tokens: new Map(),
    lastIssueId: 0,
  }
}

/** Names are case-insensitive at GitHub. */
export function repositoryKey(owner: string, name: string): string {
  return `${owner}/${name}`.toLowerCase()
}

export function repositoryNamed(
  state: GithubState,
  owner: string,
  name: string,
): RepositoryRecord | undefined {
  const key = repositoryKey(owner, name)
  return [...state.repositories.values()].find(
    repository => repositoryKey(repository.owner, repository.name) === key,
  )
}

/** The repositories the installation reaches now: its selection, of its own account, that still exist. */
export function reachOfInstallation(
  state: GithubState,
  installation: InstallationRecord,
): RepositoryRecord[] {
  const account = installation.account.toLowerCase()
  return [...state.repositories.values()].filter(
    repository =>
      repository.owner.toLowerCase() === account &&
      (installation.repositories === 'all' || installation.repositories.includes(repository.id)),
  )
}

/** The repositories the token reaches now: never more than its installation does. */
export function reachOfToken(state: GithubState, token: TokenRecord): RepositoryRecord[] {
  const installation = state.installations.get(token.installationId)
  if (installation === undefined) return []
  const reach = reachOfInstallation(state, installation)
  const { repositories } = token
  return repositories === 'all' ? reach : reach.filter(({ id }) => repositories.includes(id))
}

const levels: readonly string[] = ['read', 'write', 'admin']

/** Whether `held` is `wanted` or higher. An absent or unknown level holds nothing. */
export function holds(held: string | undefined, wanted: string): boolean {
  return held !== undefined && levels.includes(wanted) && levels.indexOf(held) >= levels.indexOf(wanted)
}

/** `metadata: read` comes with every permission on a repository, asked for or not. */
export function withMetadata(permissions: Permissions): Permissions {
  const ofAccount =
    /^(organization_|enterprise_|members$|profile$|followers$|starring$|.*_keys$|email_addresses$)/
  const ofRepository = Object.keys(permissions).some(name => !ofAccount.test(name))
  return ofRepository && permissions.metadata === undefined
    ? { ...permissions, metadata: 'read' }
    : permissions
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
