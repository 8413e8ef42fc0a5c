/** A team with a namespace, and what it registers. */
import { generateKeyPairSync } from 'node:crypto'
import { AUDIENCE, type ConfigChanges, type Installation, ORDERS } from '../fakes/installation.ts'
import type { Answer } from '../support/api.ts'

export const PAYMENTS = 'https://payments.example.com'
export const REASON = 'the payments team begins'

export const namespaces = {
  payments: {
    owners: ['payments'],
    issuer_types: ['github-app', 'signed-jwt', 'aws-sts'],
    attestor_types: ['oidc', 'spiffe-jwt'],
    audiences: [PAYMENTS],
    issuers: ['jwt'],
    limits: { agents: 3, instances: 3 },
  },
  billing: {
    owners: ['billing'],
    issuer_types: ['signed-jwt', 'github-app'],
    attestor_types: ['spiffe-jwt'],
    issuers: ['jwt'],
    attestors: ['spire'],
  },
} satisfies Record<string, object>

export const withTeams = (settings: Record<string, unknown> = {}): ConfigChanges => ({
  settings: { namespaces, ...settings },
})

export type Documented = Record<string, unknown>
export type Wanted = {
  documents?: Documented[]
  remove?: { kind: string; name: string }[]
  prune?: string[]
  secrets?: { kind: string; resource: string; name: string; value: string }[]
}

/** `POST /v1/registry/plan` and `/apply` as an operator calls them. */
export function registryOf(url: string, token: string) {
  async function send(method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${url}/v1/registry${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: response.status, body: await response.json(), headers: response.headers }
  }
  const shaped = ({ documents = [], ...rest }: Wanted) => ({
    ...rest,
    documents: documents.map(document => ({ document })),
  })
  return {
    get: (path: string) => send('GET', path),
    plan: (set: Wanted) => send('POST', '/plan', shaped(set)),
    apply: (set: Wanted, plan: { generation: number; digest: string }, more: object = {}) => {
      const { generation, digest } = plan
      return send('POST', '/apply', { ...shaped(set), reason: REASON, ...more, plan: { generation, digest } })
    },
    /** Both; throws where either is refused. */
    async register(set: Wanted): Promise<Answer> {
      const planned = await this.plan(set)
      if (planned.status !== 200) throw new Error(JSON.stringify(planned.body))
      const applied = await this.apply(set, planned.body)
      if (applied.status !== 200) throw new Error(JSON.stringify(applied.body))
      return applied
    },
  }
}

const common = {
  owner: { business: 'payments@acme.test', technical: 'payments-dev@acme.test' },
  risk_tier: 'medium',
  systems: ['payments'],
  expires_at: '2040-01-01T00:00:00Z',
  limits: { task_minutes: 60, active_tasks: 100, credentials_per_hour: 1_000 },
}

export const payer = (over: Documented = {}): Documented => ({
  ...{ kind: 'agent', name: 'payments.payer', purpose: 'Pays', ...common },
  attest: [{ attestor: 'spire', subject: 'spiffe://acme.test/payments/payer' }],
  ceiling: { jwt: [{ audience: ORDERS, scopes: ['orders.read'] }] },
  ...over,
})

/** A GitHub App of the team's own: another key than the operator's, uploaded. */
export function appOf(installation: Installation) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
  installation.github.addApp({
    ...{ appId: 7, clientId: 'Iv23liPayments', slug: 'payments' },
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  })
  installation.github.addRepository({ id: 9, owner: 'payco', name: 'ledger', files: { 'README.md': 'paid' } })
  installation.github.addInstallation({
    ...{ id: 99, appId: 7, account: 'payco', accountId: 7001, repositories: [9] },
    permissions: { contents: 'write' },
  })
  const issuer = (over: Documented = {}): Documented => ({
    ...{ kind: 'issuer', name: 'payments.github', type: 'github-app', client_id: 'Iv23liPayments' },
    ...{ private_key_file: 'secret:app-key', api_url: installation.github.url },
    ...over,
  })
  const secret = { kind: 'issuer', resource: 'payments.github', name: 'app-key', value: pem }
  const agent = (over: Documented = {}) =>
    payer({
      ceiling: { 'payments.github': [{ repositories: ['payco/ledger'], permissions: { contents: 'read' } }] },
      ...over,
    })
  const ask = { type: 'payments.github', repositories: ['payco/ledger'], permissions: { contents: 'read' } }
  return { issuer, secret, agent, ask, pem }
}

export const OTHER_AUDIENCE = `${AUDIENCE}/other`
