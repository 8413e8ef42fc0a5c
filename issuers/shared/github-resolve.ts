/** Names to ids: what an approval, a digest and a ceiling rest on. Ids are never re-pointed; names are. */
import type { Issued, Refused } from '../issuer.ts'
import { canonicalRepositories, type GithubAsk, type Repository } from './github-ask.ts'
import { ownersOf } from './github-installation.ts'
import { sameName } from './github-name.ts'
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
    const { repositories } = asked
    let known = repositories.flatMap(({ name }) => byName.get(name?.toLowerCase() ?? '') ?? [])
    if (known.length < repositories.length) {
      known = []
      for (const part of byNameAndById(repositories)) {
        const own = await mintOwn({ repositories: part, permissions: { metadata: 'read' } })
        if (!own.ok) return own
        known.push(
          ...own.granted.repositories.flatMap(({ id, name }) =>
            id && name !== undefined ? [{ id, name }] : [],
          ),
        )
      }
      for (const one of known) byName.set(one.name.toLowerCase(), one)
    }
    return matched(asked, known)
  }
}

/**
 * GitHub takes names or ids in one call, not both. By name wherever there is one, so that an id beside it is
 * checked against what the name means now.
 */
function byNameAndById(repositories: readonly Repository[]): Repository[][] {
  const named = repositories.flatMap(({ name }) => (name === undefined ? [] : [{ name }]))
  const bare = repositories.filter(({ name }) => name === undefined)
  return [named, bare].filter(part => part.length > 0)
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
