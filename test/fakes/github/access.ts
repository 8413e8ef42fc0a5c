/** Who is calling, and what they may touch: judged anew at every call. */
import { findToken } from './access-tokens.ts'
import { badCredentials, GithubRefusal, notFound, requiresAuthentication } from './answer.ts'
import { verifyAppJwt } from './app-jwt.ts'
import type { Call, Caller } from './handler.ts'
import type { Bucket } from './rate-limit.ts'
import {
  type AppRecord,
  type GithubState,
  holds,
  type Level,
  type RepositoryRecord,
  reachOfToken,
  repositoryKey,
  repositoryNamed,
  type TokenRecord,
} from './state.ts'

/** @throws GithubRefusal 401, or 403 for a suspended installation's token */
export function identify(state: GithubState, authorization: string | null): Caller {
  if (authorization === null) return { kind: 'anonymous' }
  const credential = /^(?:bearer|token)\s+(\S+)$/i.exec(authorization)?.[1]
  if (credential === undefined) throw badCredentials()
  if (credential.startsWith('ghs_')) return { kind: 'installation', token: findToken(state, credential) }
  if (credential.split('.').length === 3) return { kind: 'app', app: verifyAppJwt(state, credential) }
  throw badCredentials()
}

export function bucketOf(caller: Caller): Bucket {
  if (caller.kind === 'app') return { kind: 'app', id: caller.app.appId }
  if (caller.kind === 'installation') return { kind: 'installation', id: caller.token.installationId }
  return { kind: 'anonymous' }
}

/** The paths under `/app` want an App's JWT and nothing else. */
export function requireApp(caller: Caller): AppRecord {
  if (caller.kind !== 'app') throw new GithubRefusal(401, 'A JSON web token could not be decoded')
  return caller.app
}

export function requireInstallation(caller: Caller): TokenRecord {
  if (caller.kind === 'anonymous') throw requiresAuthentication()
  if (caller.kind === 'app') throw new GithubRefusal(403, 'Resource not accessible by integration')
  return caller.token
}

/** What a call on a repository's path needs. */
export type Need = { permission: string; level: Level }

/**
 * The repository of a path, when the caller may do that to it. What is private and out of reach does not exist;
 * what is public may be read by anyone.
 * @throws GithubRefusal 404, 403 `Resource not accessible by integration`, 401 for an anonymous write, 301 for
 *   the name of before a rename
 */
export function authorize({ state, caller, params, origin, rest }: Call, need: Need): RepositoryRecord {
  const [owner, name] = [String(params.owner), String(params.repo)]
  const named = repositoryNamed(state, owner, name)
  const formerId = state.formerNames.get(repositoryKey(owner, name))
  const repository = named ?? (formerId === undefined ? undefined : state.repositories.get(formerId))
  if (repository === undefined || !isVisible(state, caller, repository)) throw notFound()
  if (named === undefined) throw moved(`${origin}/repositories/${repository.id}${rest}`, need)
  if (!repository.private && need.level === 'read') return repository
  if (caller.kind === 'anonymous') throw requiresAuthentication()
  const held =
    caller.kind === 'installation' ? permissionHeld(state, caller.token, repository, need) : undefined
  if (!holds(held, need.level)) {
    throw new GithubRefusal(403, 'Resource not accessible by integration', {
      headers: { 'x-accepted-github-permissions': `${need.permission}=${need.level}` },
    })
  }
  return repository
}

function isVisible(state: GithubState, caller: Caller, repository: RepositoryRecord): boolean {
  if (!repository.private) return true
  return caller.kind === 'installation' && reachOfToken(state, caller.token).includes(repository)
}

/** The lesser of what the token and its installation hold now. */
function permissionHeld(state: GithubState, token: TokenRecord, repository: RepositoryRecord, need: Need) {
  if (!reachOfToken(state, token).includes(repository)) return undefined
  const installed = state.installations.get(token.installationId)?.permissions[need.permission]
  const minted = token.permissions[need.permission]
  return minted === undefined || holds(installed, minted) ? minted : installed
}

function moved(location: string, need: Need): GithubRefusal {
  return new GithubRefusal(need.level === 'read' ? 301 : 307, 'Moved Permanently', { headers: { location } })
}
