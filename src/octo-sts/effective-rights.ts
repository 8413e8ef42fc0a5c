/** What a trust policy gives, cut to what the operator lets its owner give: never more than either. Pure. */
import { sameName } from '../../issuers/shared/github-name.ts'
import { GITHUB_PERMISSIONS, type Level, levelCovers } from '../../issuers/shared/github-permissions.ts'
import type { TrustPolicy } from './trust-policy.ts'

/** The operator's. Without `repositories`: those that a policy names. */
export type RightsCeiling = {
  permissions: Readonly<Record<string, Level>>
  repositories?: readonly string[] | undefined
}

/** Where a policy stands: the repository as GitHub writes it, and its id. */
export type PolicyPlace = { owner: string; repository: string; repositoryId: number; isOrganization: boolean }

/** As the issuer's asks have it. `narrowed`: what the policy says and does not get, in words. */
export type EffectiveRights =
  | {
      ok: true
      rights: {
        repositories: { name: string; id?: number }[]
        permissions: Record<string, Level>
      }
      narrowed: string[]
    }
  | { ok: false; why: string }

export function effectiveRights(
  policy: Pick<TrustPolicy, 'permissions' | 'repositories'>,
  place: PolicyPlace,
  ceiling: RightsCeiling,
): EffectiveRights {
  if (Object.keys(policy.permissions).length === 0)
    return { ok: false, why: 'trust policy: permissions are empty, which GitHub would read as all of them' }
  const narrowed: string[] = []
  const permissions = cutPermissions(policy.permissions, ceiling.permissions, narrowed)
  const repositories = cutRepositories(policy, place, ceiling, narrowed)
  if (repositories === undefined)
    return {
      ok: false,
      why: 'trust policy: repositories are not named, and neither does the ceiling of this owner name any',
    }
  if (Object.keys(permissions).length === 0 || repositories.length === 0)
    return {
      ok: false,
      why: `trust policy: nothing of it is within the ceiling that this Mayfly has for ${place.owner} (${narrowed.join('; ')})`,
    }
  return { ok: true, rights: { repositories, permissions }, narrowed }
}

function cutPermissions(
  asked: TrustPolicy['permissions'],
  most: RightsCeiling['permissions'],
  narrowed: string[],
): Record<string, Level> {
  const kept: Record<string, Level> = {}
  for (const [name, level] of Object.entries(asked)) {
    const ceiling = name === 'metadata' ? 'read' : Object.hasOwn(most, name) ? most[name] : undefined
    if (levelCovers(ceiling, level)) {
      kept[name] = level
      continue
    }
    // Below what was asked there may be a level that both allow.
    const isLevel = ceiling !== undefined && GITHUB_PERMISSIONS[name]?.levels.includes(ceiling)
    if (isLevel) kept[name] = ceiling
    narrowed.push(`${name}: ${level} is ${isLevel ? `cut to ${ceiling}` : 'above it'}`)
  }
  return kept
}

/** Undefined where "all" was meant and nobody says which these are: no token is for all. */
function cutRepositories(
  { repositories }: Pick<TrustPolicy, 'repositories'>,
  { owner, repository, repositoryId, isOrganization }: PolicyPlace,
  ceiling: RightsCeiling,
  narrowed: string[],
): { name: string; id?: number }[] | undefined {
  const wanted = isOrganization ? (repositories ?? ceiling.repositories) : [repository]
  if (wanted === undefined) return undefined
  const kept = wanted.filter(one => ceiling.repositories?.some(allowed => sameName(allowed, one)) ?? true)
  for (const one of wanted) if (!kept.includes(one)) narrowed.push(`the repository ${one} is not in it`)
  return kept.map(one => ({
    name: `${owner}/${one}`,
    // A name can be given to another repository; the one that holds the policy is meant.
    ...(sameName(one, repository) ? { id: repositoryId } : {}),
  }))
}
