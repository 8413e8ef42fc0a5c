/** What is wrong with a trust policy that is valid: by trying who gets in, and by what it gives. Pure. */
import { githubFacts } from '../../issuers/shared/github-ask.ts'
import { judgeTrust, namesValues, type TrustRule } from '../policy/trust/trust-rule.ts'
import type { IdentityPlace } from './identity-agent.ts'
import { GITHUB_ISSUER, jobClaims, type Probe, strangerProbes } from './probe-jobs.ts'
import type { TrustPolicy } from './trust-policy.ts'

export type PolicyFinding = {
  rule:
    | 'invalid' // it does not parse or compile
    | 'admits-strangers' // somebody of another owner gets in
    | 'matches-everything' // a pattern that takes any value
    | 'mutable-subject' // any branch, or code that nobody has merged
    | 'name-for-id' // names, which may be given to somebody else
    | 'audience-missing'
    | 'risky-events' // on the doing of strangers, with the repository's trust
    | 'gives-nothing' // no permissions, which GitHub reads as all of them
    | 'organization-wide' // all repositories
    | 'leaves-access' // what it gives can plant what outlives the token
    | 'not-imported' // an agent's rule cannot say it
  severity: 'error' | 'warning'
  /** Of the key; the file's first where it has none. */
  key: string
  message: string
  remedy: string
}

export function lintPolicy(policy: TrustPolicy, place: IdentityPlace): PolicyFinding[] {
  const isGithub = admits(policy, { issuer: GITHUB_ISSUER, subject: undefined, claims: undefined })
  return [
    ...strangers(policy, place, isGithub),
    ...everything(policy),
    ...(isGithub ? [...mutable(policy, place), ...names(policy), ...events(policy)] : []),
    ...audience(policy),
    ...rights(policy, place),
  ]
}

const finding = (
  severity: PolicyFinding['severity'],
  rule: PolicyFinding['rule'],
  key: string,
  message: string,
  remedy: string,
): PolicyFinding => ({ severity, rule, key, message, remedy })

function admits(policy: TrustPolicy, { issuer, subject, claims }: Probe): boolean {
  const { permissions: _, repositories: __, audience: ___, audience_pattern: ____, ...rest } = policy
  const { subject: exact, subject_pattern: pattern, ...without } = rest
  const whom =
    subject === undefined ? { subject: 'any' } : definedOf({ subject: exact, subject_pattern: pattern })
  const rule: TrustRule = {
    ...{ ...without, ...whom, audience: 'any', origin: '', attestors: ['any'], events: [] },
    claim_pattern: claims === undefined ? {} : policy.claim_pattern,
  }
  const facts = { attestor: 'any', issuer, subject: subject ?? 'any', claims: claims ?? {} }
  return judgeTrust(rule, facts, ['any']).ok
}

const definedOf = (value: Record<string, string | undefined>) =>
  Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )

function strangers(policy: TrustPolicy, { owner }: IdentityPlace, isGithub: boolean): PolicyFinding[] {
  const message = (who: string) => `${who} gets in`
  const remedy = "Name the owner's own ids: claim_pattern.repository_owner_id, and a subject with its colon"
  if (admits(policy, { issuer: 'https://stranger.example.com', subject: undefined, claims: undefined }))
    return [
      finding('error', 'admits-strangers', 'issuer_pattern', message('any issuer at all'), 'Name the issuer'),
    ]
  if (!isGithub) return []
  const owners = ['stranger', `${owner}-stranger`, `stranger-${owner}`]
  const admitted = owners.flatMap(one =>
    strangerProbes(one)
      .filter(probe => admits(policy, probe))
      .map(({ subject }) => subject),
  )
  if (admitted.length === 0) return []
  const key = policy.subject_pattern === undefined ? 'subject' : 'subject_pattern'
  return [
    finding('error', 'admits-strangers', key, message(`${admitted[0]}, which is not of ${owner},`), remedy),
  ]
}

function everything(policy: TrustPolicy): PolicyFinding[] {
  const patterns = [
    ...(['issuer_pattern', 'subject_pattern', 'audience_pattern'] as const).map(
      key => [key, policy[key]] as const,
    ),
    ...Object.entries(policy.claim_pattern).map(([name, one]) => [`claim_pattern.${name}`, one] as const),
  ]
  return patterns
    .filter(([, pattern]) => pattern !== undefined && !namesValues(pattern))
    .map(([key]) =>
      finding('warning', 'matches-everything', key, 'it takes any value', 'Name the values that are meant'),
    )
}

/** Whether a branch of anybody's naming, or a pull request, is as good as the main one. */
function mutable(policy: TrustPolicy, { owner, repository }: IdentityPlace): PolicyFinding[] {
  const at = `repo:${owner}/${repository ?? 'app'}`
  const own = (where: string): Probe => ({
    issuer: GITHUB_ISSUER,
    subject: `${at}:${where}`,
    claims: { ...jobClaims(owner, where), ...ownClaims(policy) },
  })
  const found: PolicyFinding[] = []
  const key = policy.subject_pattern === undefined ? 'subject' : 'subject_pattern'
  if (admits(policy, own('ref:refs/heads/anybodys-branch')))
    found.push(
      finding(
        'warning',
        'mutable-subject',
        key,
        'any branch gets in',
        'Name the branch, or an environment that guards it',
      ),
    )
  if (admits(policy, own('pull_request')))
    found.push(
      finding(
        'warning',
        'mutable-subject',
        key,
        'code that nobody has merged gets in',
        'Leave pull requests to a policy of their own that only reads',
      ),
    )
  const workflow = policy.claim_pattern.job_workflow_ref
  if (workflow !== undefined && !/@[0-9a-f]{40}\$?$/.test(workflow))
    found.push(
      finding(
        'warning',
        'mutable-subject',
        'claim_pattern.job_workflow_ref',
        'a branch or tag of the workflow can be moved',
        'Pin it by commit: claim_pattern.job_workflow_sha',
      ),
    )
  return found
}

/** Claims that a job of the owner's would bring where the policy names them exactly. */
function ownClaims({ claim_pattern }: TrustPolicy): Record<string, string> {
  const ids = ['repository_id', 'repository_owner_id', 'repository', 'repository_owner', 'job_workflow_ref']
  return Object.fromEntries(
    ids.flatMap(name => (claim_pattern[name] === undefined ? [] : [[name, claim_pattern[name]]])),
  )
}

function names(policy: TrustPolicy): PolicyFinding[] {
  const { subject, subject_pattern: pattern, claim_pattern: claims } = policy
  if (['repository_id', 'repository_owner_id'].some(name => namesValues(claims[name]))) return []
  if (/^\^?repo:[^/@:]+@\d+\/[^/@:]+@\d+:/.test(subject ?? pattern ?? '')) return []
  const key = subject === undefined ? 'subject_pattern' : 'subject'
  return [
    finding(
      'warning',
      'name-for-id',
      key,
      'names of owner and repository can be given to somebody else',
      'Add claim_pattern.repository_id: gh api repos/OWNER/REPO --jq .id',
    ),
  ]
}

const RISKY = ['pull_request_target', 'issue_comment', 'workflow_run', 'issues', 'pull_request']

function events({ claim_pattern: { event_name: pattern } }: TrustPolicy): PolicyFinding[] {
  if (!namesValues(pattern)) return []
  const named = RISKY.filter(event => admitsValue(pattern!, event))
  if (named.length === 0) return []
  const message = `${named.join(', ')} can be caused, or shaped, by people without write access`
  return [
    finding(
      'warning',
      'risky-events',
      'claim_pattern.event_name',
      message,
      'Give such runs no more than reading',
    ),
  ]
}

function admitsValue(pattern: string, value: string): boolean {
  const rule: TrustRule = {
    ...{ issuer: 'x', subject: 'x', audience: 'x', origin: '', attestors: ['x'], events: [] },
    claim_pattern: { value: pattern },
  }
  return judgeTrust(rule, { attestor: 'x', issuer: 'x', subject: 'x', claims: { value } }, undefined).ok
}

function audience(policy: TrustPolicy): PolicyFinding[] {
  if (policy.audience !== undefined || policy.audience_pattern !== undefined) return []
  const message = 'the audience is whatever the exchange calls itself, and changes when that moves'
  return [
    finding('warning', 'audience-missing', 'issuer', message, 'Name the audience that workflows ask for'),
  ]
}

function rights({ permissions, repositories }: TrustPolicy, place: IdentityPlace): PolicyFinding[] {
  if (Object.keys(permissions).length === 0)
    return [
      finding(
        'error',
        'gives-nothing',
        'permissions',
        'GitHub would read it as all of them',
        'Name each permission',
      ),
    ]
  const found: PolicyFinding[] = []
  if (place.repository === undefined && repositories === undefined)
    found.push(
      finding(
        'error',
        'organization-wide',
        'permissions',
        'it is for every repository of the installation',
        'Name them in repositories',
      ),
    )
  const asked = { repositories: [{ name: 'x/x' }], permissions: { ...permissions } }
  if (githubFacts(asked).mayLeaveAccess)
    found.push(
      finding(
        'warning',
        'leaves-access',
        'permissions',
        'it can plant access that outlives the token',
        'Take out workflows, administration, secrets, hooks and their kind',
      ),
    )
  return found
}
