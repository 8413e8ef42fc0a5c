/** What a credential is good for, told by the members of its ask: an issuer's name is the operator's choice. */
export type AskKind = 'github' | 'aws' | 'other'

export function kindOf(detail: Readonly<Record<string, unknown>>): AskKind {
  if ('role' in detail && 'statements' in detail) return 'aws'
  return 'permissions' in detail && ('repositories' in detail || 'repository_ids' in detail)
    ? 'github'
    : 'other'
}
