/**
 * A whole installation on this machine: an identity provider, a SPIFFE authority, a GitHub and an AWS, and a
 * configuration folder for a broker that trusts them. The broker itself is started in this process
 * (`startBroker`) or as a process of its own with `configPath`.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Log } from '../../src/broker/broker.ts'
import { kekFiles } from '../../src/keys/kek-files.ts'
import type { Edge } from '../../src/open-core.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { type AwsServer, startAws } from './aws/server.ts'
import { type Github, standingAppKey, startGithub } from './github/github.ts'
import { githubClaims } from './identity/github-claims.ts'
import { type IdentityProvider, startIdentityProvider } from './identity/identity-provider.ts'
import { createSpiffeAuthority, type SpiffeAuthority } from './identity/spiffe-authority.ts'
import { standingKey } from './standing-key.ts'

export const AUDIENCE = 'https://mayfly.test'
export const ORDERS = 'https://orders.example.com'
export const RESOURCE_SERVER = { id: 'orders-api', secret: 'a-long-random-secret-of-the-orders-api' }
export const BUCKET = 'artifacts'
const AWS_KEY = { AccessKeyId: 'AKIABROKER0000000000', SecretAccessKey: 'a-secret-of-the-broker-user' }

export type Clock = {
  /** Epoch ms. */
  now: () => number
  /** Moves this clock, and every stand-in that reads it, ahead of the machine's. */
  advance(ms: number): void
}

export type Installation = {
  directory: string
  configPath: string
  clock: Clock
  identityProvider: IdentityProvider
  spiffe: SpiffeAuthority
  github: Github & { url: string }
  aws: AwsServer
  roleArn: string
  /** The agents' files as they are written when nothing is changed. */
  agents: Readonly<Record<string, Record<string, unknown>>>
  /** Writes the configuration again with these changes, for a reload or a restart. */
  configure(changes: ConfigChanges): Promise<void>
  /** The ID token of an ordinary job of acme/api on main, with any claims changed. */
  jobToken(claims?: Record<string, unknown>): Promise<string>
  /** A JWT-SVID for a path of the trust domain `acme.test`. */
  svid(path: string): string
  close(): Promise<void>
}

export type ConfigChanges = {
  settings?: Record<string, unknown>
  /** What the `aws` issuer's settings have besides. */
  aws?: Record<string, unknown>
  agents?: Record<string, Record<string, unknown>>
}

export async function createInstallation(changes: ConfigChanges = {}): Promise<Installation> {
  let ahead = 0
  const now = () => Date.now() + ahead
  const clock: Clock = {
    now,
    advance(ms) {
      ahead += ms
    },
  }
  const random = (bytes: number) => randomBytes(bytes)
  const directory = await mkdtemp(join(tmpdir(), 'mayfly-'))
  const identityProvider = await startIdentityProvider({
    ...{ now, audience: AUDIENCE },
    privateKey: standingKey('identity-provider'),
  })
  const spiffe = createSpiffeAuthority({ trustDomain: 'acme.test', now, audience: AUDIENCE })
  const { privateKeyPem, publicKeyPem } = standingAppKey()
  const github = await startGithub({ now, random })
  stockGithub(github, publicKeyPem)
  const aws = await startAws({ now, random })
  const roleArn = stockAws(aws)
  const declared = agentsFor(roleArn)

  const written = { identityProvider, github, aws, roleArn }
  await mkdir(join(directory, 'agents'))
  await mkdir(join(directory, 'resource-servers'))
  await writeFile(join(directory, 'app.pem'), privateKeyPem, { mode: 0o600 })
  await writeFile(join(directory, 'aws-key.json'), JSON.stringify(AWS_KEY), { mode: 0o600 })
  await writeFile(join(directory, 'bundle.json'), spiffe.bundle())
  await configure(changes)

  async function configure({ settings = {}, aws: more = {}, agents = {} }: ConfigChanges): Promise<void> {
    const plain = settingsFor(written)
    const issuers = { ...plain.issuers, aws: { ...plain.issuers.aws, ...more } }
    await writeFile(join(directory, 'mayfly.yaml'), stringify({ ...plain, issuers, ...settings }))
    const all = { ...declared, ...agents }
    for (const [name, agent] of Object.entries(all))
      await writeFile(join(directory, 'agents', `${name}.yaml`), stringify({ name, ...agent }))
    const secret_sha256 = createHash('sha256').update(RESOURCE_SERVER.secret).digest('hex')
    const server = { name: RESOURCE_SERVER.id, audience: ORDERS, secret_sha256 }
    await writeFile(join(directory, 'resource-servers', `${RESOURCE_SERVER.id}.yaml`), stringify(server))
  }

  return {
    ...{
      directory,
      configPath: join(directory, 'mayfly.yaml'),
      clock,
      identityProvider,
      spiffe,
      github,
      aws,
      roleArn,
    },
    agents: declared,
    configure,
    jobToken: (claims = {}) => identityProvider.mintToken(githubClaims({ ...JOB, ...claims })),
    // A fresh one each time, as a workload that asks for one each time has it.
    svid: path => spiffe.mintSvid({ sub: path, claims: { jti: randomUUID() } }),
    async close() {
      await Promise.all([identityProvider.close(), github.close(), aws.close()])
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** What the job of the tests is: acme/api (id 1) of owner 5001, a push to main. */
const JOB = {
  repository: 'acme/api',
  repository_id: '1',
  repository_owner: 'acme',
  repository_owner_id: '5001',
  event_name: 'push',
  ref: 'refs/heads/main',
  sub: 'repo:acme/api:ref:refs/heads/main',
}

function stockGithub(github: Github, publicKeyPem: string): void {
  github.addApp({ appId: 424242, clientId: 'Iv23liMayflyTest', slug: 'mayfly', publicKeyPem })
  const files = { 'README.md': 'hello', 'src/main.ts': 'export {}' }
  github.addRepository({ id: 1, owner: 'acme', name: 'api', files })
  github.addRepository({ id: 2, owner: 'acme', name: 'web', files })
  github.addInstallation({
    ...{ id: 77, appId: 424242, account: 'acme', accountId: 5001, repositories: [1, 2] },
    permissions: { contents: 'write', issues: 'write', pull_requests: 'write', administration: 'write' },
  })
}

function stockAws(aws: AwsServer): string {
  const broker = aws.addUser({
    name: 'mayfly',
    accessKeyId: AWS_KEY.AccessKeyId,
    secretAccessKey: AWS_KEY.SecretAccessKey,
    policy: {
      Version: '2012-10-17',
      Statement: [{ Effect: 'Allow', Action: ['sts:*', 'iam:*'], Resource: '*' }],
    },
  })
  const policy = {
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Action: ['s3:*', 'sts:*', 'ec2:DescribeRegions'], Resource: '*' }],
  }
  aws.putObject(BUCKET, 'build.txt', 'built')
  aws.putObject('ledgers', 'payroll.txt', 'not yours')
  return aws.addRole({ name: 'deploy', trusts: [broker.arn], policy }).arn
}

type Counterparts = Pick<Installation, 'identityProvider' | 'github' | 'aws' | 'roleArn'>

function settingsFor({ identityProvider, github, aws, roleArn }: Counterparts) {
  return {
    listen: { host: '127.0.0.1', port: 0 },
    public_url: 'http://127.0.0.1:8480',
    ledger: { type: 'sqlite', path: 'data/mayfly.db' },
    kek_file: 'data/kek',
    attestors: {
      actions: { type: 'github-actions', issuer: identityProvider.issuer, audience: AUDIENCE },
      spire: {
        type: 'spiffe-jwt',
        trust_domain: 'acme.test',
        audience: AUDIENCE,
        bundle_file: 'bundle.json',
      },
    },
    issuers: {
      github: {
        type: 'github-app',
        client_id: 'Iv23liMayflyTest',
        private_key_file: 'app.pem',
        api_url: github.url,
      },
      aws: {
        ...{ type: 'aws-sts', region: 'eu-central-1', endpoint: aws.url, roles: [roleArn] },
        credentials: { access_key_file: 'aws-key.json' },
      },
      jwt: { type: 'signed-jwt', audiences: [{ audience: ORDERS, scopes: ['orders.read', 'orders.write'] }] },
    },
    outbound: { allow_loopback: true },
    limits: {
      requests_per_minute_per_source: 1_000_000,
      exchanges_per_minute_per_source: 1_000_000,
      failed_attestations_per_minute_per_source: 1_000_000,
    },
  }
}

/** What asks in tests and in the demo are made of. */
export const asks = {
  api: { type: 'github', repositories: ['acme/api'], permissions: { contents: 'write' } },
  apiRead: { type: 'github', repositories: ['acme/api'], permissions: { contents: 'read' } },
  orders: { type: 'jwt', audience: ORDERS, scopes: ['orders.read'] },
  artifacts: (role: string) => ({
    type: 'aws',
    role,
    statements: [{ actions: ['s3:GetObject'], resources: [`arn:aws:s3:::${BUCKET}/*`] }],
  }),
}

function agentsFor(role: string): Record<string, Record<string, unknown>> {
  const common = {
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    systems: ['api'],
    expires_at: '2040-01-01T00:00:00Z',
    limits: { task_minutes: 60, active_tasks: 10_000, credentials_per_hour: 100_000 },
  }
  const ceiling = {
    github: [{ repositories: ['acme/api'], permissions: { contents: 'write', issues: 'write' } }],
    aws: [
      {
        role,
        statements: [{ actions: ['s3:GetObject', 's3:PutObject'], resources: [`arn:aws:s3:::${BUCKET}/*`] }],
      },
    ],
    jwt: [{ audience: ORDERS, scopes: ['orders.read', 'orders.write'] }],
  }
  const { github, jwt } = ceiling
  return {
    release: {
      ...{ ...common, purpose: 'Releases the api from its main branch', risk_tier: 'medium', ceiling },
      attest: [
        { attestor: 'actions', claims: { repository_id: '1', ref: 'refs/heads/main', event_name: 'push' } },
      ],
    },
    coder: {
      ...{ ...common, purpose: 'Writes code for the api', risk_tier: 'high', ceiling },
      attest: [{ attestor: 'spire', subject: 'spiffe://acme.test/agent/coder' }],
      may_delegate_to: ['reviewer'],
    },
    reviewer: {
      ...{ ...common, purpose: 'Reads what the coder wrote', risk_tier: 'low' },
      ceiling: { github, jwt },
      attest: [{ attestor: 'spire', subject: 'spiffe://acme.test/agent/reviewer' }],
    },
  }
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

/** The outside world for a broker in this process, on the installation's clock. */
export function edgeFor({ clock }: Pick<Installation, 'clock'>, log: Log = silent): Edge {
  return {
    version: '0.0.0-test',
    now: clock.now,
    schedule(ms, run) {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    everyDay: () => () => {},
    random: bytes => randomBytes(bytes),
    files: { readFile: path => readFile(path, 'utf8'), listDir: path => readdir(path) },
    kekFiles,
    log,
  }
}

export function startBroker(installation: Installation, log: Log = silent): Promise<RunningServer> {
  return startServer(installation.configPath, edgeFor(installation, log))
}
