/** GitHub's own command line (Debian's gh), unchanged, as the command of `mayfly exec`. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { createShell, type Ran, type Shell } from '../cli/mayfly.ts'
import { createInstallation, type Installation, startBroker } from '../fakes/installation.ts'

let installation: Installation
let broker: RunningServer
let proxy: Server
let shell: Shell
let env: Record<string, string>

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  proxy = await startProxy(installation.github.url)
  shell = await createShell({ MAYFLY_URL: broker.url })
  env = {
    MAYFLY_EVIDENCE_FILE: join(shell.home, 'svid'),
    // gh speaks plain http to this one host, api.github.localhost, and asks the proxy for it.
    ...{ GH_HOST: 'github.localhost', GH_PROMPT_DISABLED: '1', GH_NO_UPDATE_NOTIFIER: '1' },
    HTTP_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    ...{ GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
  }
})
afterAll(async () => {
  await broker?.stop()
  proxy?.close()
  await Promise.all([installation?.close(), shell?.close()])
})
// Whatever the command was, its end is the end of what it held.
afterEach(() => {
  expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
})

/** What a browser would be told to use: only the path is passed on. */
async function startProxy(to: string): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const { host, pathname, search } = new URL(incoming.url ?? '')
    if (host !== 'api.github.localhost') return void outgoing.writeHead(502).end()
    const { method, headers } = incoming
    const onward = request(to + pathname + search, { method, headers: { ...headers, host } }, answer => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    incoming.pipe(onward)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return server
}

const exec = (ask: string, ...command: string[]): Promise<Ran> => execWith('auto', ask, ...command)
/** Each with an SVID of its own: one that was used is good for reading only. */
async function execWith(style: string, ask: string, ...command: string[]): Promise<Ran> {
  await writeFile(join(shell.home, 'svid'), installation.svid('spiffe://acme.test/agent/coder'))
  return shell.run(['exec', '--quiet', '--env', style, '--ask', ask, '--', ...command], { env })
}
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

const READ = 'github=acme/api:contents:read'

describe.skipIf(!isInstalled())('gh', () => {
  test('reads and writes what the task may', async () => {
    const read = await exec(
      'github=acme/api:contents:read',
      'gh',
      'api',
      'repos/acme/api',
      '--jq',
      '.full_name',
    )
    expect(read).toMatchObject({ code: 0, out: 'acme/api\n', err: '' })
    const content = Buffer.from('built\n').toString('base64')
    const put = ['gh', 'api', '-X', 'PUT', 'repos/acme/api/contents/NEWS.md', '-f', 'message=news']
    const wrote = await exec('github=acme/api:contents:write', ...put, '-f', `content=${content}`, '--silent')
    expect(wrote).toMatchObject({ code: 0, err: '' })
  })

  test('is refused what the task may not, with its own exit code', async () => {
    const foreign = await exec(READ, 'gh', 'api', 'repos/acme/web')
    expect(foreign).toMatchObject({ code: 1, err: 'gh: Not Found (HTTP 404)\n' })
    const put = [
      'gh',
      'api',
      '-X',
      'PUT',
      'repos/acme/api/contents/NO.md',
      '-f',
      'message=no',
      '-f',
      'content=',
    ]
    const refused = await exec(READ, ...put)
    expect(refused).toMatchObject({ code: 1, err: 'gh: Resource not accessible by integration (HTTP 403)\n' })
  })

  test('as git’s helper answers with the token of the task', async () => {
    const question = "printf 'protocol=https\\nhost=github.localhost\\n\\n'"
    const asked = `gh auth setup-git
      git config --global 'credential.https://github.localhost.helper' '!gh auth git-credential'
      ${question} | git credential fill`
    // With handles git would ask mayfly, whatever is configured.
    const { code, out, err } = await execWith('variables', READ, 'sh', '-ec', asked)
    expect(code, err).toBe(0)
    expect(out).toContain('username=x-access-token\n')
    const password = /^password=(.*)$/m.exec(out)?.[1] ?? ''
    expect(installation.github.credentials().at(-1)).toMatchObject({ sha256: sha256(password), alive: false })
  })

  test('is given a fresh token by the helper, where it outlives the one it was started with', async () => {
    const api = new URL(installation.github.url)
    const question = `printf 'protocol=http\\nhost=${api.host}\\npath=acme/api\\n'`
    const fresh = `GH_TOKEN=$(${question} | mayfly git-credential get | sed -n 's/^password=//p')`
    await writeFile(
      join(shell.home, 'mayfly'),
      `#!/bin/sh\nexec '${process.execPath}' '${join(import.meta.dirname, '../../src/main.ts')}' "$@"\n`,
      { mode: 0o755 },
    )
    const command = `export PATH="${shell.home}:$PATH"; ${fresh} gh api repos/acme/api --jq .full_name`
    const ran = await execWith('handles', READ, 'sh', '-ec', command)
    expect(ran).toMatchObject({ code: 0, out: 'acme/api\n', err: '' })
  })
})

function isInstalled(): boolean {
  try {
    execFileSync('gh', ['--version'])
    return true
  } catch {
    return false
  }
}
