/** What may be asked of a GitHub App: repositories by name or id, and permissions. Both forms of one schema. */
import { z } from 'zod'
import type { AskFacts, Phase, TouchedResource } from '../issuer.ts'
import { GITHUB_PERMISSIONS, type Level, levelCovers } from './github-permissions.ts'

/** `id` is the authority; `name` (`owner/name`) is what people read, and may be re-pointed. One at least. */
export type Repository = { id?: number; name?: string }

/**
 * Canonical: repositories without repeats and in order, permissions in order and always with
 * `metadata: read`, which GitHub adds to every token.
 */
export type GithubAsk = { repositories: Repository[]; permissions: Record<string, Level> }

/** GitHub narrows a token to at most this many repositories. */
const MAX_REPOSITORIES = 500

/** Owners may end in `_shortcode` (managed users); `.` and `..` are no repository names. */
const repositoryName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/,
    'a repository is written owner/name',
  )
const repositoryId = z.int().positive()

const repository = z.union([
  repositoryName.transform((name): Repository => ({ name })),
  z
    .strictObject({ id: repositoryId.optional(), name: repositoryName.optional() })
    .refine(({ id, name }) => id !== undefined || name !== undefined, 'a repository has an id or a name')
    .transform(({ id, name }): Repository => repositoryOf(id, name)),
])

/** Known names and levels only, at least one. */
export const githubPermissions = z
  .strictObject(
    Object.fromEntries(
      Object.entries(GITHUB_PERMISSIONS).map(([name, { levels }]) => [name, z.enum(levels).optional()]),
    ),
  )
  .transform(asked => canonicalPermissions(asked))
  .refine(asked => Object.keys(asked).length > 0, 'at least one permission: none would mean all of them')

/** Input: `{ repositories?: ["owner/name"], repository_ids?: [42], permissions: { contents: "write" } }`. */
export const githubAsk = z
  .strictObject({
    repositories: z.array(repository).max(MAX_REPOSITORIES).default([]),
    repository_ids: z.array(repositoryId).max(MAX_REPOSITORIES).default([]),
    permissions: githubPermissions,
  })
  .transform(
    (asked): GithubAsk => ({
      repositories: canonicalRepositories([
        ...asked.repositories,
        ...asked.repository_ids.map((id): Repository => ({ id })),
      ]),
      permissions: canonicalPermissions({
        ...asked.permissions,
        metadata: asked.permissions.metadata ?? 'read',
      }),
    }),
  )
  .refine(asked => asked.repositories.length > 0, 'at least one repository: none would mean all of them')
  .refine(
    asked => asked.repositories.length <= MAX_REPOSITORIES,
    `at most ${MAX_REPOSITORIES} repositories in one ask`,
  )

export function repositoryOf(id: number | undefined, name: string | undefined): Repository {
  return { ...(id !== undefined && { id }), ...(name !== undefined && { name }) }
}

/** By name, then by id; entries that say the same are one. */
export function canonicalRepositories(repositories: readonly Repository[]): Repository[] {
  const key = ({ id, name }: Repository) =>
    `${name?.toLowerCase() ?? ''}#${String(id ?? 0).padStart(16, '0')}`
  const byKey = new Map(repositories.map(repository => [key(repository), repository]))
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, repository]) => repository)
}

/**
 * What the ceiling says of a repository (id, name, or both) must be so of the wanted one, names without
 * regard to case; and no permission may be above the ceiling's.
 */
export function githubCovers(ceiling: GithubAsk, wanted: GithubAsk): boolean {
  return coversBy(repositoryCovers, ceiling, wanted)
}

/** The same, where a wanted repository may still lack its id or its name. */
export function githubCouldCover(ceiling: GithubAsk, wanted: GithubAsk): boolean {
  const could = (allowed: Repository, { id, name }: Repository) =>
    repositoryCovers(allowed, repositoryOf(id ?? allowed.id, name ?? allowed.name))
  return coversBy(could, ceiling, wanted)
}

function coversBy(
  repositoryFits: (ceiling: Repository, wanted: Repository) => boolean,
  ceiling: GithubAsk,
  wanted: GithubAsk,
): boolean {
  return (
    wanted.repositories.every(one => ceiling.repositories.some(allowed => repositoryFits(allowed, one))) &&
    Object.entries(wanted.permissions).every(([name, level]) =>
      levelCovers(own(ceiling.permissions, name), level),
    )
  )
}

const PHASES: readonly Phase[] = ['read', 'propose', 'execute', 'deploy', 'transact']

export function githubFacts(ask: GithubAsk): AskFacts {
  const writes = Object.entries(ask.permissions).filter(([, level]) => level !== 'read')
  // A permission this list does not know is treated as the most it could be.
  const kinds = writes.map(([name]) => own(GITHUB_PERMISSIONS, name))
  const phase = Math.max(0, ...kinds.map(kind => PHASES.indexOf(kind?.phase ?? 'transact')))
  return {
    phase: PHASES[phase] ?? 'transact',
    resources: ask.repositories.map(touchedRepository),
    permissions: Object.entries(ask.permissions).map(([name, level]) => `${name}:${level}`),
    mayLeaveAccess: kinds.some(kind => kind?.leavesAccess ?? true),
  }
}

/** Known by its number once it is resolved; its name, and the owner it lies in, may be given to another. */
function touchedRepository({ id, name }: Repository): TouchedResource {
  const owner = name?.split('/')[0]?.toLowerCase()
  return {
    type: 'Repository',
    id: id === undefined ? (name ?? '').toLowerCase() : String(id),
    name: name ?? `id:${id}`,
    parents: owner === undefined ? [] : [{ type: 'Owner', id: owner }],
  }
}

function repositoryCovers(ceiling: Repository, wanted: Repository): boolean {
  if (ceiling.id === undefined && ceiling.name === undefined) return false
  if (ceiling.id !== undefined && ceiling.id !== wanted.id) return false
  return ceiling.name === undefined || ceiling.name.toLowerCase() === wanted.name?.toLowerCase()
}

function canonicalPermissions(asked: Record<string, Level | undefined>): Record<string, Level> {
  const given = Object.entries(asked).filter((entry): entry is [string, Level] => entry[1] !== undefined)
  return Object.fromEntries(given.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function own<Value>(record: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined
}
