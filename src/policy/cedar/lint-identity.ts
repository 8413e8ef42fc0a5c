/** Whether a rule knows whom it speaks of: patterns on identities, and names where ids belong. */
import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { binaryOf, likeOf, literalOf, literalsOf, membersOf, pathOf, within } from './lint-expression.ts'
import type { Found } from './lint-finding.ts'
import { entitiesOf } from './lint-scope.ts'

/** Claims that say where a job runs and not who it is: patterns on them are a matter of care. */
const PLACES = ['ref', 'head_ref', 'base_ref', 'environment', 'ref_name']

/**
 * `like "repo:acme*"` admits `repo:acme-evil/app` (THREATS G5), so no identity is compared by a pattern: not a claim,
 * not a subject, not what is touched. In a forbid's `when` a pattern only forbids more than was meant.
 */
export function likeFindings({ effect, conditions }: PolicyJson): Found[] {
  return conditions.flatMap(({ kind, body }) =>
    [...within(body)].flatMap((node): Found[] => {
      const like = likeOf(node)
      if (like === undefined || !like.pattern.includes('*')) return []
      const path = like.path ?? 'a computed value'
      if (isPlace(path)) return unanchored(path, like.pattern)
      if (like.path !== undefined && !isIdentity(path)) return []
      return [
        {
          rule: 'like-on-identity',
          severity: effect === 'forbid' && kind === 'when' ? 'warning' : 'error',
          message: `compares ${path} with the pattern ${JSON.stringify(like.pattern)}, which others can be named to fit`,
          remedy: `List what is meant: ["one", "two"].contains(${path}); or compare an id`,
        },
      ]
    }),
  )
}

/** `refs/heads/release*` is `refs/heads/release-by-a-stranger`, too. */
function unanchored(path: string, pattern: string): Found[] {
  const loose = [...pattern.matchAll(/\*/g)].some(({ index }) => index === 0 || pattern[index - 1] !== '/')
  if (!loose) return []
  return [
    {
      ...{ rule: 'like-unanchored', severity: 'warning' },
      message: `the pattern ${JSON.stringify(pattern)} on ${path} ends in the middle of a name`,
      remedy: 'Let each * stand behind a slash, or list what is meant',
    },
  ]
}

const claimIn = (path: string) => /^context\.(?:claims\.|identity\[")([^"]+)/.exec(path)?.[1]

function isPlace(path: string): boolean {
  const claim = claimIn(path)
  return claim !== undefined && PLACES.includes(claim)
}

function isIdentity(path: string): boolean {
  if (claimIn(path) !== undefined || path === 'context.subject') return true
  if (/^resource\.(id|name)$/.test(path)) return true
  return /^(principal|context\.agent|context\.human)\.(name|team|technicalOwner|issuer|subject)$/.test(path)
}

/** What may be given to somebody else, and what nobody else ever has. */
const NAMED_CLAIMS: Readonly<Record<string, string>> = {
  repository: 'repository_id',
  repository_owner: 'repository_owner_id',
  actor: 'actor_id',
  workflow: 'job_workflow_ref',
  project_path: 'project_id',
  namespace_path: 'namespace_id',
  user_login: 'user_id',
}

/** A name can be freed and registered by another (THREATS row 5); once an ask is resolved, its id is a number. */
export function nameFindings(json: PolicyJson): Found[] {
  const literals = [...within(json.conditions)].flatMap(node => {
    const { __entity: entity } = membersOf(membersOf(node).Value)
    return entity === undefined ? [] : [entity as { type: string; id: string }]
  })
  const repositories = [...entitiesOf(json.resource), ...literals].filter(
    ({ type, id }) => type === 'Mayfly::Repository' && !/^\d+$/.test(id),
  )
  return [
    ...repositories.map(
      ({ id }): Found => ({
        ...{ rule: 'name-for-id', severity: 'error' },
        message: `Mayfly::Repository::${JSON.stringify(id)} is a name: repositories are known by their number, and this one is never met`,
        remedy: 'Use the number: gh api repos/OWNER/NAME --jq .id',
      }),
    ),
    ...comparedNames(json),
  ]
}

function comparedNames({ conditions }: PolicyJson): Found[] {
  const compared = new Set<string>()
  for (const node of within(conditions)) {
    const both = binaryOf(node)
    if (both === undefined) continue
    const { operator, left, right } = both
    if (operator === '==' || operator === '!=') {
      if (literalOf(right) !== undefined) compared.add(pathOf(left) ?? '')
      if (literalOf(left) !== undefined) compared.add(pathOf(right) ?? '')
    } else if (operator === 'contains' && literalsOf(left) !== undefined) compared.add(pathOf(right) ?? '')
  }
  return [...compared].flatMap((path): Found[] => {
    const claim = claimIn(path)
    const instead =
      path === 'resource.name'
        ? 'the entity itself, by its id'
        : claim !== undefined && Object.hasOwn(NAMED_CLAIMS, claim)
          ? NAMED_CLAIMS[claim]
          : undefined
    if (instead === undefined) return []
    return [
      {
        ...{ rule: 'name-for-id', severity: 'warning' },
        message: `compares ${path}, a name that can be given up and taken by somebody else`,
        remedy: `Compare ${instead}`,
      },
    ]
  })
}
