/** An operator, and what operators do. */

export type Operator = {
  /** Never given to anybody else: `token:<name>`, or `<issuer>#<subject>` of a human. */
  id: string
  /** For the audit log and for people. */
  name: string
  /** As the identity provider says it; identifies nobody. */
  email?: string
  /** As the identity provider names them; none for an operator token. */
  groups: readonly string[]
  kind: 'token' | 'human'
  /** They signed in a moment ago, for one thing alone. */
  fresh?: true
  /** The session they work with. */
  session?: string
}

/**
 * - `read`: everything that is shown to operators; no secret is.
 * - `revoke`: end what lives, refuse more of it.
 * - `drill`: exercise an issuer.
 * - `approve`: answer for one ask, or open a pre-approval window.
 * - `narrow`: suspend, quarantine, offboard.
 * - `widen`: take any of that back, unblock, certify.
 * - `register`: agents, attestors, issuers, resource servers of a namespace.
 * - `configure`: policies, approver groups, keys, other operators.
 */
export const OPERATOR_ACTIONS = [
  'read',
  'revoke',
  'drill',
  'approve',
  'narrow',
  'widen',
  'register',
  'configure',
] as const
export type OperatorAction = (typeof OPERATOR_ACTIONS)[number]

/** What it is done to, as far as it is one thing. `owner`: the team that answers for it. */
export type OperatedOn = { agent?: string; owner?: string; namespace?: string }

/** What a session of a human is never enough for: whoever holds it could be anything on their machine. */
const NEEDS_FRESH: ReadonlySet<OperatorAction> = new Set(['approve', 'widen', 'register', 'configure'])

export const needsFresh = (action: OperatorAction): boolean => NEEDS_FRESH.has(action)

/** As it stands in audit rows. A human's name is what they chose: it stands beside who they are. */
export function actorOf({ id, name, kind }: Pick<Operator, 'id' | 'name' | 'kind'>): string {
  return kind === 'token' ? `operator:${name}` : `operator:${name.replaceAll(/[<>]/g, '')} <${id}>`
}
