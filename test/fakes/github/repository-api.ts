/** Repositories and their contents. Each handler names the permission its call needs. */
import { createHash } from 'node:crypto'
import { authorize } from './access.ts'
import { GithubRefusal, invalidRequest, validationFailed } from './answer.ts'
import { type Call, callerLogin, type Handler } from './handler.ts'
import { iso, nodeId, renderRepository } from './render.ts'
import type { RepositoryRecord } from './state.ts'

export const getRepository: Handler = call => {
  const repository = authorize(call, { permission: 'metadata', level: 'read' })
  return { status: 200, body: renderRepository(repository, call.origin, call.trimDeprecated) }
}

export const getContent: Handler = call => {
  const repository = authorize(call, { permission: 'contents', level: 'read' })
  const branchName = String(call.params.ref ?? 'main').replace('refs/heads/', '')
  const branch = repository.branches.get(branchName)
  if (branch === undefined) throw new GithubRefusal(404, `No commit found for the ref ${branchName}`)
  const path = String(call.params.path).replace(/\/$/, '')
  const file = branch.get(path)
  if (file !== undefined) {
    if (/^application\/vnd\.github\.(v3\.)?raw(\+json)?$/.test(call.accept))
      return { status: 200, body: file }
    const content = (file.toString('base64').match(/.{1,60}/g) ?? []).map(line => `${line}\n`).join('')
    return {
      status: 200,
      body: { ...renderEntry(call, repository, path, file), encoding: 'base64', content },
    }
  }
  const entries = listFolder(call, repository, branch, path)
  if (entries.length === 0 && path !== '') throw new GithubRefusal(404, 'Not Found')
  return { status: 200, body: entries }
}

export const putContent: Handler = call => {
  const path = String(call.params.path)
  const repository = authorize(call, { permission: 'contents', level: 'write' })
  if (path.startsWith('.github/workflows/')) authorize(call, { permission: 'workflows', level: 'write' })
  const { message, content, branch: branchName = 'main', sha } = call.body as PutBody
  const branch = repository.branches.get(branchName)
  if (branch === undefined) throw new GithubRefusal(404, `Branch ${branchName} not found`)
  if (path === '') throw invalidRequest('path cannot be blank')
  if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(content))
    throw new GithubRefusal(422, 'content is not valid Base64')
  const before = branch.get(path)
  if (before !== undefined && sha === undefined) throw invalidRequest('"sha" wasn\'t supplied.')
  if (before !== undefined && sha !== blobSha(before))
    throw new GithubRefusal(409, `${path} does not match ${sha}`)
  const file = Buffer.from(content, 'base64')
  branch.set(path, file)
  const commitSha = Buffer.from(call.state.random(20)).toString('hex')
  const author = {
    name: callerLogin(call),
    email: `${callerLogin(call)}@users.noreply`,
    date: iso(call.state.now()),
  }
  return {
    status: before === undefined ? 201 : 200,
    body: {
      content: renderEntry(call, repository, path, file),
      commit: {
        sha: commitSha,
        node_id: nodeId('Commit', repository.id),
        message,
        author,
        committer: author,
      },
    },
  }
}

/** A new branch, off the branch whose commit is named: every branch has one commit id, that of its files. */
export const createRef: Handler = call => {
  const repository = authorize(call, { permission: 'contents', level: 'write' })
  const { ref, sha } = call.body as { ref: string; sha: string }
  const name = /^refs\/heads\/([\w./-]+)$/.exec(ref)?.[1]
  if (name === undefined) throw new GithubRefusal(422, 'Reference name must start with refs/heads/')
  if (repository.branches.has(name)) throw new GithubRefusal(422, 'Reference already exists')
  const source = [...repository.branches.values()].find(files => headSha(files) === sha)
  if (source === undefined) throw new GithubRefusal(422, 'Object does not exist')
  repository.branches.set(name, new Map(source))
  const url = `${call.origin}/repos/${repository.owner}/${repository.name}/git`
  return {
    status: 201,
    body: {
      ref,
      node_id: nodeId('Ref', repository.id),
      url: `${url}/refs/heads/${name}`,
      object: { type: 'commit', sha, url: `${url}/commits/${sha}` },
    },
  }
}

/** What a branch's head is called: a digest of its files. 40 lower-case hex characters. */
export function headSha(files: ReadonlyMap<string, Buffer>): string {
  const hash = createHash('sha1')
  for (const [path, file] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${path}\0${blobSha(file)}\0`)
  }
  return hash.digest('hex')
}

/** @throws GithubRefusal 422 as GitHub validates a field */
export function requireBranch(
  repository: RepositoryRecord,
  name: string,
  resource: string,
  field: string,
): string {
  const files = repository.branches.get(name)
  if (files === undefined) throw validationFailed([{ resource, field, code: 'invalid' }])
  return headSha(files)
}

type PutBody = { message: string; content: string; branch?: string; sha?: string }

/** Git's own name of a file's bytes. */
function blobSha(file: Buffer): string {
  return createHash('sha1').update(`blob ${file.length}\0`).update(file).digest('hex')
}

function listFolder(
  call: Call,
  repository: RepositoryRecord,
  files: ReadonlyMap<string, Buffer>,
  folder: string,
): unknown[] {
  const prefix = folder === '' ? '' : `${folder}/`
  const entries = new Map<string, unknown>()
  for (const [path, file] of files) {
    if (!path.startsWith(prefix)) continue
    const [name, ...below] = path.slice(prefix.length).split('/')
    entries.set(name!, renderEntry(call, repository, prefix + name, below.length > 0 ? undefined : file))
  }
  return [...entries.values()]
}

function renderEntry(call: Call, repository: RepositoryRecord, path: string, file: Buffer | undefined) {
  const base = `${call.origin}/repos/${repository.owner}/${repository.name}`
  const sha = file === undefined ? createHash('sha1').update(path).digest('hex') : blobSha(file)
  const kind = file === undefined ? 'tree' : 'blob'
  const url = encodeURI(`${base}/contents/${path}?ref=main`)
  const gitUrl = `${base}/git/${kind}s/${sha}`
  const htmlUrl = encodeURI(`${call.origin}/${repository.owner}/${repository.name}/${kind}/main/${path}`)
  return {
    type: file === undefined ? 'dir' : 'file',
    name: path.split('/').at(-1),
    path,
    sha,
    size: file?.length ?? 0,
    url,
    git_url: gitUrl,
    html_url: htmlUrl,
    download_url: file === undefined ? null : htmlUrl.replace('/blob/', '/raw/'),
    _links: { self: url, git: gitUrl, html: htmlUrl },
  }
}
