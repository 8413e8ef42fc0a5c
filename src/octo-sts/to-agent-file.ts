/**
 * A trust policy as an agent's file: the same workload by exact values, with ids instead of names, and the same rights
 * as its ceiling. What a rule cannot say exactly is told, and gives no file. Pure.
 */
import { githubFacts } from '../../issuers/shared/github-ask.ts'
import { exactValues } from './exact-values.ts'
import type { IdentityPlace } from './identity-agent.ts'
import { GITHUB_ISSUER } from './probe-jobs.ts'
import type { TrustPolicy } from './trust-policy.ts'

export type ImportSettings = {
  /** The configured attestor of each issuer. */
  attestors: ReadonlyMap<string, string>
  /** The configured `github-app`. */
  issuer: string
  owner: { business: string; technical: string }
  /** With its zone. */
  expiresAt: string
  /** `owner/name`, lower case, to the id that GitHub never gives to another. */
  repositoryIds: ReadonlyMap<string, string>
}

type Rule = { attestor: string; claims: Record<string, string | string[]>; subject?: string[] }
export type AgentFile = { name: string; [key: string]: unknown }
export type ToAgentFile =
  | { ok: true; agent: AgentFile }
  | { ok: false; key: string; why: string; remedy: string }

export function toAgentFile(
  policy: TrustPolicy,
  place: IdentityPlace,
  settings: ImportSettings,
): ToAgentFile {
  const { owner, repository, identity } = place
  const issuers = listed(policy.issuer, policy.issuer_pattern)
  if (issuers === undefined) return notExact('issuer_pattern')
  const subjects = listed(policy.subject, policy.subject_pattern)
  const anyRef = subjects === undefined ? anyOfRepository(policy.subject_pattern) : undefined
  if (subjects === undefined && anyRef === undefined) return notExact('subject_pattern')
  const claims: Record<string, string[]> = {}
  for (const [name, pattern] of Object.entries(policy.claim_pattern)) {
    const values = exactValues(pattern)
    if (values === undefined) return notExact(`claim_pattern.${name}`)
    claims[name] = values
  }
  const attest: Rule[] = []
  for (const issuer of issuers) {
    const attestor = settings.attestors.get(issuer)
    if (attestor === undefined) return noAttestor(issuer)
    if (issuer !== GITHUB_ISSUER) {
      if (subjects === undefined) return notExact('subject_pattern')
      attest.push({ attestor, claims: single(claims), subject: subjects })
      continue
    }
    for (const subject of subjects ?? [anyRef!]) {
      const rule = githubRule(subject, attestor, claims, settings)
      if (!('attestor' in rule)) return rule
      attest.push(rule)
    }
  }
  const repositories = repository === undefined ? policy.repositories : [repository]
  if (repositories === undefined || Object.keys(policy.permissions).length === 0)
    return no(
      'permissions',
      'it gives everything, which no ceiling can say',
      'Name repositories and permissions',
    )
  return {
    ok: true,
    agent: {
      name: nameOf(place),
      owner: settings.owner,
      purpose: `What the octo-sts identity ${identity} of ${owner}${repository === undefined ? '' : `/${repository}`} did`,
      risk_tier: tierOf(policy),
      systems: repositories.slice(0, 64),
      expires_at: settings.expiresAt,
      attest,
      ceiling: {
        [settings.issuer]: [
          {
            repositories: repositories.map(one => withId(`${owner}/${one}`, settings)),
            permissions: policy.permissions,
          },
        ],
      },
      limits: { task_minutes: 60, active_tasks: 20, credentials_per_hour: 100 },
    },
  }
}

const no = (key: string, why: string, remedy: string) => ({ ok: false, key, why, remedy }) as const
const notExact = (key: string) =>
  no(key, 'the pattern stands for more values than can be listed', 'List the values, or serve it by octo_sts')
const noAttestor = (issuer: string) =>
  no('issuer', `no attestor is named for ${issuer}`, `Add --attestor ${issuer}=NAME`)

function listed(exact: string | undefined, pattern: string | undefined): string[] | undefined {
  if (exact !== undefined) return [exact]
  return pattern === undefined ? undefined : exactValues(pattern)
}

/** `repo:acme/app:.*` is all of one repository: its id says the same. */
function anyOfRepository(pattern: string | undefined): string | undefined {
  return /^\^?(repo:[\w.-]+(?:@\d+)?\/[\w.-]+(?:@\d+)?:)\.[*+]\$?$/.exec(pattern ?? '')?.[1]
}

/** `repo:OWNER/REPO:WHERE`, with or without ids. What `WHERE` says is said by claims, which nobody customises. */
function githubRule(
  subject: string,
  attestor: string,
  claims: Record<string, string[]>,
  settings: ImportSettings,
): Rule | Extract<ToAgentFile, { ok: false }> {
  const parts = /^repo:([^/@:]+)(?:@\d+)?\/([^/@:]+)(?:@(\d+))?:(.*)$/.exec(subject)
  if (parts === null) {
    if (claims.repository_id === undefined && claims.repository_owner_id === undefined)
      return no('subject', 'nothing of it is an id', 'Add claim_pattern.repository_id')
    return { attestor, claims: single(claims), subject: [subject] }
  }
  const [, owner, repository, ownId, where = ''] = parts
  const id = ownId ?? settings.repositoryIds.get(`${owner}/${repository}`.toLowerCase())
  if (id === undefined && claims.repository_id === undefined)
    return no(
      'subject',
      `the id of ${owner}/${repository} is not known`,
      `Add --repository-id ${owner}/${repository}=ID (gh api repos/${owner}/${repository} --jq .id)`,
    )
  const said = claimsOf(where)
  const clash = Object.keys(said).find(
    name => claims[name] !== undefined && !claims[name].includes(said[name]!),
  )
  if (clash !== undefined)
    return no(`claim_pattern.${clash}`, 'it and the subject exclude each other', 'Take one of them out')
  return {
    attestor,
    claims: { ...single(claims), ...(id === undefined ? {} : { repository_id: id }), ...said },
    ...(where === '' || Object.keys(said).length > 0 ? {} : { subject: [subject] }),
  }
}

function claimsOf(where: string): Record<string, string> {
  if (where.startsWith('ref:')) return { ref: where.slice('ref:'.length) }
  if (where.startsWith('environment:')) return { environment: where.slice('environment:'.length) }
  return where === 'pull_request' ? { event_name: 'pull_request' } : {}
}

const single = (claims: Record<string, string[]>) =>
  Object.fromEntries(
    Object.entries(claims).map(([name, values]) => [name, values.length === 1 ? values[0]! : values]),
  )

function withId(name: string, { repositoryIds }: ImportSettings): string | { id: number; name: string } {
  const id = repositoryIds.get(name.toLowerCase())
  return id === undefined ? name : { id: Number(id), name }
}

function tierOf({ permissions }: TrustPolicy): 'low' | 'medium' | 'high' {
  const facts = githubFacts({ repositories: [{ name: 'x/x' }], permissions: { ...permissions } })
  if (facts.mayLeaveAccess || !['read', 'propose'].includes(facts.phase)) return 'high'
  return facts.phase === 'read' ? 'low' : 'medium'
}

/** As agents' files are called. */
function nameOf({ owner, repository, identity }: IdentityPlace): string {
  return `${repository ?? owner}-${identity}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .replace(/^(?![a-z])/, 'id-')
    .slice(0, 63)
    .replace(/-+$/, '')
}
