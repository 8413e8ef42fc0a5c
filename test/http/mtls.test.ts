/** X.509-SVIDs on the listener that asks for certificates: through the real port, with TLS as clients speak it. */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import * as DPoP from 'dpop'
import { Agent as UndiciAgent, fetch as undiciFetch } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BUNDLE_TIMES } from '../../attestors/shared/spiffe-bundle-file.ts'
import { createMayfly, fromClientCertificate, jwt } from '../../src/client/index.ts'
import type { Svid, SvidWish } from '../fakes/identity/spiffe-x509-authority.ts'
import { extension, makeKeys, pemOf, USES } from '../fakes/identity/x509-certificates.ts'
import { asks, ORDERS } from '../fakes/installation.ts'
import type { Answer } from '../support/api.ts'
import { type Certified, type ClientIdentity, createCertified, MTLS_URL } from '../support/certified.ts'

let certified: Certified
let coder: Svid
let bound: Svid

beforeAll(async () => {
  certified = await createCertified()
  coder = await certified.authority.issue('/agent/coder')
  bound = await certified.authority.issue('/agent/bound')
})
afterAll(() => certified?.close())

const opening = {
  ...{ evidence: { type: 'client_certificate' }, purpose: 'writes' },
  authorization_details: [asks.orders],
}
const open = (as: ClientIdentity | undefined) => certified.call('/v1/tasks', { body: opening, as })
const issue = (wish: SvidWish = {}) => certified.authority.issue('/agent/coder', wish)

const form = (clientId = 'spiffe://acme.test/agent/coder') => ({
  ...{ grant_type: 'client_credentials', client_id: clientId },
  authorization_details: JSON.stringify([asks.orders]),
})
const token = (as: ClientIdentity | undefined, fields: Record<string, string> = form()) =>
  certified.call('/oauth/token', { form: fields, as })

describe('a workload with an X.509-SVID', () => {
  test('opens a task, is given a credential, and completes', async () => {
    const opened = await open(coder)
    expect([opened.status, opened.body.task?.agent]).toEqual([201, 'coder'])
    const { task, task_token } = opened.body
    const path = `/v1/tasks/${task.id}`
    const held = { token: task_token, as: coder }
    const minted = await certified.call(`${path}/credentials`, { ...held, body: { ask: task.asks[0].id } })
    expect(minted.status).toBe(201)
    const done = await certified.call(`${path}/complete`, { ...held, body: { outcome: 'completed' } })
    expect([done.status, done.body.state]).toEqual([200, 'ended'])
  })

  test('gets a token by the client credentials grant, its SPIFFE ID as client_id', async () => {
    const answer = await token(coder)
    expect(answer.status).toBe(200)
    expect(answer.body).toMatchObject({ token_type: 'Bearer', task_token: expect.any(String) })
    const claims = JSON.parse(Buffer.from(answer.body.access_token.split('.')[1], 'base64url').toString())
    expect(claims).toMatchObject({ aud: ORDERS, sub: 'coder' })
  })

  test('shows it as often as it likes, at once, too', async () => {
    const answers = await Promise.all([open(coder), open(coder), open(coder), token(coder)])
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 200])
  })

  test('brings the authorities between its own and the bundle, in any order', async () => {
    const { authority } = certified
    const middle = await authority.authority({ name: 'CN=middle', issuer: authority.root })
    const low = await authority.authority({ name: 'CN=low', issuer: middle })
    const svid = await issue({ issuer: low, below: [low.der, middle.der] })
    expect((await open(svid)).status).toBe(201)
    const mixed = await issue({ issuer: low, below: [middle.der, low.der] })
    expect((await open(mixed)).status).toBe(201)
    const short = await issue({ issuer: low, below: [low.der] })
    expect((await open(short)).status).toBe(401)
  })

  test('is told where the listener is, by the first one', async () => {
    const url = new URL('/.well-known/oauth-authorization-server', certified.broker.url)
    const metadata: unknown = await (await fetch(url)).json()
    expect(metadata).toMatchObject({
      grant_types_supported: expect.arrayContaining(['client_credentials']),
      token_endpoint_auth_methods_supported: ['none', 'tls_client_auth'],
      tls_client_certificate_bound_access_tokens: true,
      mtls_endpoint_aliases: { token_endpoint: `${MTLS_URL}/oauth/token` },
    })
  })
})

describe('refused alike, whatever was wrong', () => {
  const uri = (value: string) => ({ type: 'url', value }) as const
  const { digitalSignature, keyCertSign, cRLSign, keyEncipherment } = USES
  test.each<[string, () => Promise<ClientIdentity>]>([
    [
      'X1 two URIs',
      () => issue({ names: [uri('spiffe://acme.test/agent/coder'), uri('spiffe://acme.test/b')] }),
    ],
    ['X1 no URI', () => issue({ names: [{ type: 'dns', value: 'coder.acme.test' }] })],
    ['X2 an authority', () => issue({ basic: extension.basic(true) })],
    ['X2 keyCertSign', () => issue({ usage: extension.usage(digitalSignature | keyCertSign) })],
    ['X2 cRLSign', () => issue({ usage: extension.usage(digitalSignature | cRLSign) })],
    ['X2 no digitalSignature', () => issue({ usage: extension.usage(keyEncipherment) })],
    ['X2 no key usage', () => issue({ usage: null })],
    ['X2 key usage not critical', () => issue({ usage: extension.usage(digitalSignature, false) })],
    ['X5 expired', () => issue({ fromS: -7200, untilS: -1 })],
    ['X5 not yet valid', () => issue({ fromS: 300 })],
    ['X5 of another bundle', async () => issue({ issuer: await certified.authority.authority() })],
    ['S5 the trust domain itself', () => certified.authority.issue('')],
    ['S7 another trust domain', () => issue({ names: [uri('spiffe://elsewhere.test/agent/coder')] })],
    ['the authority itself', async () => certificateOf(certified.authority.root)],
  ])('%s', async (_what, make) => {
    const as = await make()
    const [native, oauth] = [await open(as), await token(as)]
    expect([native.status, native.body.code]).toEqual([401, 'evidence_rejected'])
    expect(native.body).not.toHaveProperty('instance')
    expect([oauth.status, oauth.body]).toEqual([
      401,
      { error: 'invalid_client', error_description: 'the client certificate was not accepted as evidence' },
    ])
  })

  test("client_id of somebody else's", async () => {
    const answer = await token(coder, form('spiffe://acme.test/agent/bound'))
    expect([answer.status, answer.body.error]).toEqual([401, 'invalid_client'])
  })

  test('a workload that is no agent is told that', async () => {
    const stranger = await certified.authority.issue('/agent/stranger')
    const [native, oauth] = [
      await open(stranger),
      await token(stranger, form('spiffe://acme.test/agent/stranger')),
    ]
    expect([native.status, native.body.code]).toEqual([403, 'agent_unmatched'])
    expect([oauth.status, oauth.body.error]).toEqual([400, 'unauthorized_client'])
  })
})

describe('without a certificate', () => {
  test('it is said what is missing, on either listener', async () => {
    for (const url of [certified.broker.mtlsUrl!, certified.broker.url]) {
      const native = await certified.call('/v1/tasks', { body: opening, url })
      expect([native.status, native.body.code]).toEqual([400, 'request_invalid'])
      expect(native.body.detail).toContain('shows no client certificate')
      const oauth = await certified.call('/oauth/token', { form: form(), url })
      expect([oauth.status, oauth.body.error]).toEqual([401, 'invalid_client'])
    }
  })

  test('other evidence is taken as on the first listener', async () => {
    const evidence = { type: 'jwt', token: await certified.installation.jobToken() }
    const answer = await certified.call('/v1/tasks', { body: { ...opening, evidence } })
    expect(answer.status).toBe(201)
  })

  test('operators are not served here', async () => {
    const answer = await certified.call('/v1/agents', { method: 'GET', as: coder })
    expect(answer.status).toBe(404)
  })

  test('a header with a certificate is nothing', async () => {
    const headers = {
      'x-forwarded-client-cert': `Cert="${encodeURIComponent(coder.cert)}"`,
      'client-cert': `:${Buffer.from(coder.chain[0]!).toString('base64')}:`,
    }
    for (const url of [certified.broker.mtlsUrl!, certified.broker.url]) {
      const answer = await certified.call('/v1/tasks', { body: opening, headers, url })
      expect(answer.status).toBe(400)
    }
  })
})

describe('a task token that is bound to a certificate (X7)', () => {
  test('is of no use with another certificate, or with none', async () => {
    const { body } = await open(bound)
    const path = `/v1/tasks/${body.task.id}/heartbeat`
    const show = (as: ClientIdentity | undefined, url = certified.broker.mtlsUrl!) =>
      certified.call(path, { token: body.task_token, as, url })
    expect((await show(bound)).status).toBe(200)
    const renewed = await certified.authority.issue('/agent/bound')
    for (const answer of [
      ...[await show(undefined), await show(coder), await show(renewed)],
      await show(undefined, certified.broker.url),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([401, 'key_not_proven'])
      expect(answer.headers.get('www-authenticate')).toContain('error="invalid_token"')
    }
    expect((await show(bound)).status).toBe(200)
  })

  test('bound by a DPoP proof instead it outlives the SVID', async () => {
    const keys = await DPoP.generateKeyPair('ES256')
    let nonce: string | undefined
    const call = async (path: string, how: Parameters<Certified['call']>[1] = {}): Promise<Answer> => {
      const { method = 'POST', token: accessToken } = how
      const proof = await DPoP.generateProof(keys, `${MTLS_URL}${path}`, method, nonce, accessToken)
      const scheme = accessToken === undefined ? {} : { authorization: `DPoP ${accessToken}` }
      const { token: _, ...rest } = how
      const answer = await certified.call(path, { ...rest, headers: { dpop: proof, ...scheme } })
      const known = nonce
      nonce = answer.headers.get('dpop-nonce') ?? nonce
      return known === undefined && answer.body.code === 'dpop_nonce_needed' ? call(path, how) : answer
    }
    const opened = await call('/v1/tasks', { body: opening, as: bound })
    expect(opened.status).toBe(201)
    const renewed = await certified.authority.issue('/agent/bound')
    const path = `/v1/tasks/${opened.body.task.id}/heartbeat`
    expect((await call(path, { token: opened.body.task_token, as: renewed })).status).toBe(200)
    const stolen = await certified.call(path, { token: opened.body.task_token, as: bound })
    expect([stolen.status, stolen.body.code]).toEqual([401, 'key_not_proven'])
  })

  test('a copy of the opening that comes with another certificate does not take its place', async () => {
    const { clock, jobToken } = certified.installation
    const body = { ...opening, evidence: { type: 'jwt', token: await jobToken() } }
    const first = await certified.call('/v1/tasks', { body, as: bound })
    clock.advance(2_000)
    for (const as of [coder, undefined]) {
      const stolen = await certified.call('/v1/tasks', { body, as })
      expect([stolen.status, stolen.body.code]).toEqual([401, 'evidence_rejected'])
    }
    // The answer was lost: whoever had sent it may come again.
    const again = await certified.call('/v1/tasks', { body, as: bound })
    expect([first.status, again.status]).toEqual([201, 201])
  })

  test('and the JWT minted for it names the certificate', async () => {
    const answer = await token(bound, form('spiffe://acme.test/agent/bound'))
    const claims = JSON.parse(Buffer.from(answer.body.access_token.split('.')[1], 'base64url').toString())
    expect(claims.cnf).toEqual({ 'x5t#S256': expect.stringMatching(/^[\w-]{43}$/) })
  })
})

describe('while tasks run', () => {
  test('an SVID is renewed, and the task goes on', async () => {
    const { body } = await open(coder)
    const renewed = await issue()
    const path = `/v1/tasks/${body.task.id}`
    const answer = await certified.call(path, { method: 'GET', token: body.task_token, as: renewed })
    expect([answer.status, answer.body.state]).toEqual([200, 'active'])
  })

  test('the bundle changes: both authorities count, then the new one alone', async () => {
    const { authority, installation, writeBundle } = certified
    await authority.rotate()
    await writeBundle()
    installation.clock.advance(BUNDLE_TIMES.checkMs)
    expect([(await open(coder)).status, (await open(await issue())).status]).toEqual([201, 201])
    await authority.rotate({ keepOld: false })
    await writeBundle()
    installation.clock.advance(BUNDLE_TIMES.checkMs)
    expect([(await open(coder)).status, (await open(await issue())).status]).toEqual([401, 201])
  })

  test("the broker's own certificate is renewed, and it asks for certificates as before", async () => {
    const before = await serverCertificate()
    await certified.renewServer()
    await certified.broker.reload()
    expect(await serverCertificate()).not.toBe(before)
    const svid = await issue()
    expect((await open(svid)).status).toBe(201)
    expect(await isResumed(svid)).toBe(false)
  })
})

describe('the connection', () => {
  test('is never one that goes on from another', async () => {
    expect(await isResumed(await issue())).toBe(false)
  })

  test('shows the key of the certificate, or there is none', async () => {
    const { pem } = await makeKeys()
    await expect(open({ cert: coder.cert, key: pem })).rejects.toThrow()
  })

  test('is of TLS 1.3', async () => {
    await expect(handshake({ maxVersion: 'TLSv1.2' })).rejects.toThrow()
  })
})

describe('clients', () => {
  /** `fetch` that shows an SVID on each connection. */
  function fetchAs({ cert, key }: ClientIdentity): typeof globalThis.fetch {
    const dispatcher = new UndiciAgent({ connect: { cert, key, ca: certified.ca } })
    // Both are the Fetch standard's, declared twice.
    return ((url: string, how: object) => undiciFetch(url, { ...how, dispatcher })) as unknown as typeof fetch
  }

  test("the TypeScript client opens by the connection's certificate", async () => {
    const mayfly = createMayfly({
      ...{ url: certified.broker.mtlsUrl!, evidence: fromClientCertificate(), fetch: fetchAs(await issue()) },
    })
    const orders = jwt({ audience: ORDERS, scopes: ['orders.read'] })
    await using task = await mayfly.openTask({ purpose: 'writes', asks: [orders] })
    expect((await task.credential(orders)).reveal().split('.')).toHaveLength(3)
  })

  test('certificates of OpenSSL are taken', async () => {
    const folder = certified.installation.directory
    const at = (name: string) => join(folder, name)
    const run = (...args: string[]) => promisify(execFile)('openssl', args)
    await writeFile(at('leaf.ext'), LEAF_EXTENSIONS)
    await writeFile(at('root.pem'), pemOf(certified.authority.root.der))
    await writeFile(at('root.key'), certified.authority.root.keys.pem)
    await run('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at('leaf.key'))
    await run('req', '-new', '-key', at('leaf.key'), '-subj', '/C=US/O=SPIRE', '-out', at('leaf.csr'))
    await run(
      ...['x509', '-req', '-in', at('leaf.csr'), '-CA', at('root.pem'), '-CAkey', at('root.key')],
      ...['-days', '1', '-sha256', '-extfile', at('leaf.ext'), '-out', at('leaf.pem')],
    )
    const [cert, key] = [await readFile(at('leaf.pem'), 'utf8'), await readFile(at('leaf.key'), 'utf8')]
    expect((await open({ cert, key })).status).toBe(201)
  })
})

const LEAF_EXTENSIONS = `
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = URI:spiffe://acme.test/agent/coder
`

function certificateOf({ der, keys }: { der: Uint8Array; keys: { pem: string } }): ClientIdentity {
  return { cert: pemOf(der), key: keys.pem }
}

async function serverCertificate(): Promise<string> {
  const socket = await handshake({})
  const { fingerprint256 } = socket.getPeerCertificate()
  socket.destroy()
  return fingerprint256
}

/** Whether a connection that brings what a first one was given to go on with is taken for its continuation. */
async function isResumed(as: ClientIdentity): Promise<boolean> {
  const first = await handshake(as)
  const session = new Promise<Buffer | undefined>(resolve => {
    first.once('session', resolve)
    first.once('close', () => resolve(undefined))
  })
  first.write('GET /livez HTTP/1.1\r\nhost: mayfly.test\r\nconnection: close\r\n\r\n')
  first.resume()
  const given = await session
  first.destroy()
  const second = await handshake(given === undefined ? {} : { session: given })
  const resumed = second.isSessionReused()
  second.destroy()
  return resumed
}

function handshake(options: ConnectionOptions): Promise<TLSSocket> {
  const { hostname: host, port } = new URL(certified.broker.mtlsUrl!)
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), ca: certified.ca, ...options })
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
  })
}
