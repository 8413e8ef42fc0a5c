/**
 * GitHub App permissions: the levels each has, what writing with it amounts to, and whether a holder could
 * leave access behind that outlives the token. Names and levels are `app-permissions` of GitHub's published
 * OpenAPI description (@octokit/openapi 23.0.2, API version 2022-11-28).
 */
import type { Phase } from '../issuer.ts'

export type Level = 'read' | 'write' | 'admin'

export type PermissionKind = {
  levels: readonly [Level, ...Level[]]
  /** The phase of a level above `read`. */
  phase: Phase
  /** Above `read`, keys, hooks, secrets, members, workflows or trust that stay when the token is dead. */
  leavesAccess: boolean
}

const READ = ['read'] as const
const WRITE_ONLY = ['write'] as const
const WRITE = ['read', 'write'] as const
const ADMIN = ['read', 'write', 'admin'] as const

const kind = (phase: Phase, levels: PermissionKind['levels'] = WRITE): PermissionKind => ({
  levels,
  phase,
  leavesAccess: false,
})
const lasting = (phase: Phase, levels: PermissionKind['levels'] = WRITE): PermissionKind => ({
  levels,
  phase,
  leavesAccess: true,
})

export const GITHUB_PERMISSIONS: Readonly<Record<string, PermissionKind>> = {
  // A repository's work: what a reviewer can still turn down.
  checks: kind('propose'),
  code_quality: kind('propose'),
  contents: kind('propose'),
  discussions: kind('propose'),
  issues: kind('propose'),
  pull_requests: kind('propose'),
  repository_projects: kind('propose', ADMIN),
  secret_scanning_alerts: kind('propose'),
  security_events: kind('propose'),
  single_file: kind('propose'),
  statuses: kind('propose'),
  vulnerability_alerts: kind('propose'),
  metadata: kind('propose'),

  // Runs code somewhere.
  actions: kind('execute'),
  codespaces: lasting('execute'),
  merge_queues: kind('execute'),
  organization_copilot_agent_settings: lasting('execute'),
  organization_self_hosted_runners: lasting('execute'),
  workflows: lasting('execute', WRITE_ONLY),

  // Reaches users, or says what may.
  artifact_metadata: kind('deploy'),
  attestations: kind('deploy'),
  deployments: kind('deploy'),
  // An environment holds secrets and the rules that guard them.
  environments: lasting('deploy'),
  organization_packages: kind('deploy'),
  packages: kind('deploy'),
  pages: kind('deploy'),

  // Changes who may do what; no revert undoes it.
  administration: lasting('transact'),
  custom_properties_for_organizations: lasting('transact'),
  dependabot_secrets: lasting('transact'),
  email_addresses: lasting('transact'),
  enterprise_custom_properties_for_organizations: lasting('transact', ADMIN),
  git_ssh_keys: lasting('transact'),
  gpg_keys: lasting('transact'),
  members: lasting('transact'),
  organization_administration: lasting('transact'),
  organization_custom_org_roles: lasting('transact'),
  // Custom properties are claims (`repo_property_*`) that trust rules elsewhere read.
  organization_custom_properties: lasting('transact', ADMIN),
  organization_custom_roles: lasting('transact'),
  organization_hooks: lasting('transact'),
  organization_personal_access_token_requests: lasting('transact'),
  organization_personal_access_tokens: lasting('transact'),
  organization_secrets: lasting('transact'),
  repository_custom_properties: lasting('transact'),
  repository_hooks: lasting('transact'),
  secrets: lasting('transact'),

  // The organization's or the account's own affairs.
  followers: kind('propose'),
  interaction_limits: kind('transact'),
  organization_announcement_banners: kind('propose'),
  organization_copilot_seat_management: kind('transact'),
  organization_events: kind('read', READ),
  organization_plan: kind('read', READ),
  organization_projects: kind('propose', ADMIN),
  organization_user_blocking: kind('transact'),
  profile: kind('propose', WRITE_ONLY),
  starring: kind('propose'),
}

const RANK: Readonly<Record<string, number>> = { read: 1, write: 2, admin: 3 }

/** Whether `ceiling` is at least `wanted`. A level that is not known is above every ceiling and covers nothing. */
export function levelCovers(ceiling: string | undefined, wanted: string): boolean {
  return (RANK[ceiling ?? ''] ?? 0) >= (RANK[wanted] ?? Number.POSITIVE_INFINITY)
}
