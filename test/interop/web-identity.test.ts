/** The `aws-sts` issuer without an AWS key, against radosgw, which fetches the issuer's documents over HTTP. */
import { execFileSync } from 'node:child_process'
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateOpenIDConnectProviderCommand,
  CreateRoleCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { type JWK, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { awsSts } from '../../issuers/aws-sts.ts'
import { ENDPOINT, fillBucket, iam, REGION, read, statusOf, write } from './radosgw.ts'

let server: Server
let issuerUrl: string
let privateKey: ReturnType<typeof createPrivateKey>
let roleArn: string

beforeAll(async () => {
  await fillBucket()
  const { key, certificate } = selfSigned()
  privateKey = key
  const jwk: JWK = {
    ...{ kty: 'EC', kid: 'own', alg: 'ES256', use: 'sig' },
    ...certificate.publicKey.export({ format: 'jwk' }),
    // What radosgw verifies with; AWS needs none.
    x5c: [certificate.raw.toString('base64')],
  }
  server = createServer((request, response) => {
    const body = request.url?.endsWith('/openid-configuration')
      ? { issuer: issuerUrl, jwks_uri: `${issuerUrl}/.well-known/jwks.json` }
      : { keys: [jwk] }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(body))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}/aws`
  issuerUrl = `http://${host}`
  const { OpenIDConnectProviderArn: Federated } = await iam.send(
    new CreateOpenIDConnectProviderCommand({
      Url: issuerUrl,
      ClientIDList: ['sts.amazonaws.com'],
      ThumbprintList: [createHash('sha1').update(certificate.raw).digest('hex').toUpperCase()],
    }),
  )
  const statement = {
    Effect: 'Allow',
    Principal: { Federated: [Federated] },
    Action: ['sts:AssumeRoleWithWebIdentity', 'sts:TagSession'],
    Condition: { StringEquals: { [`${host}:sub`]: 'mayfly:aws:task' } },
  }
  const { Role } = await iam.send(
    new CreateRoleCommand({
      RoleName: 'federated',
      AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
    }),
  )
  roleArn = Role?.Arn ?? ''
  const all = { Effect: 'Allow', Action: 's3:*', Resource: '*' }
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: [all] })
  await iam.send(new PutRolePolicyCommand({ RoleName: 'federated', PolicyName: 'base', PolicyDocument }))
})
afterAll(() => new Promise(resolve => server.close(resolve)))

/** Node can read certificates and not make them. */
function selfSigned() {
  const folder = mkdtempSync(join(tmpdir(), 'mayfly-interop-'))
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    const rest = ['-nodes', '-subj', '/CN=mayfly', '-days', '1', '-keyout', key, '-out', cert]
    execFileSync('openssl', ['req', '-x509', ...curve, ...rest], { stdio: 'pipe' })
    return { key: createPrivateKey(readFileSync(key)), certificate: new X509Certificate(readFileSync(cert)) }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function issue(sub = 'mayfly:aws:task') {
  const settings = awsSts.settings.parse({ region: REGION, endpoint: ENDPOINT, credentials: 'web_identity' })
  const issuer = awsSts.open(settings, {
    now: Date.now,
    fetch,
    readSecretFile: () => Promise.reject(new Error('there is no key')),
    jwt: { issuerUrl: 'https://mayfly.test', sign: async () => 'unused' },
    webIdentity: {
      issuerUrl,
      sign: (typ, claims) =>
        new SignJWT({ ...claims, sub })
          .setProtectedHeader({ alg: 'ES256', typ, kid: 'own' })
          .sign(privateKey),
    },
    userAgent: 'mayfly/interop',
  })
  const ask = issuer.ask.parse({
    role: roleArn,
    allow_iam_writes: true,
    statements: [{ actions: ['s3:GetObject'], resources: ['arn:aws:s3:::artifacts/build.txt'] }],
  })
  const lease = 'lse_interop0000000000000000021'
  const now = Date.now()
  return issuer.issue({
    ...{ lease, ask, task: 'tsk_1', agent: 'deployer', chain: [] },
    ...{ expiresAt: now + 600_000, mintNotAfter: now + issuer.mintWindowMs },
  })
}

test('the broker’s own signature opens a session that can do what was asked and nothing else', async () => {
  const issued = await issue()
  if (!issued.ok) throw new Error(issued.detail)
  const { AccessKeyId, SecretAccessKey, SessionToken } = JSON.parse(issued.secret.reveal())
  const keys = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
  expect(await read(keys)).toBe('hello')
  expect(await statusOf(read(keys, 'other.txt'))).toBe(403)
  expect(await statusOf(write(keys, 'build.txt'))).toBe(403)
})

test('another subject is refused', async () => {
  expect(await issue('mayfly:other:task')).toMatchObject({ ok: false })
})
