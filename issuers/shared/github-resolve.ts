/** Names to ids: what an approval, a digest and a ceiling rest on. Ids are never re-pointed; names are. */
import type { Issued, Refused } from '../issuer.ts'
import { canonicalRepositories, type GithubAsk, type Repository, repositoryOf } from './github-ask.ts'
import { ownersOf } from './github-installation.ts'
import { RecentMap } from './recent-map.ts'

/** Short: within it, a name that was just re-pointed still means the repository it meant. */
const REMEMBER_MS = 60_000
const REMEMBER_REPOSITORIES = 2_000

type Known = { id: number; name: string }
type MintOwn = (ask: GithubAsk) => Promise<Issued<GithubAsk> | Refused>

/**
 * The App JWT reads no repository, so ids come from the answer to a token for these repositories that may
 * read their metadata; the host revokes it at once. Names and ids are remembered for a minute, tokens never.
 */
export function repositoryResolver(now: () => number) {
  const byName = new RecentMap<Known>(REMEMBER_REPOSITORIES, REMEMBER_MS, now)

  return async (asked: GithubAsk, mintOwn: MintOwn): Promise<{ ok: true; ask: GithubAsk } | Refused> => {
    const owners = ownersOf(asked.repositories)
    if (owners.length > 1) {
      const detail = `a token is for one owner, and this ask names ${owners.join(' and ')}: ask for each`
      return { ok: false, reason: 'rejected', detail }
    }
    let known = asked.repositories.flatMap(({ name }) => byName.get(name?.toLowerCase() ?? '') ?? [])
    if (known.length < asked.repositories.length) {
      // By name wherever there is one, so that an id beside it is checked against what the name means now.
      const repositories = asked.repositories.map(({ id, name }) => repositoryOf(name ? undefined : id, name))
      const own = await mintOwn({ repositories, permissions: { metadata: 'read' } })
      if (!own.ok) return own
      known = own.granted.repositories.flatMap(({ id, name }) =>
        id === undefined || name === undefined ? [] : [{ id, name }],
      )
      for (const one of known) byName.set(one.name.toLowerCase(), one)
    }
    return matched(asked, known)
  }
}

function matched(asked: GithubAsk, known: readonly Known[]): { ok: true; ask: GithubAsk } | Refused {
  const repositories: Repository[] = []
  for (const one of asked.repositories) {
    const found = known.find(({ id, name }) => (one.name ? sameName(one.name, name) : id === one.id))
    if (!found) {
      const detail = `GitHub does not know ${one.name ?? `repository ${one.id}`} under that ${one.name ? 'name' : 'id'}`
      return { ok: false, reason: 'not_found', detail }
    }
    if (one.id !== undefined && one.id !== found.id) {
      const detail = `${found.name} is repository ${found.id}, not ${one.id}`
      return { ok: false, reason: 'rejected', detail }
    }
    repositories.push({ id: found.id, name: found.name })
  }
  return {
    ok: true,
    ask: { repositories: canonicalRepositories(repositories), permissions: asked.permissions },
  }
}

function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase()
}
