/** What an operator wants revoked, and what that reaches. Pure. */

/**
 * Each member narrows; none at all is everything. `task` is a task and all below it. `repository` (`owner/name`,
 * or its number) and `role` are what a credential is for.
 */
export type RevocationFilter = {
  task?: string
  agent?: string
  issuer?: string
  repository?: string
  role?: string
  lease?: string
  /** On whose behalf, `ISSUER#SUBJECT`. */
  human?: string
  /** With `agent`: what can do more than read, of its tasks and of every task below them. */
  above_read?: true
}

/** One task about to be opened, or one credential about to be minted. */
export type Subject = {
  /** The task and every task above it. */
  line: readonly string[]
  agent: string
  /** On whose behalf; null where on nobody's. */
  human: string | null
  asks: readonly { issuer: string; ask: unknown }[]
}

/** Whether it names whole tasks; otherwise it names single credentials, and their tasks go on. */
export function isOfTasks({ issuer, repository, role, lease, above_read }: RevocationFilter): boolean {
  return [issuer, repository, role, lease, above_read].every(part => part === undefined)
}

/** Whether what is about to be would be revoked. A lease that does not exist yet is none of those named. */
export function refuses(filter: RevocationFilter, { line, agent, human, asks }: Subject): boolean {
  if (filter.task !== undefined && !line.includes(filter.task)) return false
  if (filter.agent !== undefined && filter.agent !== agent) return false
  if (filter.human !== undefined && filter.human !== human) return false
  if (filter.lease !== undefined) return false
  return isOfTasks(filter) || asks.some(({ issuer, ask }) => isFor(filter, issuer, ask))
}

/** Whether a credential is of the issuer and for the repository and the role that the filter names. */
export function isFor(filter: RevocationFilter, issuer: string, ask: unknown): boolean {
  const { repository, role } = filter
  if (filter.issuer !== undefined && filter.issuer !== issuer) return false
  return (
    (repository === undefined || names(ask, value => isRepository(value, repository))) &&
    (role === undefined || names(ask, value => value === role))
  )
}

/**
 * Looked for anywhere in the ask, whatever the issuer's form: where a credential is to be killed, one too many
 * is the smaller fault.
 */
function names(value: unknown, is: (leaf: unknown) => boolean): boolean {
  if (typeof value !== 'object' || value === null) return is(value)
  return Object.values(value).some(one => names(one, is))
}

function isRepository(value: unknown, wanted: string): boolean {
  if (typeof value === 'number') return String(value) === wanted
  return typeof value === 'string' && value.toLowerCase() === wanted.toLowerCase()
}
