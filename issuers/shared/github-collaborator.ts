/**
 * What a human may do in a repository, as GitHub says it, held against what is asked on their behalf
 * (docs.github.com, "Repository roles for an organization" and "Get repository permissions for a user").
 */
import { z } from 'zod'
import type { Borrow, HumanAccess, OnBehalfOf, Refused } from '../issuer.ts'
import type { GithubAsk, Repository } from './github-ask.ts'
import { sameName } from './github-name.ts'
import { type Answer, type GithubRest, refusalFrom, unavailable } from './github-rest.ts'

const ROLES = ['none', 'read', 'triage', 'write', 'maintain', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** The legacy word for each role, which is all that GitHub says of a custom one. */
const BASE: Readonly<Record<Role, string>> = {
  none: 'none',
  read: 'read',
  triage: 'read',
  write: 'write',
  maintain: 'write',
  admin: 'admin',
}

type Needs = { read: Role; write: Role }

/**
 * The role from which on a human may do by hand what an App's permission of that level lets it do. A permission that
 * is not here is none of a repository (organization, account): no role in a repository speaks for it.
 */
const NEEDED: Readonly<Record<string, Needs>> = {
  ...each(['metadata'], { read: 'read', write: 'read' }),
  ...each(['issues', 'pull_requests', 'discussions'], { read: 'read', write: 'triage' }),
  ...each(
    ['actions', 'artifact_metadata', 'attestations', 'checks', 'contents', 'deployments', 'merge_queues'],
    { read: 'read', write: 'write' },
  ),
  ...each(['packages', 'repository_projects', 'single_file', 'statuses', 'workflows'], {
    read: 'read',
    write: 'write',
  }),
  ...each(['code_quality', 'security_events', 'vulnerability_alerts'], { read: 'write', write: 'write' }),
  ...each(['pages'], { read: 'read', write: 'maintain' }),
  ...each(['environments', 'repository_custom_properties'], { read: 'read', write: 'admin' }),
  ...each(
    ['administration', 'codespaces', 'dependabot_secrets', 'repository_hooks', 'secret_scanning_alerts'],
    { read: 'admin', write: 'admin' },
  ),
  ...each(['secrets'], { read: 'admin', write: 'admin' }),
}

/** Each repository is one question to GitHub. */
const MOST_REPOSITORIES = 20

export type Collaborators = {
  rest: GithubRest
  /** The GitHub that accounts must be of: the host of its web pages. */
  provider: string
}

/** @returns a refusal where GitHub would not answer. @throws ProviderUnavailable */
export async function githubAllows(
  { rest, provider }: Collaborators,
  { accounts }: OnBehalfOf,
  ask: GithubAsk,
  borrow: Borrow<GithubAsk>,
): Promise<HumanAccess | Refused> {
  // 1. What can be told without asking.
  const account = accounts.find(one => one.provider === provider)
  if (account === undefined) return no(`the human has no known account at ${provider}`)
  const beyond = Object.keys(ask.permissions).find(name => neededFor(name, 'read') === undefined)
  if (beyond !== undefined)
    return no(`${beyond} is no permission of a repository: nobody asks for it by proxy`)
  if (ask.repositories.length > MOST_REPOSITORIES)
    return no(`on behalf of a human an ask is for at most ${MOST_REPOSITORIES} repositories`)
  const ids = ask.repositories.flatMap(({ id }) => (id === undefined ? [] : [id]))
  if (ids.length < ask.repositories.length) return no('a repository is not known by its id')

  // 2. Each repository, by its id: a name can be given to another.
  const own: GithubAsk = { repositories: ids.map(id => ({ id })), permissions: { metadata: 'read' } }
  return borrow(own, async ({ secret, lease }) => {
    for (const repository of ask.repositories) {
      const parameters = { id: repository.id, username: account.login }
      const answer = await rest.asToken(ROUTE, parameters, secret.reveal(), lease)
      const found = roleFrom(answer, account)
      if (!found.ok) return found
      const missing = missingIn(ask, repository, found.role, account.login)
      if (missing !== undefined) return no(missing)
    }
    return { ok: true, allowed: true, detail: `${account.login} may do it` } as const
  })
}

/** GitHub serves every path of a repository under its id, `/repos/{owner}/{repo}` being the other way to write it. */
const ROUTE = 'GET /repositories/{id}/collaborators/{username}/permission'

const permissionAnswer = z.object({
  permission: z.string(),
  role_name: z.string().nullish(),
  user: z.object({ login: z.string(), id: z.int() }),
})

/** Nobody's account and no access are the same: none. @throws ProviderUnavailable */
function roleFrom(
  answer: Answer,
  account: OnBehalfOf['accounts'][number],
): { ok: true; role: Role } | Refused {
  const what = 'what a human may do in a repository'
  if (answer.status === 404) return { ok: true, role: 'none' }
  // The token is a moment old: that it is not taken says nothing of the human.
  if (answer.status === 401) throw unavailable(answer, what)
  if (answer.status !== 200) return refusalFrom(answer, what)
  const parsed = permissionAnswer.safeParse(answer.data)
  if (!parsed.success) throw unavailable(answer, `${what}, which cannot be read`)
  const { permission, role_name: name, user } = parsed.data
  const isThem =
    sameName(user.login, account.login) && (account.id === undefined || account.id === String(user.id))
  return { ok: true, role: isThem ? roleOf(permission, name ?? permission) : 'none' }
}

/** A role of GitHub's own by its name; a custom one, and what contradicts itself, by what it comes to. */
export function roleOf(permission: string, name: string): Role {
  const base = ROLES.find(role => role === permission && BASE[role] === role) ?? 'none'
  const named = ROLES.find(role => role === name)
  return named !== undefined && BASE[named] === base ? named : base
}

/** What the human lacks for the ask in this repository, in words; undefined where nothing. */
function missingIn(ask: GithubAsk, { id, name }: Repository, role: Role, login: string): string | undefined {
  for (const [permission, level] of Object.entries(ask.permissions)) {
    const needed = neededFor(permission, level)
    if (needed !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(needed)) continue
    const where = name ?? `repository ${id}`
    return `${login} has ${role} in ${where}; ${permission}:${level} takes ${needed ?? 'more than any role'}`
  }
  return undefined
}

/** The role that a permission takes; undefined where no role gives it. */
export function neededFor(permission: string, level: string): Role | undefined {
  if (!Object.hasOwn(NEEDED, permission)) return undefined
  if (level === 'read') return NEEDED[permission]?.read
  return level === 'write' ? NEEDED[permission]?.write : 'admin'
}

function each(names: readonly string[], needs: Needs): Record<string, Needs> {
  return Object.fromEntries(names.map(name => [name, needs]))
}

const no = (detail: string): HumanAccess => ({ ok: true, allowed: false, detail })
