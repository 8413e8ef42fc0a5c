/** Installation tokens: minted narrowed, found again by their hash, ended by their own holder. */
import { type Answer, badCredentials, GithubRefusal, invalidRequest } from './answer.ts'
import { renderRepository } from './render.ts'
import {
  type GithubState,
  holds,
  type InstallationRecord,
  type Permissions,
  reachOfInstallation,
  sha256Hex,
  type TokenRecord,
  withMetadata,
} from './state.ts'

const lifeMs = 3_600_000
const mostRepositories = 500

/** The body of a mint, as the schema judge let it through. */
type MintBody = { repositories?: string[]; repository_ids?: number[]; permissions?: Record<string, string> }

/**
 * @param context `origin` is the base of URLs in the answer
 * @throws GithubRefusal 403 suspended, 422 for what the installation does not hold
 */
export function mintToken(
  state: GithubState,
  installation: InstallationRecord,
  body: MintBody,
  context: { origin: string; userAgent: string; trimDeprecated: boolean },
): Answer {
  if (installation.suspendedAt !== undefined) {
    throw new GithubRefusal(403, 'This installation has been suspended')
  }
  const repositories = selectRepositories(state, installation, body)
  const permissions = selectPermissions(installation, body.permissions)
  const mintedAt = state.now()
  const expiresAt = Math.floor(mintedAt / 1000) * 1000 + lifeMs
  const token = createToken(state, installation, expiresAt)
  const sha256 = sha256Hex(token)
  const { userAgent } = context
  state.tokens.set(sha256, {
    sha256,
    installationId: installation.id,
    repositories,
    permissions,
    userAgent,
    mintedAt,
    expiresAt,
  })
  const answered: Record<string, unknown> = {
    token,
    expires_at: new Date(expiresAt).toISOString().replace('.000Z', 'Z'),
    permissions,
    repository_selection: repositories === 'all' && installation.repositories === 'all' ? 'all' : 'selected',
  }
  if (repositories !== 'all') {
    answered.repositories = repositories.map(id =>
      renderRepository(state.repositories.get(id)!, context.origin, context.trimDeprecated),
    )
  }
  return { status: 201, body: answered }
}

/** @throws GithubRefusal 401 for a dead, expired or unknown token alike; 403 while the installation is suspended */
export function findToken(state: GithubState, text: string): TokenRecord {
  const token = state.tokens.get(sha256Hex(text))
  if (token === undefined || token.revokedAt !== undefined || state.now() >= token.expiresAt) {
    throw badCredentials()
  }
  const installation = state.installations.get(token.installationId)
  if (installation === undefined) throw badCredentials()
  if (installation.suspendedAt !== undefined) {
    throw new GithubRefusal(403, 'This installation has been suspended')
  }
  return token
}

export function revokeToken(state: GithubState, token: TokenRecord): Answer {
  token.revokedAt = state.now()
  return { status: 204 }
}

/** Whether the next call with it would be let in. */
export function isAlive(state: GithubState, token: TokenRecord): boolean {
  const installation = state.installations.get(token.installationId)
  return (
    token.revokedAt === undefined &&
    state.now() < token.expiresAt &&
    installation !== undefined &&
    installation.suspendedAt === undefined
  )
}

/** An empty list narrows nothing: GitHub reads it as "all", like a missing one. */
function selectRepositories(
  state: GithubState,
  installation: InstallationRecord,
  { repositories, repository_ids: ids }: MintBody,
): 'all' | number[] {
  if (repositories !== undefined && ids !== undefined) {
    throw invalidRequest('Only one of "repositories" and "repository_ids" can be given.')
  }
  const wanted: readonly (string | number)[] = repositories ?? ids ?? []
  if (wanted.length === 0) return 'all'
  if (wanted.length > mostRepositories) {
    throw new GithubRefusal(422, `There are too many repositories: at most ${mostRepositories} can be given.`)
  }
  const reach = reachOfInstallation(state, installation)
  const selected = wanted.map(one => {
    const found = reach.find(({ id, name }) =>
      typeof one === 'number' ? id === one : name.toLowerCase() === one.toLowerCase(),
    )
    if (found !== undefined) return found.id
    throw new GithubRefusal(
      422,
      'There is at least one repository that does not exist or is not accessible to the parent installation.',
    )
  })
  return [...new Set(selected)]
}

/** An empty object narrows nothing, like an empty list of repositories. */
function selectPermissions(installation: InstallationRecord, wanted: Permissions = {}): Permissions {
  if (Object.keys(wanted).length === 0) return installation.permissions
  for (const [name, level] of Object.entries(wanted)) {
    if (holds(installation.permissions[name], level)) continue
    throw new GithubRefusal(422, 'The permissions requested are not granted to this installation.')
  }
  return withMetadata(wanted)
}

/**
 * Today's long form, `ghs_<app id>_<three base64url segments>`, about 520 characters. It is opaque to its holder;
 * `-` and `_` are always in it, because redaction that stops at them leaks the rest.
 */
function createToken(state: GithubState, installation: InstallationRecord, expiresAt: number): string {
  const encode = (value: Uint8Array | string) => Buffer.from(value).toString('base64url')
  const header = encode(JSON.stringify({ alg: 'RS256', typ: 'JWT' }))
  const jti = Buffer.from(state.random(16)).toString('hex')
  const payload = encode(
    JSON.stringify({ iid: installation.id, exp: expiresAt / 1000, jti, v: 1, aud: 'github' }),
  )
  const signature = Buffer.concat([Uint8Array.of(0xfb, 0xef, 0xff), state.random(253)])
  return `ghs_${installation.appId}_${header}.${payload}.${encode(signature)}`
}
