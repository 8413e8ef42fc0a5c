/**
 * A GitHub to test against: App JWTs, installation tokens, repository paths, Actions jobs; it enforces what the
 * real one enforces and keeps the truth of every installation token it ever gave. Clock and randomness are the
 * caller's. What is enforced is told row by row in github.test.ts.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { FaultHook } from '../faults.ts'
import { standingKey } from '../standing-key.ts'
import { isAlive } from './access-tokens.ts'
import { baseOf } from './collaborators-api.ts'
import { handle, type Pipeline } from './pipeline.ts'
import { createRateLimit, type Limits } from './rate-limit.ts'
import { ownerIdOf } from './render.ts'
import { createSchemaJudge } from './schema-judge.ts'
import { listen } from './server.ts'
import {
  createState,
  type GithubState,
  type JobConclusion,
  type JobStatus,
  type Level,
  type Permissions,
  reachOfToken,
  repositoryKey,
  withMetadata,
} from './state.ts'
import { type Delivery, delivery, type Subject } from './webhooks.ts'

export type GithubOptions = {
  /** Epoch milliseconds. */
  now: () => number
  random: (bytes: number) => Uint8Array
  faults?: FaultHook
  /** What differs from GitHub's own limits. */
  limits?: Partial<Limits>
  latencyMs?: number
  /** Waits for `latencyMs`; a real timer by default. */
  sleep?: (ms: number) => Promise<void>
}

export type GithubCredential = {
  /** Lower-case hex of SHA-256 over the token. */
  sha256: string
  installationId: number
  /** What it reaches now. */
  repositoryIds: readonly number[]
  permissions: Permissions
  /** The `user-agent` of the request that minted it. */
  userAgent: string
  /** Epoch ms, as are the next two. */
  mintedAt: number
  expiresAt: number
  revokedAt?: number
  /** Whether the next call with it would be let in. */
  alive: boolean
}

export type Github = {
  /** Without a socket. @throws ConnectionDropped where the fault hook says `drop` */
  handle(request: Request): Promise<Response>
  /** Replaceable at run time, as are the next two. */
  faults: FaultHook
  latencyMs: number
  limits: Partial<Limits>
  addApp(app: { appId: number; clientId: string; slug: string; publicKeyPem: string }): void
  addRepository(repository: {
    id: number
    owner: string
    name: string
    /** Default true. */
    private?: boolean
    /** Path to text, on `main` and on every other branch. */
    files?: Readonly<Record<string, string>>
    /** Beside `main`. */
    branches?: readonly string[]
  }): void
  /** The old name leads on to the new one until another repository takes it. */
  renameRepository(id: number, name: string): void
  /** `role`: read, triage, write, maintain, admin, or the name of a custom role with its base `permission`. */
  setCollaborator(
    repository: number,
    collaborator: { login: string; id?: number; role: string; permission?: Level },
  ): void
  /** The account stays. */
  removeCollaborator(repository: number, login: string): void
  removeRepository(id: number): void
  addInstallation(installation: {
    id: number
    appId: number
    account: string
    accountId?: number
    accountType?: 'Organization' | 'User'
    repositories: 'all' | readonly number[]
    permissions: Permissions
  }): void
  /** What the account's owner later allows: tokens already given follow. */
  changeInstallation(
    id: number,
    to: { repositories?: 'all' | readonly number[]; permissions?: Permissions },
  ): void
  suspendInstallation(id: number): void
  unsuspendInstallation(id: number): void
  removeInstallation(id: number): void
  addWorkflowRun(run: {
    id: number
    repositoryId: number
    name?: string
    headBranch?: string
    headSha?: string
  }): void
  /** The id is the check run's too. Default: attempt 1, in progress. */
  addJob(job: { id: number; runId: number; runAttempt?: number; name?: string; status?: JobStatus }): void
  /** A conclusion completes the job. */
  setJob(id: number, to: { status: JobStatus } | { conclusion: JobConclusion }): void
  /** The end of one attempt, the first one where it is not said. */
  endRun(id: number, to: { conclusion: JobConclusion; attempt?: number }): void
  /** Secret scanning found this. @returns the number of the alert in its repository */
  addSecretAlert(alert: {
    repository: number
    secret: string
    type?: string
    publiclyLeaked?: boolean
  }): number
  /** What GitHub would send of a job, run or alert as it is now. Nothing is sent by itself. */
  delivery(of: Subject, secret: string, origin: string): Delivery
  /** The truth: every installation token ever given, in the order of minting. */
  credentials(): readonly GithubCredential[]
}

export function createGithub(options: GithubOptions): Github {
  const state = createState(options.now, options.random)
  const knobs = {
    faults: options.faults ?? (() => 'ok' as const),
    latencyMs: options.latencyMs ?? 0,
    limits: options.limits ?? {},
  }
  const pipeline: Pipeline = {
    state,
    judge: createSchemaJudge(),
    rateLimit: createRateLimit(options.now),
    sleep: options.sleep ?? (ms => setTimeout(ms)),
    knobs,
  }
  return Object.assign(knobs, {
    handle: (request: Request) => handle(pipeline, request),
    credentials: () => credentials(state),
    delivery: (of: Subject, secret: string, origin: string) => delivery(state, of, secret, origin),
    ...accountControls(state),
    ...actionsControls(state),
  })
}

/** @param options.port 0, the default, for any free one */
export async function startGithub(
  options: GithubOptions & { port?: number },
): Promise<Github & { url: string; close(): Promise<void> }> {
  const github = createGithub(options)
  return Object.assign(github, await listen(github.handle, options.port ?? 0))
}

export type AppKey = { privateKeyPem: string; publicKeyPem: string }

/** A key pair for an App. The private key is PKCS#1, as GitHub hands it out. */
export function generateAppKey(): AppKey {
  return inPem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)
}

/** The same at every call, where it need not be fresh. */
export function standingAppKey(): AppKey {
  return inPem(standingKey('github-app'))
}

function inPem(privateKey: KeyObject): AppKey {
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
    publicKeyPem: createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString(),
  }
}

function accountControls(state: GithubState) {
  return {
    addApp: ({ publicKeyPem, ...app }) => {
      state.apps.set(app.appId, { ...app, publicKey: createPublicKey(publicKeyPem) })
    },
    addRepository: ({ id, owner, name, files = {}, branches = [], private: isPrivate = true }) => {
      const content = Object.entries(files).map(([path, text]) => [path, Buffer.from(text)] as const)
      state.formerNames.delete(repositoryKey(owner, name))
      state.repositories.set(id, {
        id,
        owner,
        ownerId: ownerIdOf(owner),
        name,
        private: isPrivate,
        createdAt: state.now(),
        branches: new Map(['main', ...branches].map(branch => [branch, new Map(content)])),
        issues: [],
        pulls: [],
        collaborators: new Map(),
        secretAlerts: new Map(),
      })
    },
    renameRepository: (id, name) => {
      const repository = state.repositories.get(id)!
      state.formerNames.set(repositoryKey(repository.owner, repository.name), id)
      repository.name = name
      state.formerNames.delete(repositoryKey(repository.owner, name))
    },
    addSecretAlert: ({ repository, secret, type = 'mayfly_token', publiclyLeaked = false }) => {
      const { secretAlerts } = state.repositories.get(repository)!
      const number = secretAlerts.size + 1
      secretAlerts.set(number, { number, at: state.now(), type, secret, publiclyLeaked })
      return number
    },
    setCollaborator: (repository, { login, id, role, permission = baseOf(role) }) => {
      const user = state.users.get(login.toLowerCase()) ?? { login, id: id ?? ownerIdOf(login) }
      state.users.set(login.toLowerCase(), user)
      const { collaborators } = state.repositories.get(repository)!
      collaborators.set(login.toLowerCase(), { ...user, role, permission })
    },
    removeCollaborator: (repository, login) => {
      state.repositories.get(repository)!.collaborators.delete(login.toLowerCase())
    },
    removeRepository: id => {
      state.repositories.delete(id)
    },
    addInstallation: ({ accountId, accountType = 'Organization', permissions, ...installation }) => {
      state.installations.set(installation.id, {
        ...installation,
        accountId: accountId ?? ownerIdOf(installation.account),
        accountType,
        permissions: withMetadata(permissions),
        createdAt: state.now(),
      })
    },
    changeInstallation: (id, { repositories, permissions }) => {
      const installation = state.installations.get(id)!
      if (repositories !== undefined) installation.repositories = repositories
      if (permissions !== undefined) installation.permissions = withMetadata(permissions)
    },
    suspendInstallation: id => {
      state.installations.get(id)!.suspendedAt ??= state.now()
    },
    unsuspendInstallation: id => {
      delete state.installations.get(id)!.suspendedAt
    },
    removeInstallation: id => {
      state.installations.delete(id)
    },
  } satisfies Partial<Github>
}

function actionsControls(state: GithubState) {
  return {
    addWorkflowRun: ({ name = 'CI', headBranch = 'main', headSha = '0'.repeat(40), ...run }) => {
      state.runs.set(run.id, { ...run, name, headBranch, headSha, conclusions: new Map() })
    },
    addJob: ({ runAttempt = 1, name = 'build', status = 'in_progress', ...job }) => {
      const startedAt = state.now()
      state.jobs.set(job.id, {
        ...job,
        runAttempt,
        name,
        status,
        conclusion: null,
        startedAt,
        completedAt: null,
      })
    },
    endRun: (id, { conclusion, attempt = 1 }) => {
      state.runs.get(id)!.conclusions.set(attempt, conclusion)
    },
    setJob: (id, to) => {
      const job = state.jobs.get(id)!
      const done = 'conclusion' in to
      state.jobs.set(id, {
        ...job,
        status: done ? 'completed' : to.status,
        conclusion: done ? to.conclusion : null,
        completedAt: done ? state.now() : null,
      })
    },
  } satisfies Partial<Github>
}

function credentials(state: GithubState): GithubCredential[] {
  return Array.from(state.tokens.values(), token => {
    const { repositories: _selection, ...facts } = token
    return {
      ...facts,
      repositoryIds: reachOfToken(state, token).map(({ id }) => id),
      alive: isAlive(state, token),
    }
  })
}
