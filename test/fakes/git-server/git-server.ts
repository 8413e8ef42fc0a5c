/**
 * GitHub's git over HTTP: `git http-backend` behind a door that lets in as GitHub does, by the truth of the
 * GitHub stand-in: whom a token reaches, with which permission, and whether it is alive at that moment.
 *
 *   401  no credential, or one that is unknown, revoked or expired (git then erases what it sent)
 *   404  a repository that is not there, or is private and out of the token's reach
 *   403  a push with a token that may not write contents
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Github, GithubCredential } from '../github/github.ts'
import { runBackend } from './http-backend.ts'

export type GitRepository = { id: number; name: string; private?: boolean; files?: Record<string, string> }

/** One request as it was judged. `user` and `sha256` (of the password, hex) are what came in Basic. */
export type GitRequest = {
  repository: string
  service: string
  method: string
  status: number
  user?: string
  sha256?: string
}

export type GitServer = {
  url: string
  /** `owner/name` -> its bare repository on this disk. */
  pathOf(name: string): string
  /** In the order in which they came. */
  requests: GitRequest[]
  /** Runs before each request is judged, with the password as it came. */
  before: (request: Omit<GitRequest, 'status'>, password: string | undefined) => void | Promise<void>
  close(): Promise<void>
}

const run = promisify(execFile)

/** Every repository has a branch `main` with its files, and a wiki, which is a repository beside it. */
export async function startGitServer(options: {
  github: Pick<Github, 'credentials'>
  repositories: readonly GitRepository[]
}): Promise<GitServer> {
  const root = await mkdtemp(join(tmpdir(), 'mayfly-git-server-'))
  for (const { name, files = { 'README.md': 'hello\n' } } of options.repositories) {
    await createRepository(join(root, `${name}.git`), files)
    await createRepository(join(root, `${name}.wiki.git`), { 'Home.md': 'welcome\n' })
  }
  const server = createServer((request, response) => void serve(request, response))
  const state: GitServer = {
    url: '',
    pathOf: name => join(root, `${name}.git`),
    requests: [],
    before: () => {},
    async close() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      await rm(root, { recursive: true, force: true })
    },
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://git.test')
    const [, named = '', rest = ''] = /^\/([^/]+\/[^/]+?)(?:\.git)?(\/.*)$/.exec(url.pathname) ?? []
    const service = url.searchParams.get('service') ?? rest.slice(1)
    const { user, password } = basicOf(request.headers.authorization)
    const sha256 = password && createHash('sha256').update(password).digest('hex')
    const what = { repository: named, service, method: request.method ?? '', ...(sha256 && { user, sha256 }) }
    await state.before(what as GitRequest, password)
    const repository = options.repositories.find(({ name }) => isNamed(name, named))
    const held = options.github.credentials().find(one => one.sha256 === sha256)
    const refusal = judge(repository, service, { isPresented: password !== undefined, held })
    state.requests.push({ ...what, status: refusal?.status ?? 200 } as GitRequest)
    if (refusal !== undefined) {
      const challenge = refusal.status === 401 ? { 'www-authenticate': 'Basic realm="GitHub"' } : {}
      response.writeHead(refusal.status, { 'content-type': 'text/plain', ...challenge }).end(refusal.says)
      return
    }
    await runBackend(request, response, {
      root,
      path: `/${repository!.name}${/\.wiki$/i.test(named) ? '.wiki' : ''}.git${rest}`,
      query: url.search.slice(1),
      user: 'mayfly[bot]',
    })
  }

  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return state
}

type Presented = { isPresented: boolean; held: GithubCredential | undefined }
const NEEDS: Readonly<Record<string, 'read' | 'write'>> = {
  'git-upload-pack': 'read',
  'git-receive-pack': 'write',
}

function judge(
  repository: GitRepository | undefined,
  service: string,
  { isPresented, held }: Presented,
): { status: number; says: string } | undefined {
  const need = NEEDS[service]
  if (isPresented && !held?.alive)
    return { status: 401, says: 'Invalid username or token. Password authentication is not supported.' }
  const isPublic = repository?.private === false
  if (held === undefined && !(isPublic && need === 'read'))
    return { status: 401, says: 'No anonymous access.' }
  const isReached = repository !== undefined && held?.repositoryIds.includes(repository.id) === true
  if (need === undefined || !(isReached || isPublic)) return { status: 404, says: 'Repository not found.' }
  const contents = isReached ? held.permissions.contents : undefined
  if (need === 'read' ? isPublic || contents !== undefined : contents === 'write') return undefined
  return { status: 403, says: 'Write access to repository not granted.' }
}

/** The wiki belongs to its repository; names are case-insensitive at GitHub. */
function isNamed(name: string, named: string): boolean {
  return name.toLowerCase() === named.toLowerCase().replace(/\.wiki$/, '')
}

function basicOf(header: string | undefined): { user?: string; password?: string } {
  const encoded = /^basic (\S+)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return header === undefined ? {} : { user: '', password: '' }
  const [user = '', ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
  return { user, password: password.join(':') }
}

/** One commit on main, made without a working tree. */
async function createRepository(path: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(path, { recursive: true })
  const env = { PATH: process.env.PATH ?? '', GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' }
  await run('git', ['init', '-q', '--bare', '-b', 'main', path], { env })
  const stream = [
    'commit refs/heads/main',
    'committer Ada <ada@acme.test> 1700000000 +0000',
    ...['data 5', 'first'],
    ...Object.entries(files).flatMap(([name, text]) => [
      ...[`M 100644 inline ${name}`, `data ${Buffer.byteLength(text)}`],
      text,
    ]),
    '',
  ].join('\n')
  const importing = run('git', ['-C', path, 'fast-import', '--quiet'], { env })
  importing.child.stdin?.end(stream)
  await importing
}
