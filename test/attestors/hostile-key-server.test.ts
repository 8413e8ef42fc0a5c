/**
 * Servers of keys that mean harm, all at once and wherever keys come from, against a broker that is a process of its
 * own: each is told as an outage, in bounded memory, and everybody else's evidence is taken meanwhile.
 */
import { readFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AttestationUnavailable } from '../../attestors/attestor.ts'
import { kubernetes } from '../../attestors/kubernetes.ts'
import { oidc } from '../../attestors/oidc.ts'
import { FEDERATION_TIMES } from '../../attestors/shared/bundle-federation.ts'
import { KEY_SET_TIMES } from '../../attestors/shared/remote-key-set.ts'
import { spiffeJwt } from '../../attestors/spiffe-jwt.ts'
import { createOutbound, OUTBOUND_LIMITS } from '../../src/outbound.ts'
import { createShell, type Running, type Shell } from '../cli/mayfly.ts'
import { createForger } from '../fakes/identity/forger.ts'
import {
  type Answer,
  DISCOVERY,
  flood,
  hang,
  KEYS,
  type KeyServer,
  redirect,
  startKeyServer,
  status,
  text,
} from '../fakes/identity/key-server.ts'
import { asks, createInstallation, type Installation } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { AUDIENCE, jwt, NOON, open } from './issuer-subject.ts'

const MIB = 1024 * 1024
const forger = createForger({ algorithm: 'RS256', kid: 'good' })
const bomb = gzipSync(Buffer.alloc(100 * MIB, ' '))
/** A bomb inside a bomb: what comes out of the first is small. */
const nested = gzipSync(bomb)

const zipped =
  (packed: Buffer, encoding: string): Answer =>
  response =>
    response.writeHead(200, { 'content-encoding': encoding }).end(packed)

const HOSTILE: Readonly<Record<string, Answer>> = {
  '80 MB': flood(80 * MIB),
  'a body without end': flood(),
  'a byte a second': drip,
  silence: hang,
  'a gzip bomb': zipped(bomb, 'gzip'),
  'a gzip bomb in another': zipped(nested, 'gzip, gzip'),
  'a redirect': redirect('/elsewhere'),
  'a redirect to the metadata service': redirect('http://169.254.169.254/latest/meta-data/'),
  'a redirect to a file': redirect('file:///etc/passwd'),
  'an end in the middle': response => {
    response.writeHead(200, { 'content-length': '1000' })
    response.write('{"keys":[', () => response.destroy())
  },
  'headers without end': response => {
    for (let n = 0; n < 20; n += 1) response.setHeader(`x-${n}`, 'y'.repeat(4_000))
    response.end()
  },
  'a page': text('<html>'),
  'ten thousand members': text(`{"keys":[${Array(10_000).fill('{"kty":"RSA","kty":"RSA"}')}]}`),
  'deep nesting': text(`{"keys":${'['.repeat(100_000)}`),
  'half an answer': text('{"keys":['),
  'an error': status(503),
}

/** One at a time, for as long as it is listened to. */
function drip(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write('{')
  const timer = setInterval(() => response.write(' '), 1_000)
  response.on('close', () => clearInterval(timer))
}

type Source = {
  what: string
  /** Where the server is hostile; it behaves everywhere else. */
  path: string
  settings(server: KeyServer, name: string): Record<string, unknown>
  token(server: KeyServer, name: string): string
}
const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews'
const idToken = (iss: string, claims: object = {}) => {
  const iat = Math.floor(Date.now() / 1000)
  const times = { iat, exp: iat + 300, jti: `${iss} once` }
  return forger.token({ iss, aud: AUDIENCE, sub: 'workload', ...times, ...claims })
}
const pod = {
  ...{ namespace: 'a', pod: { name: 'b', uid: 'c' }, serviceaccount: { name: 'd', uid: 'e' } },
}
const podToken = (name: string) =>
  idToken(`https://${name}.test`, { sub: 'system:serviceaccount:a:d', 'kubernetes.io': pod })

/** Every way in which keys, or a word on a token, come from outside. */
const SOURCES: readonly Source[] = [
  {
    ...{ what: 'discovery', path: DISCOVERY },
    settings: ({ issuer }) => ({ type: 'oidc', issuer }),
    token: ({ issuer }) => idToken(issuer),
  },
  {
    ...{ what: 'key set', path: KEYS },
    settings: ({ issuer }) => ({ type: 'gitlab-ci', issuer }),
    token: ({ issuer }) => idToken(issuer),
  },
  {
    ...{ what: 'jwks-uri', path: KEYS },
    settings: ({ issuer }) => ({ type: 'google-cloud', issuer, jwks_uri: issuer + KEYS }),
    token: ({ issuer }) => idToken(issuer),
  },
  {
    ...{ what: 'api-server', path: '/openid/v1/jwks' },
    settings: ({ issuer }, name) => ({
      type: 'kubernetes',
      issuer: `https://${name}.test`,
      api_server: issuer,
    }),
    token: (_server, name) => podToken(name),
  },
  {
    ...{ what: 'token-review', path: REVIEWS },
    settings: ({ issuer }, name) => ({
      ...{ type: 'kubernetes', issuer: `https://${name}.test`, api_server: issuer },
      ...{ token_review: true, token_file: 'bundle.json' },
    }),
    token: (_server, name) => podToken(name),
  },
  {
    ...{ what: 'bundle', path: '/bundle' },
    settings: ({ issuer }, name) => ({
      ...{ type: 'spiffe-jwt', trust_domain: `${name}.test` },
      bundle: { https_web: { url: `${issuer}/bundle` } },
    }),
    token: (_server, name) => idToken('', { iss: undefined, sub: `spiffe://${name}.test/a` }),
  },
]

type Cell = { name: string; what: string; server: KeyServer; token: string }

describe('against a broker that runs', () => {
  let installation: Installation
  let shell: Shell
  let broker: Running
  let api: Api
  const cells: Cell[] = []

  beforeAll(async () => {
    const attestors: Record<string, unknown> = {}
    for (const source of SOURCES)
      for (const [index, [what, answer]] of Object.entries(HOSTILE).entries()) {
        const name = `${source.what.replaceAll(' ', '-')}-${index}`
        const server = await startKeyServer(forger.jwks())
        server.answer('/openid/v1/jwks', response => response.end(JSON.stringify(server.keySet)))
        server.answer(source.path, answer)
        attestors[name] = { audience: AUDIENCE, ...source.settings(server, name) }
        cells.push({ name, what: `${source.what}: ${what}`, server, token: source.token(server, name) })
      }
    installation = await createInstallation()
    const { identityProvider } = installation
    await installation.configure({
      settings: {
        attestors: {
          ...attestors,
          actions: { type: 'github-actions', issuer: identityProvider.issuer, audience: AUDIENCE },
          spire: {
            type: 'spiffe-jwt',
            trust_domain: 'acme.test',
            audience: AUDIENCE,
            bundle_file: 'bundle.json',
          },
        },
      },
    })
    shell = await createShell()
    broker = shell.start(['serve', '--config', installation.configPath])
    const url = await broker.reads(/"url":"([^"]+)"[^\n]*"mayfly is ready"/)
    api = createApi({ url }, installation)
  })
  afterAll(async () => {
    broker?.kill('SIGKILL')
    await broker?.ended
    for (const { server } of cells) await server.close()
    await Promise.all([installation?.close(), shell?.close()])
  })

  const attempt = (token: string) =>
    api.call('POST', '/v1/tasks', undefined, {
      ...{ evidence: { type: 'jwt', token }, purpose: 'a test', authorization_details: [asks.apiRead] },
    })

  test('each is an outage, and nobody else waits', async () => {
    expect((await attempt(await installation.jobToken())).status).toBe(201)
    const before = peakBytes(broker.pid)
    let pending = cells.length
    let meanwhile = 0
    const others = (async () => {
      while (pending > 0) {
        const answers = await Promise.all([
          attempt(await installation.jobToken()),
          attempt(installation.svid('/agent/coder')),
        ])
        expect(answers.map(({ status }) => status)).toEqual([201, 201])
        if (pending > 0) meanwhile += 1
        // So many that it can be seen, and not so many that nothing else gets a turn.
        await wait(20)
      }
    })()
    const answers = await Promise.all(
      cells.map(async ({ what, token }) => {
        const { status, body, headers } = await attempt(token)
        pending -= 1
        return { what, status, code: body.code, waits: headers.has('retry-after') }
      }),
    )
    await others
    const outage = { status: 503, code: 'attestation_unavailable', waits: true }
    expect(answers).toEqual(cells.map(({ what }) => ({ what, ...outage })))
    // Silence was still being waited for when these had been answered, from the first to the last.
    expect(meanwhile).toBeGreaterThan(10)
    expect(peakBytes(broker.pid) - before).toBeLessThan(cells.length * 8 * OUTBOUND_LIMITS.maxBodyBytes)
  }, 60_000)

  test('none was asked anywhere but where it is, and no connection is left to it', async () => {
    for (const { what, server } of cells) {
      expect([what, server.requests.includes('/elsewhere')]).toEqual([what, false])
      await expect.poll(() => server.openConnections(), { timeout: 15_000 }).toBeLessThanOrEqual(1)
    }
  }, 60_000)
})

/** The most that the process ever held in memory. */
function peakBytes(pid: number): number {
  const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) * 1024
}

describe('a name that means another machine the next moment', () => {
  const pem = (name: string) => readFileSync(join(import.meta.dirname, '../fakes/identity/tls', name), 'utf8')
  const key = { ...forger.key.publicJwk }
  const served = (use: string) => JSON.stringify({ keys: [{ ...key, use }], spiffe_sequence: 1 })

  test.each([
    ['oidc', oidc, KEY_SET_TIMES.refreshAfterMs],
    ['kubernetes', kubernetes, KEY_SET_TIMES.refreshAfterMs],
    ['spiffe-jwt', spiffeJwt, FEDERATION_TIMES.mostRefreshMs],
  ])('%s is not led there, and keeps the keys that it has', async (name, type, later) => {
    const server = createTlsServer({ cert: pem('cert.pem'), key: pem('key.pem') }, (request, response) => {
      const isDiscovery = request.url === DISCOVERY
      // Each call is a new connection, whose address is asked for again.
      response.setHeader('connection', 'close')
      response.end(
        isDiscovery
          ? JSON.stringify({ issuer, jwks_uri: issuer + KEYS })
          : served(name === 'spiffe-jwt' ? 'jwt-svid' : 'sig'),
      )
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const issuer = `https://issuer.test:${(server.address() as AddressInfo).port}`
    let address = '127.0.0.1'
    let nowMs = NOON
    const lookup = async () => [{ address, family: 4 } as const]
    const outbound = createOutbound({ allowLoopback: true, ca: pem('cert.pem'), lookup })
    const settings = {
      oidc: { issuer },
      kubernetes: { issuer: 'https://cluster.test', api_server: issuer },
      'spiffe-jwt': { trust_domain: 'acme.test', bundle: { https_web: { url: `${issuer}/bundle` } } },
    }[name]
    const attestorOf = () =>
      open(type, { audience: AUDIENCE, ...settings }, { now: () => nowMs, fetch: url => outbound.get(url) })
    const token = () => {
      const iat = nowMs / 1000
      const of = {
        oidc: { iss: issuer },
        kubernetes: { iss: 'https://cluster.test', sub: 'system:serviceaccount:a:d' },
        'spiffe-jwt': { sub: 'spiffe://acme.test/a' },
      }[name]
      return jwt(
        forger.token({ aud: AUDIENCE, sub: 'a', iat, exp: iat + 60, jti: 'x', 'kubernetes.io': pod, ...of }),
      )
    }
    const attestor = attestorOf()
    expect(await attestor.attest(token())).toMatchObject({ ok: true })
    for (const elsewhere of ['169.254.169.254', '10.0.0.7', '0.0.0.0']) {
      address = elsewhere
      nowMs += later
      expect(await attestor.attest(token())).toMatchObject({ ok: true })
      await expect(attestorOf().attest(token())).rejects.toThrow(AttestationUnavailable)
      await expect(attestorOf().attest(token())).rejects.toThrow('must not be reached')
    }
    await outbound.close()
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
})
