/** A workflow that used octo-sts/action changes its `domain`, and nothing else: over HTTPS, with its post step. */
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { type Runner, startRunner } from '../fakes/runner.ts'
import { type ActionWorld, runAction, runPost } from './action-driver.ts'
import { createOctoInstallation, DOMAIN, type OctoInstallation, policyFor } from './octo-installation.ts'

let installation: OctoInstallation
let broker: RunningServer
let runner: Runner
const printed: string[] = []

beforeAll(async () => {
  installation = await createOctoInstallation()
  const [cert, key] = [join(installation.directory, 'cert.pem'), join(installation.directory, 'key.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
  const name = ['-subj', `/CN=${DOMAIN}`, '-addext', `subjectAltName=DNS:${DOMAIN}`]
  execFileSync('openssl', ['req', '-x509', ...curve, ...name, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const tls = { cert_file: 'cert.pem', key_file: 'key.pem' }
  await installation.configureOcto({}, { listen: { host: '127.0.0.1', port: 0, tls } })
  broker = await startBroker(installation)
  runner = await startRunner(installation)
})
afterAll(async () => {
  await runner?.close()
  await broker?.stop()
  await installation?.close()
})

/** The domain is this broker, by its certificate; api.github.com is the stand-in; the rest is what it is. */
const world = async (inputs: Record<string, string>): Promise<ActionWorld> => {
  const ca = await readFile(join(installation.directory, 'cert.pem'))
  const files = {
    GITHUB_OUTPUT: join(installation.directory, 'output'),
    GITHUB_STATE: join(installation.directory, 'state'),
  }
  for (const file of Object.values(files)) await writeFile(file, '')
  return {
    env: { ...runner.env, INPUT_DOMAIN: DOMAIN, ...files, ...inputs },
    wait: async ms => installation.clock.advance(ms),
    print: line => void printed.push(line),
    async fetch(target, init) {
      const url = new URL(String(target))
      if (url.hostname === 'api.github.com')
        return fetch(installation.github.url + url.pathname, {
          ...init,
          headers: { ...init?.headers, 'user-agent': 'node' },
        })
      if (url.hostname !== DOMAIN) return fetch(target, init)
      return overTls(url, ca, init?.headers as Record<string, string>)
    },
  }
}

function overTls(url: URL, ca: Buffer, headers: Record<string, string>): Promise<Response> {
  const { port } = new URL(broker.url)
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port, servername: DOMAIN, ca, path: url.pathname + url.search, headers }
    request(to, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode! })))
    })
      .on('error', reject)
      .end()
  })
}

test('the step gets a token, and its post step ends it', async () => {
  installation.put(1, 'deploy', policyFor(installation))
  const given = await world({ INPUT_SCOPE: 'acme/api', INPUT_IDENTITY: 'deploy' })
  expect(await runAction(given), printed.join('\n')).toBe(0)
  const state = await readFile(given.env.GITHUB_STATE!, 'utf8')
  const token = state.trim().replace('token=', '')
  const read = () =>
    fetch(`${installation.github.url}/repos/acme/api/contents/README.md`, {
      headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
    })
  expect((await read()).status).toBe(200)
  expect(await runPost({ ...given, env: { ...given.env, STATE_token: token } })).toBe(0)
  expect((await read()).status).toBe(401)
})

test('a refusal is tried again as it does it, and fails the step without a token', async () => {
  printed.length = 0
  const given = await world({ INPUT_SCOPE: 'acme/api', INPUT_IDENTITY: 'unheard-of' })
  expect(await runAction(given)).toBe(1)
  expect(printed.filter(line => line.includes('unable to find trust policy for'))).toHaveLength(3)
  expect(await readFile(given.env.GITHUB_OUTPUT!, 'utf8')).toBe('')
})

test('an outage of GitHub that is over by the second try costs nothing else', async () => {
  printed.length = 0
  installation.put(1, 'other', policyFor(installation))
  let left = 1
  installation.github.faults = ({ operation, when }) =>
    when === 'before' && operation === 'apps/create-installation-access-token' && left-- > 0
      ? { status: 503, body: '{}' }
      : 'ok'
  const given = await world({ INPUT_SCOPE: 'acme/api', INPUT_IDENTITY: 'other' })
  expect(await runAction(given), printed.join('\n')).toBe(0)
  installation.github.faults = () => 'ok'
  expect(printed.filter(line => line.startsWith('::warning::'))).toHaveLength(1)
})

test('a name that would lead elsewhere goes nowhere', async () => {
  printed.length = 0
  const wrong = await world({ INPUT_SCOPE: 'acme/api', INPUT_IDENTITY: '../../secrets' })
  expect(await runAction(wrong)).toBe(1)
  expect(printed.at(-2)).toContain('identity must be the name of a file')
})
