/** An installation whose broker also answers clients of octo-sts, and repositories with policies in them. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { signed } from '../fakes/github/webhooks.ts'
import { createInstallation, type Installation } from '../fakes/installation.ts'

export const DOMAIN = 'mayfly.test'
export const WEBHOOK_SECRET = 'a webhook secret of the tests'

/** What `acme` may have, with these parts changed. */
export function ownerSettings(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    issuer: 'github',
    attestors: ['octo'],
    owner: { business: 'product@acme.test', technical: 'platform@acme.test' },
    risk_tier: 'medium',
    ceiling: { permissions: { contents: 'write', issues: 'write', pull_requests: 'write' } },
    expires_at: '2040-01-01T00:00:00Z',
    ...changes,
  }
}

export type OctoInstallation = Installation & {
  /** Puts a policy (text, or what is written as YAML) on the default branch; undefined takes it away. */
  put(repository: number, identity: string, policy: object | string | undefined): void
  /** Any file. */
  putFile(repository: number, path: string, text: string | undefined): void
  /** A job's token for the exchange. */
  octoToken(claims?: Record<string, unknown>): Promise<string>
  configureOcto(owner?: Record<string, unknown>, settings?: Record<string, unknown>): Promise<void>
}

/** Repositories: 1 acme/api, 2 acme/web, 3 acme/.github. */
export async function createOctoInstallation(): Promise<OctoInstallation> {
  const installation = await createInstallation()
  const { github, identityProvider, directory } = installation
  const files = new Map<number, Map<string, string>>()
  const names = new Map([
    [1, 'api'],
    [2, 'web'],
    [3, '.github'],
  ])
  function putFile(repository: number, path: string, text: string | undefined): void {
    const own = files.get(repository) ?? new Map([['README.md', 'hello']])
    files.set(repository, own)
    if (text === undefined) own.delete(path)
    else own.set(path, text)
    const name = names.get(repository)!
    github.addRepository({ id: repository, owner: 'acme', name, files: Object.fromEntries(own) })
  }
  putFile(3, 'README.md', 'the organization')
  github.changeInstallation(77, { repositories: [1, 2, 3] })
  await writeFile(join(directory, 'webhook-secret'), WEBHOOK_SECRET, { mode: 0o600 })
  const { issuer } = identityProvider
  const attestors = {
    actions: { type: 'github-actions', issuer, audience: 'https://mayfly.test' },
    octo: { type: 'github-actions', issuer, audience: DOMAIN, max_age_seconds: 3600 },
    spire: {
      ...{ type: 'spiffe-jwt', trust_domain: 'acme.test', audience: 'https://mayfly.test' },
      bundle_file: 'bundle.json',
    },
  }
  const configureOcto = (owner: Record<string, unknown> = {}, settings: Record<string, unknown> = {}) =>
    installation.configure({
      settings: {
        attestors,
        namespaces: { octo: { owners: ['platform'], issuers: ['github'] } },
        observers: { github_webhooks: { secret_file: 'webhook-secret' } },
        octo_sts: { domain: DOMAIN, namespace: 'octo', owners: { acme: ownerSettings(owner) } },
        ...settings,
      },
    })
  await configureOcto()
  return Object.assign(installation, {
    putFile,
    put(repository: number, identity: string, policy: object | string | undefined) {
      const text = typeof policy === 'object' ? stringify(policy) : policy
      putFile(repository, `.github/chainguard/${identity}.sts.yaml`, text)
    },
    octoToken: (claims: Record<string, unknown> = {}) => installation.jobToken({ aud: DOMAIN, ...claims }),
    configureOcto,
  })
}

/** What lets in the ordinary job of the tests. */
export function policyFor(
  { identityProvider }: Pick<Installation, 'identityProvider'>,
  changes: object = {},
) {
  return {
    issuer: identityProvider.issuer,
    subject: 'repo:acme/api:ref:refs/heads/main',
    permissions: { contents: 'read' },
    ...changes,
  }
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member, and asserted.
export type StsAnswer = { status: number; body: any; headers: Headers }

export async function exchangeAt(
  url: string,
  query: Record<string, string> | string,
  token: string | undefined,
  init: RequestInit = {},
): Promise<StsAnswer> {
  const search = typeof query === 'string' ? query : new URLSearchParams(query).toString()
  const response = await fetch(`${url}/sts/exchange?${search}`, {
    ...init,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(init.headers as Record<string, string> | undefined),
    },
  })
  return { status: response.status, body: await response.json(), headers: response.headers }
}

/** GitHub's word of a push to a repository's default branch that changed its policy `deploy`. */
export function pushTo(url: string, changes: object = {}): Promise<Response> {
  const body = JSON.stringify({
    ref: 'refs/heads/main',
    repository: { full_name: 'acme/api', default_branch: 'main' },
    commits: [{ added: [], removed: [], modified: ['.github/chainguard/deploy.sts.yaml'] }],
    ...changes,
  })
  const told = signed('push', body, WEBHOOK_SECRET, randomBytes)
  return fetch(`${url}/webhooks/github`, { method: 'POST', ...told })
}
