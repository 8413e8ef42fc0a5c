/** Which installation of the App reaches the asked repositories. An installation belongs to one owner. */
import { z } from 'zod'
import type { Refused } from '../issuer.ts'
import type { Repository } from './github-ask.ts'
import { type Answer, type GithubRest, refusalFrom, unavailable } from './github-rest.ts'
import { RecentMap } from './recent-map.ts'

/** `appSlug`: the App's name in URLs, where GitHub was asked; with a configured installation it is not. */
export type FoundInstallation = { ok: true; installation: number; appSlug?: string; forget: () => void }

/** An installation changes when the App is reinstalled; GitHub then answers 404 and the entry is forgotten. */
const REMEMBER_MS = 10 * 60_000
const REMEMBER_OWNERS = 1_000
const LOOKUP_WINDOW_MS = 2 * 60_000

const installation = z.object({
  id: z.int().positive(),
  app_slug: z.string().optional().catch(undefined),
})
type Installation = z.infer<typeof installation>

/**
 * Remembers owner → installation, never a credential.
 * @throws ProviderUnavailable from the returned function.
 */
export function installationFinder(rest: GithubRest, configured: number | undefined, now: () => number) {
  const byOwner = new RecentMap<Installation>(REMEMBER_OWNERS, REMEMBER_MS, now)

  return async (
    repositories: readonly Repository[],
    handle: string,
  ): Promise<FoundInstallation | Refused> => {
    const owners = ownersOf(repositories)
    if (owners.length > 1) {
      const detail = `an installation token is for one owner, and this ask names ${owners.join(' and ')}: ask for each`
      return { ok: false, reason: 'rejected', detail }
    }
    if (configured !== undefined) return { ok: true, installation: configured, forget: () => {} }
    const named = repositories.find(({ name }) => name !== undefined)?.name
    const owner = owners[0] ?? ''
    const remembered = byOwner.get(owner)
    const found =
      remembered ??
      (named === undefined
        ? await soleInstallation(rest, now, handle)
        : await lookUp(rest, named, now, handle))
    if ('ok' in found) return found
    if (remembered === undefined) byOwner.set(owner, found)
    const { id, app_slug: appSlug } = found
    return {
      ok: true,
      installation: id,
      ...(appSlug === undefined ? {} : { appSlug }),
      forget: () => byOwner.delete(owner),
    }
  }
}

/** The owners named, lower case, without repeats. */
export function ownersOf(repositories: readonly Repository[]): string[] {
  const owners = repositories.flatMap(({ name }) => (name === undefined ? [] : [name.split('/')[0] ?? '']))
  return [...new Set(owners.map(owner => owner.toLowerCase()))]
}

async function lookUp(
  rest: GithubRest,
  name: string,
  now: () => number,
  handle: string,
): Promise<Installation | Refused> {
  const [owner, repo] = name.split('/')
  const route = 'GET /repos/{owner}/{repo}/installation'
  const answer = await rest.asApp(route, { owner, repo }, now() + LOOKUP_WINDOW_MS, handle)
  const what = `an installation of the App that reaches ${name}`
  if (answer.status === 301) {
    return { ok: false, reason: 'not_found', detail: `${name} has another name now: ask for it by that` }
  }
  if (answer.status !== 200) return refusalFrom(answer, what)
  return readable(installation.safeParse(answer.data), answer, what)
}

/** Ids alone do not say whose they are; with one installation there is nothing to choose. */
async function soleInstallation(
  rest: GithubRest,
  now: () => number,
  handle: string,
): Promise<Installation | Refused> {
  const route = 'GET /app/installations'
  const answer = await rest.asApp(route, { per_page: 2 }, now() + LOOKUP_WINDOW_MS, handle)
  const what = "the App's installations"
  if (answer.status !== 200) return refusalFrom(answer, what)
  const [only, ...others] = readable(z.array(installation).safeParse(answer.data), answer, what)
  if (only && others.length === 0) return only
  const detail = only
    ? 'the App has several installations: name the repositories, or set installation_id'
    : 'the App is installed nowhere'
  return { ok: false, reason: 'not_found', detail }
}

function readable<Value>(parsed: z.ZodSafeParseResult<Value>, answer: Answer, what: string): Value {
  if (!parsed.success) throw unavailable(answer, `${what}, which cannot be read`)
  return parsed.data
}
