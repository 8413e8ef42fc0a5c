/** The identity provider and the configuration that the benches run on: everything a broker is asked with. */
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { PolicyTexts } from './policies.ts'
import type { Place, Shelf } from './shelf.ts'

export const AUDIENCE = 'https://mayfly.bench'
export const ORDERS = 'https://orders.example.com'
/**
 * The most active tasks an agent may have is 10,000, so the load is spread over several: as many as there are
 * connections, and each of a team of its own, since rules over what a team was given make its mints wait in line.
 */
const AGENTS = Array.from({ length: 32 }, (_, index) => `worker-${index}`)

export type Provider = {
  issuer: string
  jwks: object
  /**
   * Exchange requests as forms, each with an RS256 ID token of its own (what GitHub signs with).
   * @param kind `different`: each has an environment of its own, a claim that policies look at.
   */
  mint(count: number, options?: { kind: 'same' | 'different' }): string[]
  close(): Promise<void>
}

/** Publishes one 2048-bit RSA key, and signs what a workload would be given. */
export async function startProvider(): Promise<Provider> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'RS256', use: 'sig' }] }
  const server = createServer((_, response) => response.end(JSON.stringify(jwks)))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const header = base64url(JSON.stringify({ alg: 'RS256', typ: 'JWT', kid: 'bench' }))

  const token = (index: number, different: boolean): string => {
    const iat = Math.floor(Date.now() / 1_000)
    const claims = {
      ...{ iss: issuer, aud: AUDIENCE, sub: AGENTS[index % AGENTS.length], jti: randomUUID() },
      ...{ iat, nbf: iat, exp: iat + 3_600 },
      // As much as a job's token says of itself.
      ...{ repository: 'acme/api', repository_id: '1', repository_owner_id: '5001', event_name: 'push' },
      ...{ ref: 'refs/heads/main', workflow: 'release', run_id: '1234567890', run_attempt: '1' },
      ...(different ? { environment: `preview-${randomUUID()}` } : {}),
    }
    const input = `${header}.${base64url(JSON.stringify(claims))}`
    return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`
  }
  const form = (index: number, different: boolean): string =>
    new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      subject_token: token(index, different),
      authorization_details: JSON.stringify([{ type: 'jwt', audience: ORDERS, scopes: ['orders.read'] }]),
    }).toString()
  return {
    issuer,
    jwks,
    mint: (count, { kind } = { kind: 'same' }) =>
      Array.from({ length: count }, (_, index) => form(index, kind === 'different')),
    close: () =>
      new Promise(resolve => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

export type Installed = {
  place: Place
  kek: Shelf['kek']
  /** The URL of the identity provider; absent where nobody brings evidence. */
  provider?: string
  /** By name; every agent may have all of them. */
  issuers: Readonly<Record<string, { type: string }>>
  /** Judged by none where there are none. */
  policies?: PolicyTexts
}

/** Signs what it hands out, and asks nobody. */
export const jwtIssuer = {
  type: 'signed-jwt',
  audiences: [{ audience: ORDERS, scopes: ['orders.read'] }],
}

/**
 * Writes a broker's configuration folder. The limits are raised to where they stop nothing and are still
 * counted; everything else is as in the annotated example.
 * @returns the path of the settings.
 */
export async function writeConfig(
  directory: string,
  { place, kek, provider: issuer = 'http://127.0.0.1:9', issuers, policies }: Installed,
): Promise<string> {
  const settings = {
    listen: { host: '127.0.0.1', port: 0 },
    public_url: 'http://127.0.0.1:8480',
    ledger:
      place.kind === 'sqlite'
        ? { type: 'sqlite', path: place.url }
        : { type: 'postgres', url_file: 'ledger-url' },
    kek_file: 'kek',
    attestors: {
      idp: {
        ...{ type: 'oidc', issuer, audience: AUDIENCE, jwks_uri: `${issuer}/jwks` },
        max_age_seconds: 3_600,
        claims: {
          ...{ repository_id: 'string', ref: 'string', event_name: 'string', run_id: 'string' },
          // What the starter set looks at besides.
          ...{ head_ref: 'string', environment: 'string' },
        },
      },
    },
    issuers,
    ...(policies === undefined ? {} : { policies_dir: 'policies' }),
    outbound: { allow_loopback: true },
    limits: { requests_per_minute_per_source: 1_000_000, exchanges_per_minute_per_source: 1_000_000 },
  }
  await mkdir(join(directory, 'agents'), { recursive: true })
  await mkdir(join(directory, 'resource-servers'), { recursive: true })
  for (const [name, text] of Object.entries({ kek, 'ledger-url': place.url }))
    await writeFile(join(directory, name), `${text}\n`, { mode: 0o600 })
  await mkdir(join(directory, 'policies'), { recursive: true })
  for (const [name, text] of Object.entries(policies ?? {}))
    await writeFile(join(directory, 'policies', name), text)
  const path = join(directory, 'mayfly.yaml')
  await writeFile(path, stringify(settings))
  for (const name of AGENTS)
    await writeFile(join(directory, 'agents', `${name}.yaml`), stringify(agent(name, issuers)))
  return path
}

function agent(name: string, issuers: Installed['issuers']) {
  const all = (type: string) => (type === jwtIssuer.type ? jwtIssuer.audiences : [{}])
  return {
    name,
    owner: { business: `${name}@acme.test`, technical: 'platform@acme.test' },
    purpose: 'Is measured',
    risk_tier: 'low',
    systems: ['orders'],
    expires_at: '2040-01-01T00:00:00Z',
    attest: [{ attestor: 'idp', subject: name, claims: { repository_id: '1', event_name: 'push' } }],
    ceiling: Object.fromEntries(Object.entries(issuers).map(([issuer, { type }]) => [issuer, all(type)])),
    limits: { task_minutes: 60, active_tasks: 10_000, credentials_per_hour: 100_000 },
  }
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url')
}
