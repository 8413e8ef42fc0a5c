/** A GitHub with one App on it, and issuers opened against it. */
import { randomBytes } from 'node:crypto'
import { request } from '@octokit/request'
import { githubApp } from '../../issuers/github-app.ts'
import type { Grant, Issued, Issuer, LeaseHandle, Refused } from '../../issuers/issuer.ts'
import type { GithubAsk } from '../../issuers/shared/github-ask.ts'
import { standingAppKey, startGithub } from '../fakes/github/github.ts'
import { Clocks, hostDeps } from './stand-in.ts'

export const MINT = 'apps/create-installation-access-token'
export const appKey = standingAppKey()

const LEASE = `lse_${'g'.repeat(26)}`

export class GithubWorld {
  readonly clocks: Clocks
  readonly host: ReturnType<typeof hostDeps>
  readonly github: Awaited<ReturnType<typeof startGithub>>

  private constructor(github: Awaited<ReturnType<typeof startGithub>>, clocks: Clocks) {
    this.github = github
    this.clocks = clocks
    this.host = hostDeps(clocks, { 'app.pem': appKey.privateKeyPem, 'broken.pem': 'not a key' })
    const { publicKeyPem } = appKey
    github.addApp({ appId: 7, clientId: 'Iv23mayfly', slug: 'mayfly', publicKeyPem })
    github.addRepository({ id: 42, owner: 'acme', name: 'api', files: { 'README.md': 'api' } })
    github.addRepository({ id: 43, owner: 'acme', name: 'web', files: { 'README.md': 'web' } })
    github.addRepository({ id: 90, owner: 'other', name: 'tool' })
    const permissions = { contents: 'write', issues: 'write', actions: 'read', metadata: 'read' } as const
    github.addInstallation({ id: 1, appId: 7, account: 'acme', repositories: 'all', permissions })
  }

  static async start(): Promise<GithubWorld> {
    const clocks = new Clocks()
    return new GithubWorld(await startGithub({ now: clocks.provider, random: randomBytes }), clocks)
  }

  open(settings: object = {}): Issuer<GithubAsk> {
    const parsed = githubApp.settings.parse({
      app_id: 7,
      private_key_file: 'app.pem',
      api_url: this.github.url,
      ...settings,
    })
    // The list of issuer types forgets the ask's type; this is the one place that knows it again.
    return githubApp.open(parsed, this.host.deps) as Issuer<GithubAsk>
  }

  grant(issuer: Issuer<GithubAsk>, ask: GithubAsk): Grant<GithubAsk> {
    const now = this.clocks.broker()
    return {
      lease: LEASE,
      ask,
      task: 'tsk_1',
      agent: 'triage',
      chain: [],
      expiresAt: now + 600_000,
      mintNotAfter: now + issuer.mintWindowMs,
    }
  }

  issue(issuer: Issuer<GithubAsk>, input: unknown): Promise<Issued<GithubAsk> | Refused> {
    return issuer.issue(this.grant(issuer, issuer.ask.parse(input)))
  }

  async resolve(issuer: Issuer<GithubAsk>, input: unknown) {
    const answer = await issuer.resolve?.(issuer.ask.parse(input), async ask => {
      const issued = await issuer.issue(this.grant(issuer, ask))
      if (issued.ok) await issuer.revoke(this.handle(issued))
      return issued
    })
    if (!answer) throw new Error('this issuer resolves')
    return answer
  }

  handle(issued: Issued<GithubAsk>): LeaseHandle<GithubAsk> {
    return { lease: LEASE, ask: issued.granted, secret: issued.secret }
  }

  /** Status of a call with a token, through Octokit. */
  async call(route: string, parameters: object, token: string): Promise<number> {
    const headers = { authorization: `token ${token}` }
    try {
      return (await request(route, { ...parameters, baseUrl: this.github.url, headers })).status
    } catch (error) {
      return (error as { status: number }).status
    }
  }

  async close(): Promise<void> {
    await this.host.close()
    await this.github.close()
  }

  alive(): number {
    return this.github.credentials().filter(({ alive }) => alive).length
  }
}
