/** curl, with certificates of OpenSSL's making, at the listener that asks for them. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pemOf } from '../fakes/identity/x509-certificates.ts'
import { asks } from '../fakes/installation.ts'
import { type Certified, createCertified } from '../support/certified.ts'

const run = promisify(execFile)
let certified: Certified
const at = (name: string) => join(certified.installation.directory, name)

beforeAll(async () => {
  certified = await createCertified()
  const { root } = certified.authority
  await writeFile(at('ca.pem'), certified.ca)
  await writeFile(at('root.pem'), pemOf(root.der))
  await writeFile(at('root.key'), root.keys.pem)
  await issue('coder', 'spiffe://acme.test/agent/coder')
  await issue('bound', 'spiffe://acme.test/agent/bound')
  await issue('elsewhere', 'spiffe://elsewhere.test/agent/coder')
})
afterAll(() => certified?.close())

/** `NAME.pem` and `NAME.key`, the way that OpenSSL's own command line makes them. */
async function issue(name: string, id: string): Promise<void> {
  const extensions =
    'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n' +
    `extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=URI:${id}\n`
  await writeFile(at('leaf.ext'), extensions)
  const [key, csr, pem] = [at(`${name}.key`), at(`${name}.csr`), at(`${name}.pem`)]
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('openssl', ['req', '-new', ...ec, '-keyout', key, '-subj', '/C=US/O=SPIRE', '-out', csr])
  await run('openssl', [
    ...['x509', '-req', '-in', csr, '-CA', at('root.pem'), '-CAkey', at('root.key'), '-CAcreateserial'],
    ...['-days', '1', '-sha256', '-extfile', at('leaf.ext'), '-out', pem],
  ])
}

async function curl(as: string | undefined, path: string, ...more: string[]) {
  const shown = as === undefined ? [] : ['--cert', at(`${as}.pem`), '--key', at(`${as}.key`)]
  const url = new URL(path, certified.broker.mtlsUrl).href
  const { stdout } = await run('curl', [
    ...['-sS', '--cacert', at('ca.pem'), ...shown, '-w', '\n%{http_code}', ...more, url],
  ])
  const [body = '', status] = stdout.split(/\n(?=\d+$)/)
  return { status: Number(status), body: JSON.parse(body) }
}

const form = (id: string) => [
  ...['-d', 'grant_type=client_credentials', '-d', `client_id=${id}`],
  ...['--data-urlencode', `authorization_details=${JSON.stringify([asks.orders])}`],
]

test('a token, by the client credentials grant', async () => {
  const answer = await curl('coder', '/oauth/token', ...form('spiffe://acme.test/agent/coder'))
  expect([answer.status, answer.body.token_type]).toEqual([200, 'Bearer'])
})

test('a task, and its token of no use without the certificate that it is bound to', async () => {
  const body = JSON.stringify({
    ...{ evidence: { type: 'client_certificate' }, purpose: 'curl' },
    authorization_details: [asks.orders],
  })
  const json = ['-H', 'content-type: application/json', '-d', body]
  const opened = await curl('bound', '/v1/tasks', ...json)
  expect(opened.status).toBe(201)
  const bearer = ['-H', `authorization: Bearer ${opened.body.task_token}`]
  const path = `/v1/tasks/${opened.body.task.id}`
  expect((await curl('bound', path, ...bearer)).body.state).toBe('active')
  for (const other of ['coder', undefined])
    expect((await curl(other, path, ...bearer)).body.code).toBe('key_not_proven')
})

test('of another trust domain, and without a certificate', async () => {
  const answer = await curl('elsewhere', '/oauth/token', ...form('spiffe://elsewhere.test/agent/coder'))
  expect([answer.status, answer.body.error]).toEqual([401, 'invalid_client'])
  expect((await curl(undefined, '/oauth/token', ...form('spiffe://acme.test/agent/coder'))).status).toBe(401)
})
