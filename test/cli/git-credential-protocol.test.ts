/** What git may say to the helper, and what others may say in its place. The broker here is a function. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseCredentialRequest } from '../../src/cli/git-credential-request.ts'
import { ask, type Said } from './git-helper.ts'

const TOKEN = 'ghs_424242_the-token.of_the-task'
const LATER = '2040-01-01T00:00:00Z'
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

let home: string
let env: { MAYFLY_TASK_TOKEN_FILE: string }
/** What the broker knows of the task, and what it was asked: method and path. */
let task: ReturnType<typeof plainTask>
let asked: string[]

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mayfly-helper-'))
  env = { MAYFLY_TASK_TOKEN_FILE: join(home, 'task.json') }
  const held = {
    broker: 'https://mayfly.test',
    task: `tsk_${'0'.repeat(26)}`,
    task_token: 'mft_the-task-token',
  }
  await writeFile(env.MAYFLY_TASK_TOKEN_FILE, JSON.stringify(held), { mode: 0o600 })
})
afterAll(() => rm(home, { recursive: true, force: true }))
beforeEach(() => {
  task = plainTask()
  asked = []
})

type Ask = { id: string; state: string; decision: string; provider?: string; authorization_details: object }

function githubAsk(id: string, repositories: string[], permissions: object, more: object = {}): Ask {
  const named = repositories.map((name, index) => ({ id: index + 1, name }))
  const authorization_details = { type: 'github', repositories: named, permissions }
  return { id, state: 'granted', decision: 'dec_1', provider: 'github.com', authorization_details, ...more }
}

function plainTask() {
  return {
    ...{ id: 'tsk_1', state: 'active', end: null as string | null, agent: 'coder', purpose: 'fix it' },
    ...{ deadline: LATER, heartbeat_seconds: null, credentials: [] as object[], approvals: [] as object[] },
    asks: [githubAsk('ask_api', ['acme/api'], { contents: 'write' })],
  }
}

const broker: typeof fetch = async (input, init) => {
  const { pathname } = new URL(String(input))
  asked.push(`${init?.method} ${pathname.replace(/tsk_0+/, 'TASK')}`)
  const answer = (status: number, body: unknown) => new Response(JSON.stringify(body), { status })
  if (init?.method === 'GET') return answer(200, task)
  if (init?.method === 'DELETE') return answer(200, task.credentials.at(-1))
  return answer(201, {
    ...{ lease: 'lse_1', ask: 'ask_api', issuer: 'github', credential: TOKEN, revocability: 'immediate' },
    ...{ authorization_details: { type: 'github' }, expires_at: LATER, provider_expires_at: LATER },
  })
}

const helper = (operation: string, lines: readonly string[], fetcher = broker): Promise<Said> =>
  ask(operation, `${lines.join('\n')}\n`, { env, fetcher })
const API = ['protocol=https', 'host=github.com', 'path=acme/api.git']
const quiet = { code: 0, out: '', err: '' }

describe('get', () => {
  test('answers with user name, password and its time', async () => {
    expect(await helper('get', API)).toEqual({
      ...quiet,
      out: `username=x-access-token\npassword=${TOKEN}\npassword_expiry_utc=2208988800\n`,
    })
    expect(asked).toEqual(['GET /v1/tasks/TASK', 'POST /v1/tasks/TASK/credentials'])
  })

  test('to a git that knows the word: encoded, and not to be kept', async () => {
    const { out } = await helper('get', [
      'capability[]=state',
      'capability[]=authtype',
      ...API,
      'wwwauth[]=Basic x',
    ])
    const basic = Buffer.from(`x-access-token:${TOKEN}`).toString('base64')
    expect(out).toBe(
      `capability[]=authtype\nauthtype=Basic\ncredential=${basic}\nephemeral=1\npassword_expiry_utc=2208988800\n`,
    )
  })

  test('without a path: where one set of repositories is meant, and otherwise says how to have one', async () => {
    expect((await helper('get', API.slice(0, 2))).out).toContain(`password=${TOKEN}`)
    task.asks.push(githubAsk('ask_web', ['acme/web'], { contents: 'read' }))
    const { out, err, code } = await helper('get', API.slice(0, 2))
    expect({ out, code }).toEqual({ out: 'quit=1\n', code: 3 })
    expect(err).toContain('git config --global credential.https://github.com.useHttpPath true\n')
  })

  test.each<[string, () => void, string]>([
    [
      'another repository',
      () => (task.asks = [githubAsk('ask_web', ['acme/web'], { contents: 'read' })]),
      'task tsk_1 may not have acme/api (decision dec_1). Open a task with --ask github=acme/api:contents:read',
    ],
    [
      'no contents',
      () => (task.asks = [githubAsk('ask_api', ['acme/api'], { issues: 'write' })]),
      'task tsk_1 has acme/api without its contents (decision dec_1)',
    ],
    [
      'humans who have not answered',
      () => {
        task.asks = [githubAsk('ask_api', ['acme/api'], { contents: 'write' }, { state: 'pending' })]
        task.approvals = [{ id: 'apr_1', ask: 'ask_api', state: 'pending' }]
      },
      'acme/api waits for humans (approval apr_1); wait with: mayfly task wait tsk_1',
    ],
    [
      'humans who said no',
      () => (task.asks = [githubAsk('ask_api', ['acme/api'], { contents: 'write' }, { state: 'denied' })]),
      'acme/api is denied for task tsk_1 (decision dec_1)',
    ],
    [
      'a task that is over',
      () => Object.assign(task, { state: 'ended', end: 'expired' }),
      'task tsk_1 has ended (expired)',
    ],
  ])('%s: one line, and git stops', async (_, change, says) => {
    change()
    const { out, err, code } = await helper('get', API)
    expect({ out, code }).toEqual({ out: 'quit=1\n', code: 3 })
    expect(err).toContain(`mayfly: ${says}`)
    expect(err.match(/\n/g)).toHaveLength(1)
    expect(asked).toEqual(['GET /v1/tasks/TASK'])
  })

  test('a mint that is refused: the broker’s words in one line', async () => {
    const refusing: typeof fetch = async (input, init) => {
      if (init?.method === 'GET') return broker(input, init)
      const problem = {
        ...{
          title: 'Denied',
          detail: 'a policy\u001b[31m forbids it',
          code: 'ask_denied',
          decision: 'dec_2',
        },
      }
      return new Response(JSON.stringify(problem), { status: 403 })
    }
    const { out, err } = await helper('get', API, refusing)
    expect(out).toBe('quit=1\n')
    expect(err).toMatch(
      /^mayfly: Denied: a policy \[31m forbids it \(ask_denied\) Quote decision dec_2 .*\n$/,
    )
  })

  test('with less than could be: the token, and what is waited for', async () => {
    const more = githubAsk('ask_more', ['acme/api'], { contents: 'write' }, { state: 'pending' })
    task.asks = [githubAsk('ask_api', ['acme/api'], { contents: 'read' }), more]
    task.approvals = [{ id: 'apr_1', ask: 'ask_more', state: 'pending' }]
    const { out, err } = await helper('get', API)
    expect(out).toContain(`password=${TOKEN}`)
    expect(err).toContain('more than this for acme/api waits for humans (approval apr_1)')
  })
})

describe('silence', () => {
  const never: typeof fetch = () => {
    throw new Error('nobody is to be asked')
  }

  test.each([
    ['store', [...API, `password=${TOKEN}`]],
    ['approve', API],
    ['get', ['protocol=http', 'host=github.com', 'path=acme/api']],
    ['get', ['protocol=ssh', 'host=github.com', 'path=acme/api']],
    ['get', ['protocol=cert', 'path=/home/ada/key.pem']],
    ['get', ['protocol=https', 'host=github.com/acme', 'path=acme/api']],
    ['get', ['protocol=https', 'host=github.com@evil.test', 'path=acme/api']],
    ['get', ['protocol=https']],
    ['get', []],
    ['erase', API],
  ])('%s %j: nothing is said, and nobody asked', async (operation, lines) => {
    expect(await helper(operation, lines, never)).toEqual(quiet)
  })

  test.each(['gitlab.com', 'gist.github.com', 'github.com.evil.test', 'github.com:8443', 'ghes.acme.test'])(
    'for %s, also where git does not say the path',
    async host => {
      expect(await helper('get', ['protocol=https', `host=${host}`, 'path=acme/api'])).toEqual(quiet)
      expect(await helper('get', ['protocol=https', `host=${host}`])).toEqual(quiet)
      expect(new Set(asked)).toEqual(new Set(['GET /v1/tasks/TASK']))
    },
  )

  test('a host of a GitHub Enterprise issuer is its own, and nobody else’s', async () => {
    task.asks = [githubAsk('ask_api', ['acme/api'], { contents: 'write' }, { provider: 'ghes.acme.test' })]
    expect(await helper('get', API)).toEqual(quiet)
    const there = ['protocol=https', 'host=ghes.acme.test', 'path=acme/api']
    expect((await helper('get', there)).out).toContain(TOKEN)
  })

  test('where the broker is away, git is stopped on GitHub and goes on elsewhere', async () => {
    const away: typeof fetch = () => Promise.reject(new TypeError('fetch failed'))
    expect((await helper('get', API, away)).out).toBe('quit=1\n')
    const { out, err, code } = await helper('get', ['protocol=https', 'host=ghes.acme.test'], away)
    expect({ out, code }).toEqual({ out: '', code: 0 })
    expect(err).toContain('could not be reached')
  })
})

describe('a local credential server', () => {
  let server: Server
  let local: Record<string, string>
  /** What it answers to a question for a credential. */
  let told: { status: number; body: object }

  beforeAll(async () => {
    const held = { id: 'tsk_1', agent: 'coder', purpose: 'fix it', state: 'active', deadline: LATER }
    const handle = { handle: 'ask_api', kind: 'github', provider: 'github.com', state: 'granted' }
    const asks = [{ ...handle, authorization_details: { type: 'github' } }]
    server = createServer((request, response) => {
      const isList = request.url === '/v1/tasks'
      const body = isList ? { tasks: [{ ...held, decision: 'dec_1', asks }] } : told.body
      response.writeHead(isList ? 200 : told.status).end(JSON.stringify(body))
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    local = { MAYFLY_LOCAL_URL: url, MAYFLY_LOCAL_TOKEN: 'local' }
  })
  afterAll(() => void server.close())

  const get = (lines = API) => ask('get', `${lines.join('\n')}\n`, { env: local })
  const problem = (status: number, code: string, more: object = {}) => ({
    status,
    body: { title: 'Title', status, detail: 'detail', code, ...more },
  })

  test.each([
    [
      problem(409, 'approval_pending', { approvals: ['apr_1'] }),
      'Title: detail (approval_pending). Quote apr_1 to whoever answers for the agent',
    ],
    [
      problem(403, 'ask_denied', { decision: 'dec_2' }),
      'Title: detail (ask_denied). Quote decision dec_2 to whoever answers for the agent',
    ],
    [
      problem(404, 'ask_unmatched'),
      'task tsk_1 may not have acme/api (decision dec_1). Ask for it, like github=acme/api:contents:read',
    ],
    [
      problem(403, 'ask_contentless'),
      'task tsk_1 may not have acme/api with its contents (decision dec_1). Ask for it',
    ],
    [
      problem(409, 'repository_unsaid'),
      'Title: detail (repository_unsaid). Switch it on with: git config --global credential.https://github.com.useHttpPath true',
    ],
    [problem(409, 'task_not_active'), 'Title: detail (task_not_active)'],
    [
      problem(503, 'broker_unreachable', { detail: 'a\nb\u001b[31m' }),
      'Title: a b [31m (broker_unreachable)',
    ],
    [{ status: 200, body: { hello: 'you' } }, 'what answers there is no local credential server'],
  ])('%j: one line, and git stops', async (answer, says) => {
    told = answer
    const { out, err, code } = await get()
    expect({ out, code }).toEqual({ out: 'quit=1\n', code: 3 })
    expect(err).toContain(`mayfly: ${says}`)
    expect(err.match(/\n/g)).toHaveLength(1)
  })

  test('hosts that are not its tasks’ are left to others', async () => {
    told = problem(404, 'host_unmatched')
    expect(await get(['protocol=https', 'host=gitlab.com', 'path=acme/api'])).toEqual(quiet)
  })

  test('a credential of several parts is none for git', async () => {
    const parts = { AccessKeyId: 'ASIA', SecretAccessKey: 'secret-part' }
    const times = { expires_at: LATER, provider_expires_at: LATER }
    const kind = { handle: 'ask_api', task: 'tsk_1', type: 'aws', kind: 'aws', ...times }
    told = { status: 200, body: { ...kind, authorization_details: { type: 'aws' }, secret: parts } }
    const { out, err } = await get()
    expect(out).toBe('quit=1\n')
    expect(err).not.toContain('secret-part')
  })
})

describe('erase', () => {
  beforeEach(() => {
    const lease = (id: string, state: string, secret: string) => ({
      ...{ lease: id, task: 'tsk_1', agent: 'coder', issuer: 'github', state, closed_as: null },
      ...{ revocability: 'immediate', authorization_details: { type: 'github' }, expires_at: LATER },
      ...{ provider_expires_at: LATER, last_error: null, sha256: sha256(secret) },
    })
    task.credentials = [lease('lse_old', 'closed', 'ghs_old'), lease('lse_1', 'active', TOKEN)]
  })

  test.each([
    ['a password', [`password=${TOKEN}`]],
    [
      'an encoded credential',
      ['authtype=basic', `credential=${Buffer.from(`x-access-token:${TOKEN}`).toString('base64')}`],
    ],
  ])('%s of the task is given back', async (_, lines) => {
    expect(await helper('erase', [...API, ...lines])).toEqual(quiet)
    expect(asked).toEqual(['GET /v1/tasks/TASK', 'DELETE /v1/tasks/TASK/credentials/lse_1'])
  })

  test.each([
    ['another helper’s', ['password=hunter2']],
    ['one that is dead already', ['password=ghs_old']],
    ['one of another scheme', ['authtype=Bearer', `credential=${TOKEN}`]],
    ['one that is not encoded as it should be', ['authtype=Basic', 'credential=%%%']],
  ])('%s is told to nobody', async (_, lines) => {
    const sent: unknown[] = []
    const noting: typeof fetch = (input, init) => {
      sent.push(String(input), init?.body)
      return broker(input, init)
    }
    expect(await helper('erase', [...API, ...lines], noting)).toEqual(quiet)
    expect(asked.filter(one => !one.startsWith('GET'))).toEqual([])
    expect(JSON.stringify(sent)).not.toContain('hunter2')
  })
})

test('what cannot be given back is told in one line, and is git’s no failure', async () => {
  const lease = {
    ...{ lease: 'lse_1', task: 'tsk_1', agent: 'coder', issuer: 'github', state: 'active', closed_as: null },
    ...{ revocability: 'immediate', authorization_details: { type: 'github' }, expires_at: LATER },
    ...{ provider_expires_at: LATER, last_error: null, sha256: sha256(TOKEN) },
  }
  task.credentials = [lease]
  const failing: typeof fetch = async (input, init) => {
    if (init?.method !== 'DELETE') return broker(input, init)
    const problem = { title: 'Unavailable', detail: 'try again', code: 'ledger_unavailable' }
    return new Response(JSON.stringify(problem), { status: 503 })
  }
  const { out, err, code } = await helper('erase', [...API, `password=${TOKEN}`], failing)
  expect({ out, code }).toEqual({ out: '', code: 0 })
  expect(err).toBe('mayfly: Unavailable: try again (ledger_unavailable)\n')
})

describe('what git would not say', () => {
  test.each([
    ['a carriage return', 'protocol=https\r\nhost=github.com', 'line 1 holds a carriage return'],
    ['a carriage return in a name', 'protocol=https\nho\rst=x', 'line 2 holds a carriage return'],
    ['a NUL', 'protocol=https\nhost=github.com\0.evil.test', 'line 2 holds a NUL'],
    ['a line without a name', 'protocol=https\n=x', 'line 2 is not of the form name=value'],
    ['a line without a value', 'protocol=https\nhost', 'line 2 is not of the form name=value'],
    ['two hosts', 'host=evil.test\nhost=github.com', 'line 2 says host a second time'],
    ['two paths', 'path=a/b\npath=acme/api', 'line 2 says path a second time'],
    ['a long line', `path=${'x'.repeat(65_535)}`, 'line 1 is longer than the 65535 bytes'],
    ['many lines', 'x=y\n'.repeat(300), 'line 257 is one more than the 256'],
  ])('%s is refused, and not quoted', async (_, input, says) => {
    const { out, err, code } = await ask('get', input, { env, fetcher: broker })
    expect({ out, code }).toEqual({ out: '', code: 1 })
    expect(err).toBe(`mayfly: this is not what git asks a credential helper: ${err.split('helper: ')[1]}`)
    expect(err).toContain(says)
    expect(err).not.toContain('evil')
    expect(asked).toEqual([])
  })

  test('what is not known is passed over, and what follows an empty line is not read', () => {
    const text =
      'url=x\nprotocol=https\nhost=github.com\nstate[]=a\nstate[]=b\npath=a=b\n\nhost=evil.test\r\n\0'
    expect(parseCredentialRequest(text)).toEqual({
      ok: true,
      request: { protocol: 'https', host: 'github.com', path: 'a=b', takesAuthtype: false },
    })
  })

  test('as long a line as git allows is read, in bytes', () => {
    const path = (text: string) => parseCredentialRequest(`path=${text}`).ok
    expect(path('x'.repeat(65_530))).toBe(true)
    expect(path('é'.repeat(32_765))).toBe(true)
    expect(path('é'.repeat(32_766))).toBe(false)
  })
})

test('whatever comes in: it does not throw, and a token goes to github.com for acme/api alone', async () => {
  const word = fc.constantFrom(
    ...['protocol', 'host', 'path', 'username', 'password', 'capability[]', 'credential', 'authtype', 'quit'],
    ...[
      '=',
      '\n',
      '\r',
      '\0',
      'https',
      'http',
      'github.com',
      'evil.test',
      'acme/api',
      '.git',
      '@',
      ':443',
      '/',
    ],
  )
  const line = fc.tuple(
    word,
    fc.constant('='),
    fc.array(word, { maxLength: 3 }).map(words => words.join('')),
  )
  const lines = fc
    .array(
      line.map(parts => `${parts.join('')}\n`),
      { maxLength: 6 },
    )
    .map(all => all.join(''))
  const likely = fc
    .record({
      protocol: fc.constantFrom('https', 'http', 'ssh'),
      host: fc.constantFrom(
        'github.com',
        'GitHub.com:443',
        'github.com.',
        'evil.test',
        'github.com@evil.test',
      ),
      path: fc.constantFrom('acme/api', 'ACME/api.wiki.git', 'acme/web', '../acme/api', 'gist/1', ''),
    })
    .map(({ protocol, host, path }) => `protocol=${protocol}\nhost=${host}\npath=${path}\n`)
  const input = fc.oneof(
    fc.string({ unit: 'binary' }),
    lines,
    likely,
    fc.tuple(likely, lines).map(p => p.join('')),
  )
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('get', 'erase', 'store'), input, async (operation, text) => {
      const { out, err } = await ask(operation, text, { env, fetcher: broker })
      expect(out + err).not.toContain('mft_')
      expect(err).not.toContain(TOKEN)
      if (!/password=|credential=/.test(out)) return
      const parsed = parseCredentialRequest(text)
      const { protocol, host, path } = parsed.ok ? parsed.request : { protocol: '', host: '', path: '' }
      expect([operation, protocol, host.toLowerCase().replace(':443', '')]).toEqual([
        'get',
        'https',
        'github.com',
      ])
      expect((path ?? '').toLowerCase()).toMatch(/^\/?(acme\/api(\.wiki)?(\.git)?\/?)?$/)
    }),
    { numRuns: 150 },
  )
})
