/**
 * `github-app`: installation access tokens of one GitHub App, narrowed to repositories and permissions.
 *
 * Every token is minted for one lease: nothing is cached or shared, so that revoking one leaves the others
 * alive. GitHub reads an absent list as "everything", so both lists are always sent and never empty.
 */
import { z } from 'zod'
import {
  defineIssuer,
  type Grant,
  type Issued,
  type Issuer,
  type IssuerDeps,
  type LeaseHandle,
  ProviderUnavailable,
  type Refused,
} from './issuer.ts'
import { beforeMint } from './shared/before-mint.ts'
import { githubAlerts } from './shared/github-alerts.ts'
import {
  type GithubAsk,
  githubAsk,
  githubCouldCover,
  githubCovers,
  githubFacts,
  githubPermissions,
} from './shared/github-ask.ts'
import { githubAllows } from './shared/github-collaborator.ts'
import { githubFiles } from './shared/github-files.ts'
import { type FoundInstallation, installationFinder } from './shared/github-installation.ts'
import { levelCovers } from './shared/github-permissions.ts'
import { repositoryResolver } from './shared/github-resolve.ts'
import { type Answer, type GithubRest, githubRest, refusalFrom, unavailable } from './shared/github-rest.ts'
import { githubSurplus } from './shared/github-surplus.ts'
import { githubProvider, githubWatch } from './shared/github-work.ts'
import { providerUrl } from './shared/provider-url.ts'
import { Secret } from './shared/secret.ts'

/** An installation token's life; GitHub takes no other. */
const TOKEN_LIFE_MS = 60 * 60_000
/** The App JWT of a mint is good for this long: time for slow clocks and slow networks, not for paused brokers. */
const MINT_WINDOW_MS = 2 * 60_000

const settings = z
  .strictObject({
    /** The App's numeric id or its client id: one of the two. */
    app_id: z.int().positive().optional(),
    client_id: z.string().min(1).max(100).optional(),
    /** The App's private key as GitHub hands it out (PEM). Read at every use, so it can be replaced in place. */
    private_key_file: z.string().min(1),
    /** GitHub Enterprise Server: `https://HOST/api/v3`. */
    api_url: providerUrl.default('https://api.github.com'),
    /** Spares the look-up, and is needed for asks by id alone where the App has several installations. */
    installation_id: z.int().positive().optional(),
    /** The most any ask may hold here, whatever the App was given. */
    permissions: githubPermissions.optional(),
  })
  .refine(
    ({ app_id, client_id }) => (app_id === undefined) !== (client_id === undefined),
    'name the App by app_id or by client_id, one of the two',
  )
type Settings = z.infer<typeof settings>

export const githubApp = defineIssuer<Settings, GithubAsk>({
  type: 'github-app',
  settings,
  open(settings, deps): Issuer<GithubAsk> {
    const appId = settings.app_id ?? settings.client_id ?? ''
    const rest = githubRest(
      { appId, privateKeyFile: settings.private_key_file, apiUrl: settings.api_url },
      deps,
    )
    const findInstallation = installationFinder(rest, settings.installation_id, deps.now)

    return {
      revocability: 'immediate',
      secretFormat: 'token',
      holdsSecret: true,
      mintsLocally: false,
      mintWindowMs: MINT_WINDOW_MS,
      longestLifeMs: TOKEN_LIFE_MS,
      ask: githubAsk,
      resolve: repositoryResolver(deps.now),
      covers: githubCovers,
      couldCover: githubCouldCover,
      facts: githubFacts,
      allows: (human, ask, borrow) =>
        githubAllows({ rest, provider: githubProvider(settings.api_url) }, human, ask, borrow),
      resourceTypes: { Repository: ['Owner'] },
      watch: githubWatch(rest, settings.api_url),
      alerts: githubAlerts(rest),
      files: githubFiles(rest),
      surplus: ceilings => githubSurplus(rest, ceilings, deps.now),

      async issue(grant) {
        const refusal = refuse(grant, settings, deps.now())
        if (refusal) return refusal
        const found = await beforeMint(() => findInstallation(grant.ask.repositories, grant.lease))
        if (!found.ok) return found
        const answer = await mint(rest, grant, found.installation)
        if (answer.status === 201) return issuedFrom(answer, grant.ask, found, deps)
        // A reinstalled App has a new installation id: the next ask looks it up again.
        if (answer.status === 404) found.forget()
        return refusalFrom(answer, `a token for ${namesOf(grant.ask)}`)
      },

      async revoke(lease) {
        const token = tokenOf(lease)
        const answer = await rest.asToken('DELETE /installation/token', {}, token, lease.lease)
        if (answer.status === 204) return 'revoked'
        if (answer.status !== 401) throw unavailable(answer, 'a revocation')
        // "Bad credentials" is also what an outage of GitHub's sign-in looks like: ask again, and ask as the App.
        const dead = await probe(rest, token, lease.lease)
        const app = await rest.asApp('GET /app', {}, deps.now() + MINT_WINDOW_MS, lease.lease)
        if (dead === 'dead' && app.status === 200) return 'already_gone'
        throw unavailable(answer, 'a revocation, and does not show that the token is dead')
      },

      async probe(lease) {
        if (!lease.secret) return 'unknown'
        return probe(rest, lease.secret.reveal(), lease.lease)
      },
    }
  },
})

/** What must not reach GitHub. */
function refuse(grant: Grant<GithubAsk>, settings: Settings, now: number): Refused | undefined {
  const { repositories, permissions } = grant.ask
  if (now >= grant.mintNotAfter) {
    const detail = 'the time to mint this token has passed'
    return { ok: false, reason: 'rejected', detail, ofTheBroker: true }
  }
  if (repositories.length === 0 || Object.keys(permissions).length === 0) {
    const detail = 'an empty list of repositories or permissions means "all" to GitHub'
    return { ok: false, reason: 'rejected', detail }
  }
  if (repositories.some(({ id }) => id === undefined) && repositories.some(({ id }) => id !== undefined)) {
    return {
      ok: false,
      reason: 'rejected',
      detail: 'GitHub takes names or ids, not both: resolve the names first',
    }
  }
  const cap = settings.permissions
  const above =
    cap &&
    Object.entries(permissions).find(([name, level]) => name !== 'metadata' && !levelCovers(cap[name], level))
  if (above) {
    const detail = `${above[0]}:${above[1]} is above what this issuer may give`
    return { ok: false, reason: 'not_permitted', detail }
  }
  return undefined
}

/** Names are sent only where no id is known (the broker's own look-up): a name can be re-pointed, an id cannot. */
function mint(rest: GithubRest, grant: Grant<GithubAsk>, installation: number): Promise<Answer> {
  const { repositories, permissions } = grant.ask
  const ids = repositories.flatMap(({ id }) => (id === undefined ? [] : [id]))
  const names = repositories.flatMap(({ id, name }) =>
    id === undefined && name !== undefined ? [name.slice(name.indexOf('/') + 1)] : [],
  )
  return rest.asApp(
    'POST /app/installations/{installation_id}/access_tokens',
    {
      installation_id: installation,
      permissions,
      ...(ids.length > 0 && { repository_ids: ids }),
      ...(names.length > 0 && { repositories: names }),
    },
    grant.mintNotAfter,
    grant.lease,
  )
}

const mintAnswer = z.object({
  token: z.string().min(1),
  // What follows may fail to parse without losing the token: it is then told as wider than any grant.
  expires_at: z.iso.datetime({ offset: true }).optional().catch(undefined),
  permissions: z.record(z.string(), z.string()).optional().catch(undefined),
  repository_selection: z.string().optional().catch(undefined),
  repositories: z
    .array(z.object({ id: z.int(), full_name: z.string() }))
    .optional()
    .catch(undefined),
})

/**
 * What GitHub says it gave. Whatever it leaves out or widens is reported as `*`, which no ask covers: the
 * host then revokes the token, which it could not do had we thrown it away.
 * @throws ProviderUnavailable without a readable token: one exists, and nobody has it.
 */
function issuedFrom(
  answer: Answer,
  asked: GithubAsk,
  { installation, appSlug }: FoundInstallation,
  deps: IssuerDeps,
): Issued<GithubAsk> {
  const parsed = mintAnswer.safeParse(answer.data)
  if (!parsed.success) throw new ProviderUnavailable('GitHub minted a token, and its answer cannot be read')
  const { token, expires_at, permissions, repository_selection, repositories } = parsed.data
  const narrowed = repository_selection === 'selected' && repositories !== undefined
  const names = new Map(asked.repositories.map(({ id, name }) => [id, name]))
  return {
    ok: true,
    secret: new Secret(token),
    granted: {
      // Where the id was asked for, its name is the asked one: a rename since then widens nothing.
      repositories: narrowed
        ? repositories.map(({ id, full_name }) => ({ id, name: names.get(id) ?? full_name }))
        : [{ name: '*' }],
      // Levels are GitHub's own words here; `covers` knows those that exist and refuses the rest.
      permissions: (permissions ?? { '*': 'admin' }) as GithubAsk['permissions'],
    },
    providerExpiresAt: expires_at === undefined ? deps.now() + TOKEN_LIFE_MS : Date.parse(expires_at),
    details: { installation_id: installation, ...(appSlug === undefined ? {} : { app_slug: appSlug }) },
  }
}

/** 401 is dead, 200 is alive; a limit, an outage or a suspension says nothing about the token. */
async function probe(rest: GithubRest, token: string, handle: string): Promise<'dead' | 'alive' | 'unknown'> {
  try {
    const { status } = await rest.asToken('GET /installation/repositories', { per_page: 1 }, token, handle)
    if (status === 401) return 'dead'
    return status === 200 ? 'alive' : 'unknown'
  } catch (error) {
    if (error instanceof ProviderUnavailable) return 'unknown'
    throw error
  }
}

/** @throws ProviderUnavailable where the mint's answer was lost: only GitHub's own expiry ends that token. */
function tokenOf(lease: LeaseHandle<GithubAsk>): string {
  if (!lease.secret)
    throw new ProviderUnavailable('the token was never seen, so GitHub cannot be told to end it')
  return lease.secret.reveal()
}

function namesOf(ask: GithubAsk): string {
  const [first, ...others] = ask.repositories.map(({ id, name }) => name ?? `repository ${id}`)
  return others.length > 0 ? `${first} and ${others.length} more` : `${first}`
}
