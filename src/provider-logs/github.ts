/**
 * GitHub's audit log, as its REST API, its export and its stream write it: one object an event, with `action`
 * (`category.verb`), `@timestamp` (epoch ms), and `hashed_token`, the base64 SHA-256 of the token that was used
 * ("Identifying audit log events performed by an access token").
 */
import type { Created, LogRecord, ProviderLogEntry } from './entry.ts'
import { firstOf, momentOf, present, textOf } from './fields.ts'

export function isGithubEntry(record: LogRecord): boolean {
  return typeof record.action === 'string' && ('@timestamp' in record || 'created_at' in record)
}

export function githubEntry(record: LogRecord): ProviderLogEntry | undefined {
  const at = momentOf(record['@timestamp'] ?? record.created_at)
  const action = textOf(record, 'action')
  if (at === undefined || action === undefined) return undefined
  const hash = textOf(record, 'hashed_token')
  return present<ProviderLogEntry>({
    provider: 'github',
    at,
    action,
    actor: textOf(record, 'actor'),
    tokenHash: hash === undefined ? undefined : hexOf(hash),
    via: textOf(record, 'programmatic_access_type'),
    session: undefined,
    sourceIdentity: undefined,
    role: undefined,
    resource: firstOf(record, ['repo', 'repository', 'org', 'business']),
    created: createdBy(action, record),
    refused: undefined,
  })
}

/** 32 bytes in base64 become hex; anything else is left, and matches nothing. */
function hexOf(hash: string): string {
  const bytes = Buffer.from(hash, 'base64')
  return bytes.length === 32 && bytes.toString('base64') === hash ? bytes.toString('hex') : hash
}

type Making = { when: RegExp; kind: string; named: readonly string[] }

/** The first that fits. What is not among them and still says that it creates is listed under its category. */
const MAKINGS: readonly Making[] = [
  { when: /^deploy_key\.create$/, kind: 'deploy_key', named: ['title', 'key', 'fingerprint'] },
  {
    when: /^hook\.(create|config_changed|events_changed|active_changed)$/,
    kind: 'hook',
    named: ['hook_id', 'name'],
  },
  {
    when: /^(?!secret_scanning).*\b(create|update)_\w*secret$/,
    kind: 'secret',
    named: ['key', 'secret_name', 'name'],
  },
  { when: /\.(create|update)_\w*variable$/, kind: 'variable', named: ['key', 'variable_name', 'name'] },
  {
    when: /\.(add|invite)_(member|admin|outside_collaborator|organization)$/,
    kind: 'user',
    named: ['user', 'invitee', 'email'],
  },
  {
    when: /^(\w+\.update_member|organization_role\.(assign|create|update)|role\.(create|update))$/,
    kind: 'role',
    named: ['user', 'team', 'role', 'name'],
  },
  {
    when: /^team\.(create|add_repository|update_repository_permission|change_privacy)$/,
    kind: 'team',
    named: ['team', 'name'],
  },
  {
    when: /^(oauth_(access|authorization)\.create|org\.oauth_app_access_approved|org_credential_authorization\.grant)$/,
    kind: 'oauth_grant',
    named: ['oauth_application_name', 'application_name', 'credential_id', 'oauth_application_id'],
  },
  {
    when: /^personal_access_token\.(create|access_granted|request_created)$/,
    kind: 'personal_access_token',
    named: ['user_programmatic_access_name', 'token_id'],
  },
  {
    when: /^integration_installation\.(create|repositories_added|version_updated)$/,
    kind: 'app_installation',
    named: ['integration', 'name'],
  },
  {
    when: /^(integration|oauth_application)\.(create|generate_client_secret|manager_added|transfer)$/,
    kind: 'app',
    named: ['integration', 'oauth_application_name', 'name'],
  },
  {
    when: /^(workflows\.(created_workflow_run|enable_workflow|approve_workflow_job)|workflow\.create)$/,
    kind: 'workflow',
    named: ['workflow_run_id', 'workflow_id', 'name'],
  },
  { when: /\.register_self_hosted_runner$/, kind: 'runner', named: ['runner_name', 'name', 'runner_id'] },
  { when: /^repo\.(create|fork|transfer)$/, kind: 'repository', named: ['repo', 'name'] },
]

function createdBy(action: string, record: LogRecord): Created | undefined {
  if (action === 'public_key.create') {
    const kind = textOf(record, 'repo') === undefined ? 'ssh_key' : 'deploy_key'
    return { kind, name: nameIn(record, ['title', 'key', 'fingerprint']) }
  }
  const making = MAKINGS.find(({ when }) => when.test(action))
  if (making !== undefined) return { kind: making.kind, name: nameIn(record, making.named) }
  const [category = action, verb = ''] = action.split('.')
  const creates =
    textOf(record, 'operation_type') === 'create' || /^(create|add|register|grant)(_|$)/.test(verb)
  // Every git event names itself an access or a modification; a run of a check is no thing that lasts.
  if (!creates || category === 'git') return undefined
  return { kind: category, name: nameIn(record, ['name', 'title', 'key']) }
}

function nameIn(record: LogRecord, names: readonly string[]): string {
  return firstOf(record, [...names, 'repo', 'org', '_document_id']) ?? 'without a name'
}
