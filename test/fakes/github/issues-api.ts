/** Issues and pull requests: listed, and created under one sequence of numbers. */
import { authorize } from './access.ts'
import { validationFailed } from './answer.ts'
import { type Call, callerLogin, type Handler, paged } from './handler.ts'
import { iso, nodeId, renderAccount, renderRepository } from './render.ts'
import { requireBranch } from './repository-api.ts'
import type { IssueRecord, PullRecord, RepositoryRecord } from './state.ts'

export const listIssues: Handler = call => {
  const repository = authorize(call, { permission: 'issues', level: 'read' })
  const { items, headers } = paged(call, newestFirst(repository.issues))
  return { status: 200, headers, body: items.map(issue => renderIssue(call, repository, issue)) }
}

export const createIssue: Handler = call => {
  const repository = authorize(call, { permission: 'issues', level: 'write' })
  const issue = nextIssue(call, repository)
  repository.issues.push(issue)
  return { status: 201, body: renderIssue(call, repository, issue) }
}

export const listPulls: Handler = call => {
  const repository = authorize(call, { permission: 'pull_requests', level: 'read' })
  const { items, headers } = paged(call, newestFirst(repository.pulls))
  return { status: 200, headers, body: items.map(pull => renderPull(call, repository, pull)) }
}

export const createPull: Handler = call => {
  const repository = authorize(call, { permission: 'pull_requests', level: 'write' })
  const { head, base, draft = false } = call.body as { head: string; base: string; draft?: boolean }
  const headBranch = head.replace(/^[^:]*:/, '')
  requireBranch(repository, headBranch, 'PullRequest', 'head')
  requireBranch(repository, base, 'PullRequest', 'base')
  if (call.body.title === undefined) {
    throw validationFailed([{ resource: 'PullRequest', field: 'title', code: 'missing_field' }])
  }
  const pull: PullRecord = { ...nextIssue(call, repository), head: headBranch, base, draft }
  repository.pulls.push(pull)
  return { status: 201, body: renderPull(call, repository, pull) }
}

function nextIssue(call: Call, repository: RepositoryRecord): IssueRecord {
  const { title, body = null } = call.body as { title: string | number; body?: string | null }
  call.state.lastIssueId += 1
  return {
    id: call.state.lastIssueId,
    number: repository.issues.length + repository.pulls.length + 1,
    title: String(title),
    body,
    author: callerLogin(call),
    at: call.state.now(),
  }
}

function newestFirst<T>(list: readonly T[]): T[] {
  return [...list].reverse()
}

/** What issues and pull requests have in common. */
function renderCommon(
  call: Call,
  repository: RepositoryRecord,
  issue: IssueRecord,
  kind: 'issues' | 'pulls',
) {
  const api = `${call.origin}/repos/${repository.owner}/${repository.name}`
  return {
    id: issue.id,
    node_id: nodeId(kind, issue.id),
    number: issue.number,
    url: `${api}/${kind}/${issue.number}`,
    comments_url: `${api}/issues/${issue.number}/comments`,
    title: issue.title,
    body: issue.body,
    user: renderAccount(issue.author, 0, issue.author.endsWith('[bot]') ? 'Bot' : 'User', call.origin),
    state: 'open',
    locked: false,
    labels: [],
    assignee: null,
    assignees: [],
    milestone: null,
    comments: 0,
    author_association: 'NONE',
    created_at: iso(issue.at),
    updated_at: iso(issue.at),
    closed_at: null,
  }
}

function renderIssue(call: Call, repository: RepositoryRecord, issue: IssueRecord) {
  const common = renderCommon(call, repository, issue, 'issues')
  return {
    ...common,
    repository_url: `${call.origin}/repos/${repository.owner}/${repository.name}`,
    labels_url: `${common.url}/labels{/name}`,
    events_url: `${common.url}/events`,
    html_url: `${call.origin}/${repository.owner}/${repository.name}/issues/${issue.number}`,
  }
}

function renderPull(call: Call, repository: RepositoryRecord, pull: PullRecord) {
  const { origin } = call
  const common = renderCommon(call, repository, pull, 'pulls')
  const api = `${origin}/repos/${repository.owner}/${repository.name}`
  const html = `${origin}/${repository.owner}/${repository.name}/pull/${pull.number}`
  const head = renderSide(call, repository, pull.head)
  const links = {
    self: common.url,
    html,
    issue: `${api}/issues/${pull.number}`,
    comments: common.comments_url,
    review_comments: `${common.url}/comments`,
    review_comment: `${api}/pulls/comments{/number}`,
    commits: `${common.url}/commits`,
    statuses: `${api}/statuses/${head.sha}`,
  }
  return {
    ...common,
    ...{ html_url: html, diff_url: `${html}.diff`, patch_url: `${html}.patch`, issue_url: links.issue },
    ...{ commits_url: links.commits, statuses_url: links.statuses },
    ...{ review_comments_url: links.review_comments, review_comment_url: links.review_comment },
    ...{ head, base: renderSide(call, repository, pull.base), draft: pull.draft },
    ...{ merged: false, merged_at: null, merged_by: null, merge_commit_sha: null, auto_merge: null },
    ...{ mergeable: true, mergeable_state: 'clean', maintainer_can_modify: false },
    ...{ review_comments: 0, commits: 1, additions: 0, deletions: 0, changed_files: 0 },
    _links: Object.fromEntries(Object.entries(links).map(([name, href]) => [name, { href }])),
  }
}

function renderSide(call: Call, repository: RepositoryRecord, branch: string) {
  const repo = renderRepository(repository, call.origin, call.trimDeprecated)
  return {
    label: `${repository.owner}:${branch}`,
    ref: branch,
    sha: requireBranch(repository, branch, 'PullRequest', 'head'),
    user: repo.owner,
    repo,
  }
}
