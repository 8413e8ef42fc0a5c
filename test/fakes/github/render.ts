/** GitHub's objects as its description has them, whole: what a client may rely on is there. */
import type { AppRecord, GithubState, InstallationRecord, RepositoryRecord } from './state.ts'

export const iso = (epochMs: number) => `${new Date(epochMs).toISOString().slice(0, 19)}Z`
export const nodeId = (kind: string, id: number) => Buffer.from(`${kind}${id}`).toString('base64')

export function renderAccount(
  login: string,
  id: number,
  type: 'Organization' | 'User' | 'Bot',
  origin: string,
) {
  const name = encodeURIComponent(login)
  const url = `${origin}/users/${name}`
  const urls = Object.fromEntries(
    ['followers', 'subscriptions', 'organizations', 'repos', 'received_events'].map(part => [
      `${part}_url`,
      `${url}/${part}`,
    ]),
  )
  return {
    login,
    id,
    node_id: nodeId(type, id),
    avatar_url: `${origin}/avatars/${id}`,
    gravatar_id: '',
    url,
    html_url: `${origin}/${name}`,
    ...urls,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    events_url: `${url}/events{/privacy}`,
    type,
    site_admin: false,
  }
}

export function renderApp(app: AppRecord, installations: readonly InstallationRecord[], origin: string) {
  return {
    id: app.appId,
    slug: app.slug,
    client_id: app.clientId,
    node_id: nodeId('App', app.appId),
    owner: renderAccount('app-owner', 1, 'User', origin),
    name: app.slug,
    description: null,
    external_url: `${origin}/apps/${app.slug}`,
    html_url: `${origin}/apps/${app.slug}`,
    created_at: iso(0),
    updated_at: iso(0),
    permissions: Object.assign({}, ...installations.map(({ permissions }) => permissions)),
    events: [],
    installations_count: installations.length,
  }
}

export function renderInstallation(state: GithubState, installation: InstallationRecord, origin: string) {
  const { id, appId, account, accountId, accountType, suspendedAt } = installation
  const app = state.apps.get(appId)!
  return {
    id,
    account: renderAccount(account, accountId, accountType, origin),
    repository_selection: installation.repositories === 'all' ? 'all' : 'selected',
    access_tokens_url: `${origin}/app/installations/${id}/access_tokens`,
    repositories_url: `${origin}/installation/repositories`,
    html_url: `${origin}/organizations/${account}/settings/installations/${id}`,
    app_id: appId,
    client_id: app.clientId,
    app_slug: app.slug,
    target_id: accountId,
    target_type: accountType,
    permissions: installation.permissions,
    events: [],
    created_at: iso(installation.createdAt),
    updated_at: iso(installation.createdAt),
    single_file_name: null,
    suspended_at: suspendedAt === undefined ? null : iso(suspendedAt),
    suspended_by: suspendedAt === undefined ? null : renderAccount('app-owner', 1, 'User', origin),
  }
}

const repositoryLinks: Readonly<Record<string, string>> = {
  archive_url: '/{archive_format}{/ref}',
  assignees_url: '/assignees{/user}',
  blobs_url: '/git/blobs{/sha}',
  branches_url: '/branches{/branch}',
  collaborators_url: '/collaborators{/collaborator}',
  comments_url: '/comments{/number}',
  commits_url: '/commits{/sha}',
  compare_url: '/compare/{base}...{head}',
  contents_url: '/contents/{+path}',
  contributors_url: '/contributors',
  deployments_url: '/deployments',
  downloads_url: '/downloads',
  events_url: '/events',
  forks_url: '/forks',
  git_commits_url: '/git/commits{/sha}',
  git_refs_url: '/git/refs{/sha}',
  git_tags_url: '/git/tags{/sha}',
  hooks_url: '/hooks',
  issue_comment_url: '/issues/comments{/number}',
  issue_events_url: '/issues/events{/number}',
  issues_url: '/issues{/number}',
  keys_url: '/keys{/key_id}',
  labels_url: '/labels{/name}',
  languages_url: '/languages',
  merges_url: '/merges',
  milestones_url: '/milestones{/number}',
  notifications_url: '/notifications{?since,all,participating}',
  pulls_url: '/pulls{/number}',
  releases_url: '/releases{/id}',
  stargazers_url: '/stargazers',
  statuses_url: '/statuses/{sha}',
  subscribers_url: '/subscribers',
  subscription_url: '/subscription',
  tags_url: '/tags',
  teams_url: '/teams',
  trees_url: '/git/trees{/sha}',
}

/** @param trimDeprecated leaves out what REST version 2026-03-10 no longer answers */
export function renderRepository(repository: RepositoryRecord, origin: string, trimDeprecated: boolean) {
  const { id, owner, name } = repository
  const url = `${origin}/repos/${owner}/${name}`
  const html = `${origin}/${owner}/${name}`
  const at = iso(repository.createdAt)
  const open = repository.issues.length + repository.pulls.length
  return {
    id,
    node_id: nodeId('Repository', id),
    name,
    full_name: `${owner}/${name}`,
    private: repository.private,
    visibility: repository.private ? 'private' : 'public',
    owner: renderAccount(owner, repository.ownerId, 'Organization', origin),
    html_url: html,
    description: null,
    fork: false,
    url,
    ...Object.fromEntries(Object.entries(repositoryLinks).map(([key, path]) => [key, url + path])),
    ...{
      clone_url: `${html}.git`,
      git_url: `git:${html}.git`,
      ssh_url: `git@${owner}/${name}.git`,
      svn_url: html,
    },
    ...{ homepage: null, language: null, license: null, mirror_url: null, default_branch: 'main' },
    ...{ created_at: at, updated_at: at, pushed_at: at, size: 0 },
    ...{ forks: 0, forks_count: 0, network_count: 0, stargazers_count: 0, subscribers_count: 0 },
    ...{ watchers: 0, watchers_count: 0, open_issues: open, open_issues_count: open },
    ...{ has_issues: true, has_projects: false, has_wiki: false, has_pages: false, has_discussions: false },
    ...{ archived: false, disabled: false },
    ...(trimDeprecated ? {} : { has_downloads: false, use_squash_pr_title_as_default: false }),
  }
}

/** A stable stand-in for an account id where no installation names one. */
export function ownerIdOf(login: string): number {
  return Number.parseInt(Buffer.from(login.toLowerCase()).toString('hex').slice(0, 8), 16)
}
