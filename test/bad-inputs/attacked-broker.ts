/**
 * A broker to be attacked through its real port, with everything beside it that must not be moved by an
 * attack: issuers that count what they are asked, stand-ins that keep the truth of every credential, a log
 * and a ledger in which no secret may be found.
 */
import { randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OAuth2Server } from 'oauth2-mock-server'
import pino from 'pino'
import { afterAll, beforeAll, expect } from 'vitest'
import { SYSTEM_AGENT } from '../../src/policy/agent.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { createForger, type Forger } from '../fakes/identity/forger.ts'
import { type KeyServer, startKeyServer } from '../fakes/identity/key-server.ts'
import { AUDIENCE, asks, createInstallation, edgeFor, type Installation } from '../fakes/installation.ts'
import { type Reply, request, type Sent } from './request.ts'
import { createSloppyIssuer, type SloppyIssuer } from './sloppy-issuer.ts'

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
export const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:'

export type Claims = Record<string, unknown>
export type State = { tasks: number; leases: number; github: number; aws: number }

export type AttackedBroker = {
  readonly installation: Installation
  readonly running: RunningServer
  /** Of the issuer `forged`, which the broker trusts: ES256, and RS256 under another kid. */
  readonly forger: Forger
  readonly rsaForger: Forger
  readonly issuer: KeyServer
  /** A second trusted issuer, for another agent. */
  readonly tenant: { issuer: KeyServer; forger: Forger }
  /** A trusted issuer that publishes keys nobody should use. */
  readonly sloppy: SloppyIssuer
  /** Trusted, and signs whatever it is told. */
  readonly hostile: OAuth2Server
  /** Nobody trusts it; it notes who asks. */
  readonly attacker: KeyServer
  /** Claims of a good token of `forged`, with changes laid over; `undefined` takes one out. */
  claims(changes?: Claims): Claims
  /** A good token of `forged`. */
  goodToken(changes?: Claims): string
  hostileToken(change: (header: Claims, payload: Claims) => void): Promise<string>
  send(sent: Sent): Promise<Reply>
  exchange(token: string, changes?: Record<string, string>): Promise<Reply>
  open(token: string, changes?: Record<string, unknown>): Promise<Reply>
  /** What a good exchange handed out at the start. */
  readonly ownTokens: { access: string; task: string }
  /** Stops the broker's clock, as long as the body runs. */
  atOneMoment<T>(body: () => Promise<T>): Promise<T>
  /** Says that a text is secret: it may be in no log line, no refusal and, raw, not in the ledger. */
  keepSecret(text: string): void
  state(): Promise<State>
  /** Outbound requests that evidence could have caused. */
  outboundRequests(): number
  /** Nothing changed since, nothing leaked, and a good request is still served. */
  expectUnharmed(since: State): Promise<void>
}

/** Registers its own start and stop with the test file. `settings` are laid over those of the installation. */
export function attackedBroker(settings: Record<string, unknown> = {}): AttackedBroker {
  let it: Started
  beforeAll(async () => {
    it = await start(settings)
  })
  afterAll(() => it?.stop())
  return new Proxy({} as AttackedBroker, {
    get: (_target, name) => it[name as keyof AttackedBroker],
  })
}

type Started = AttackedBroker & { stop(): Promise<void> }

async function start(settings: Record<string, unknown>): Promise<Started> {
  const installation = await createInstallation()
  const { clock } = installation
  const forger = createForger({ kid: 'good' })
  const rsaForger = createForger({ algorithm: 'RS256', kid: 'rsa' })
  const issuer = await startKeyServer(forger.jwks(rsaForger.key.publicJwk))
  const tenant = { forger: createForger({ kid: 'good' }), issuer: await startKeyServer({ keys: [] }) }
  tenant.issuer.keySet = tenant.forger.jwks()
  const sloppy = await createSloppyIssuer()
  const attacker = await startKeyServer({ keys: [] })
  const hostile = new OAuth2Server()
  await hostile.issuer.keys.generate('RS256')
  await hostile.start(0, '127.0.0.1')
  const trusted = configuration({ installation, issuer, tenant: tenant.issuer, sloppy, hostile })
  await installation.configure({ ...trusted, settings: { ...trusted.settings, ...settings } })

  const lines: string[] = []
  const log = pino({ level: 'debug', base: null }, { write: (line: string) => void lines.push(line) })
  let held: number | undefined
  const edge = { ...edgeFor(installation, log), now: () => held ?? clock.now() }
  const running = await startServer(installation.configPath, edge)
  const secrets = new Set<string>()

  const claims = (changes: Claims = {}): Claims => {
    const iat = Math.floor(clock.now() / 1000)
    const times = { iat, exp: iat + 300 }
    return { iss: issuer.issuer, aud: AUDIENCE, sub: 'runner', jti: randomUUID(), ...times, ...changes }
  }
  const keepSecret = (text: string) => {
    for (const word of text.split(/[^\w-]+/)) if (word.length >= 24) secrets.add(word)
  }
  const send = async (sent: Sent) => {
    const reply = await request(running.url, sent)
    if (reply.status >= 400) expectNoSecret(`the answer to ${sent.method} ${sent.path}`, reply.whole, secrets)
    else for (const token of issuedTokens(reply.text)) keepSecret(token)
    return reply
  }
  const goodToken = (changes: Claims = {}) => forger.token(claims(changes))
  const exchange = (token: string, changes: Record<string, string> = {}) => {
    keepSecret(token)
    return send(exchangeRequest(token, changes))
  }
  const first = JSON.parse((await exchange(goodToken())).text) as { access_token: string; task_token: string }
  const ownTokens = { access: first.access_token, task: first.task_token }

  return {
    ...{ ownTokens, installation, running, forger, rsaForger, issuer, tenant, sloppy, hostile, attacker },
    ...{ claims, goodToken, send, exchange, keepSecret },
    hostileToken: change =>
      hostile.issuer.buildToken({
        scopesOrTransform: (header, payload) => {
          Object.assign(payload, claims({ iss: hostile.issuer.url }))
          change(header, payload)
        },
      }),
    open(token, changes = {}) {
      keepSecret(token)
      return send(openRequest(token, changes))
    },
    async atOneMoment(body) {
      held = clock.now()
      try {
        return await body()
      } finally {
        held = undefined
      }
    },
    state: () => stateOf(installation, running),
    outboundRequests: () =>
      [issuer, tenant.issuer, sloppy.server, attacker].reduce((sum, one) => sum + one.requests.length, 0) +
      installation.identityProvider.requests.length,
    async expectUnharmed(since) {
      expect(await stateOf(installation, running)).toEqual(since)
      const good = await exchange(goodToken())
      expect(good.status, good.text).toBe(200)
      for (const line of lines) {
        expectNoSecret('the log', line, secrets)
        expect(line).not.toMatch(SECRET_SHAPES)
      }
      for (const [file, text] of await ledgerFiles(installation)) expectNoSecretAnywhere(file, text, secrets)
    },
    async stop() {
      await running.stop()
      await Promise.all([issuer, tenant.issuer, sloppy.server, attacker].map(one => one.close()))
      await hostile.stop()
      await installation.close()
    },
  }
}

export function exchangeRequest(token: string, changes: Record<string, string> = {}): Sent {
  const form = new URLSearchParams({
    grant_type: TOKEN_EXCHANGE,
    subject_token_type: `${TOKEN_TYPE}id_token`,
    subject_token: token,
    authorization_details: JSON.stringify([asks.orders]),
    ...changes,
  })
  return { method: 'POST', path: '/oauth/token', type: 'application/x-www-form-urlencoded', body: `${form}` }
}

/** The same as an assertion (RFC 7523). */
export function assertionRequest(token: string, changes: Record<string, string> = {}): Sent {
  const form = new URLSearchParams({
    grant_type: JWT_BEARER,
    assertion: token,
    authorization_details: JSON.stringify([asks.orders]),
    ...changes,
  })
  return { method: 'POST', path: '/oauth/token', type: 'application/x-www-form-urlencoded', body: `${form}` }
}

/** The same as a web identity, as AWS's SDKs present it. */
export function webIdentityRequest(token: string, changes: Record<string, string> = {}): Sent {
  const form = new URLSearchParams({
    ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15', WebIdentityToken: token },
    ...{ RoleArn: 'arn:aws:iam::123456789012:role/deploy', RoleSessionName: 'attack' },
    ...changes,
  })
  return { method: 'POST', path: '/sts', type: 'application/x-www-form-urlencoded', body: `${form}` }
}

export function openRequest(token: string, changes: Record<string, unknown> = {}): Sent {
  const body = {
    evidence: { type: 'jwt', token },
    purpose: 'a test',
    authorization_details: [asks.orders],
    ...changes,
  }
  return { method: 'POST', path: '/v1/tasks', type: 'application/json', body: JSON.stringify(body) }
}

/** Tasks and leases of callers (the broker's own are left out), and what is alive at the providers. */
async function stateOf({ github, aws }: Installation, { broker }: RunningServer): Promise<State> {
  const everything = { limit: 1_000_000 }
  await ownLeasesClosed(broker)
  const tasks = (await broker.ledger.read.tasks({}, everything)).items.filter(task => task.system === 0)
  const leases = (await broker.ledger.read.leases({}, everything)).items
  const own = new Set(tasks.map(task => task.id))
  return {
    tasks: tasks.length,
    leases: leases.filter(lease => own.has(lease.task)).length,
    github: github.credentials().filter(one => one.alive).length,
    aws: aws.credentials().length,
  }
}

/** The broker looks names up with a lease of its own, and gives it back after it has answered. */
async function ownLeasesClosed({ ledger }: RunningServer['broker']): Promise<void> {
  for (;;) {
    const { items } = await ledger.read.leases({ agent: SYSTEM_AGENT, state: 'outstanding' }, { limit: 1 })
    if (items.length === 0) return
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** What a secret looks like, whoever made it: a JWT, a token of GitHub or of this broker, a key. */
const SECRET_SHAPES =
  /eyJ[\w-]{10,}\.[\w-]{10,}|\bgh[a-z]_\w{10,}|\bmf[tko]_\w{10,}|PRIVATE KEY|SecretAccessKey"\s*:|FwoG|IQoJ/

/** For text in which a secret would stand between other signs: answers and log lines are JSON. */
function expectNoSecret(where: string, text: string, secrets: ReadonlySet<string>): void {
  for (const word of text.split(/[^\w-]+/))
    if (secrets.has(word)) expect.fail(`${where} holds ${word.slice(0, 12)}…, which is secret`)
}

/** For the bytes of the ledger, where columns stand side by side. */
function expectNoSecretAnywhere(where: string, bytes: string, secrets: ReadonlySet<string>): void {
  for (const secret of secrets)
    if (bytes.includes(secret)) expect.fail(`${where} holds ${secret.slice(0, 12)}…, which is secret`)
}

/** What a good answer hands out; a credential of several parts is an object of texts. */
function issuedTokens(text: string): string[] {
  if (!text.startsWith('{')) return []
  const body = JSON.parse(text) as Record<string, unknown>
  const { access_token, task_token, ticket, credential } = body
  const parts =
    typeof credential === 'object' && credential !== null ? Object.values(credential) : [credential]
  return [access_token, task_token, ticket, ...parts].filter(one => typeof one === 'string')
}

async function ledgerFiles({ directory }: Installation): Promise<[string, string][]> {
  const folder = join(directory, 'data')
  const files = (await readdir(folder)).filter(file => file.startsWith('mayfly.db'))
  return Promise.all(
    files.map(async file => [file, await readFile(join(folder, file), 'latin1')] as [string, string]),
  )
}

type Counterparts = {
  installation: Installation
  issuer: KeyServer
  tenant: KeyServer
  sloppy: SloppyIssuer
  hostile: OAuth2Server
}

function configuration({ installation, issuer, tenant, sloppy, hostile }: Counterparts) {
  const oidc = (url: string | undefined, more: object = {}) => ({
    ...{ type: 'oidc', issuer: url, audience: AUDIENCE },
    ...more,
  })
  const either = { algorithms: ['ES256', 'RS256'] }
  const attestors = {
    actions: { type: 'github-actions', issuer: installation.identityProvider.issuer, audience: AUDIENCE },
    spire: {
      ...{ type: 'spiffe-jwt', trust_domain: 'acme.test', audience: AUDIENCE },
      bundle_file: 'bundle.json',
    },
    forged: oidc(issuer.issuer, { ...either, claims: { team: 'string', level: 'integer' } }),
    tenant: oidc(tenant.issuer, { algorithms: ['ES256'] }),
    sloppy: oidc(sloppy.server.issuer, either),
    hostile: oidc(hostile.issuer.url),
  }
  const runner = (attestor: string) => ({ attestor, subject: 'runner' })
  return {
    settings: { attestors, sts_endpoint: { issuers: ['aws'] } },
    agents: {
      runner: agent([runner('forged'), runner('sloppy'), runner('hostile')]),
      'tenant-runner': agent([runner('tenant')]),
      deployer: agent([{ attestor: 'actions', claims: DEPLOYMENT }]),
      anyone: agent([{ attestor: 'actions', claims: { repository_id: '1' } }]),
    },
  }
}

/** The one called workflow, at one commit, on GitHub's own machines, for the one caller. */
export const DEPLOYMENT = {
  repository_id: '1',
  event_name: 'push',
  job_workflow_ref: 'acme/workflows/.github/workflows/deploy.yml@refs/heads/main',
  job_workflow_sha: '0123456789abcdef0123456789abcdef01234567',
  runner_environment: 'github-hosted',
}

export function agent(attest: readonly object[]): Record<string, unknown> {
  return {
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    purpose: 'Is attacked in tests',
    risk_tier: 'low',
    systems: ['orders'],
    expires_at: '2040-01-01T00:00:00Z',
    attest,
    ceiling: {
      jwt: [{ audience: asks.orders.audience, scopes: ['orders.read'] }],
      github: [{ repositories: ['acme/api'], permissions: { contents: 'read' } }],
    },
    limits: { task_minutes: 60, active_tasks: 10_000, credentials_per_hour: 100_000 },
  }
}
