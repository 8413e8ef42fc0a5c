/** What `mayfly revoke` is told to revoke, and how it tells of it. */
import type { RevocationFilter } from '../policy/revocation-filter.ts'
import type { PreviewAnswer, RevocationStatusAnswer } from './answers.ts'
import { leaseTable } from './leases.ts'
import { count, printable, table } from './print.ts'
import { CommandError, EXIT, usageError } from './terminal.ts'

export type FilterOptions = {
  task?: string
  agent?: string
  human?: string
  issuer?: string
  repository?: string
  role?: string
  lease?: string
  everything?: true
}

/** @throws CommandError (usage) where nothing is named, or everything and something */
export function readFilter({ everything, ...options }: FilterOptions): RevocationFilter {
  const { task, agent, human, issuer, repository, role, lease } = options
  const filter = Object.fromEntries(
    Object.entries({ task, agent, human, issuer, repository, role, lease }).filter(
      ([, value]) => value !== undefined,
    ),
  )
  if ((everything === true) === Object.keys(filter).length > 0)
    throw usageError(
      'say what to revoke: --task, --agent, --human, --issuer, --repository, --role, --lease, or several of ' +
        'them that must all be so; or --everything',
    )
  return filter
}

/** `3 tasks ended; 5 credentials: 2 dead, 1 told, 1 waiting, 1 that stops by itself`. */
export function tellStatus({ tasks_ended, credentials }: RevocationStatusAnswer): string {
  const { reached, confirmed_dead, never_minted, expired, expired_unconfirmed } = credentials
  const { revoked, waiting, expiry_only } = credentials
  const parts: [number, string][] = [
    [confirmed_dead, 'dead'],
    [revoked, 'revoked and not yet seen dead'],
    [waiting, 'waiting to be revoked'],
    [expiry_only, 'that cannot be revoked and stop by themselves'],
    [never_minted, 'never minted'],
    [expired, 'expired'],
    [expired_unconfirmed, 'expired without proof'],
  ]
  const told = parts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`)
  const what = told.length === 0 ? '' : `: ${told.join(', ')}`
  return `${count(tasks_ended, 'task')} ended; ${count(reached, 'credential')}${what}`
}

/** Whether there is anything left that waiting could change soon. */
export function isUnderWay({ state, credentials }: RevocationStatusAnswer): boolean {
  return state === 'running' || credentials.waiting + credentials.revoked > 0
}

export function tellPreview({ tasks, leases, complete }: PreviewAnswer): string {
  const rows = tasks.map(({ id, agent, purpose }) => [id, agent, printable(purpose)])
  return [
    ...(tasks.length === 0 ? [] : [table(['TASK', 'AGENT', 'PURPOSE'], rows)]),
    ...(leases.length === 0 ? [] : [leaseTable(leases)]),
    `${count(tasks.length, 'task')} would end, ${count(leases.length, 'credential')} would be revoked` +
      `${complete ? '' : ', and more than is listed here'}; nothing was changed\n`,
  ].join('')
}

/**
 * What is kept in no list is perhaps mistyped where it matches nothing. Agents and issuers are known to the broker,
 * and one that holds nothing is a fine answer.
 *
 * @throws CommandError (nothing)
 */
export function demandMatch(
  filter: RevocationFilter,
  { matched, blocked = false }: { matched: number; blocked?: boolean },
): void {
  const { agent: _, issuer: __, ...unlisted } = filter
  const named = Object.entries(unlisted).map(([part, value]) => `${part} ${JSON.stringify(value)}`)
  if (matched > 0 || named.length === 0) return
  throw new CommandError(
    `NOTHING MATCHED, and nothing is revoked: no open task or live credential is of ${printable(named.join(', '))}.\n` +
      '  It has ended already, or a name is mistyped. What lives: mayfly leases --state outstanding' +
      (blocked ? '\n  The refusal that you asked for stands all the same.' : ''),
    { exitCode: EXIT.nothing },
  )
}

export const reachedBy = ({ tasks_ended, credentials, blocking }: RevocationStatusAnswer) => ({
  matched: tasks_ended + credentials.reached,
  blocked: blocking,
})

export const matchedBy = ({ tasks, leases, complete }: PreviewAnswer) => ({
  matched: tasks.length + leases.length + (complete ? 0 : 1),
})

export function tellBlock({ id, blocking }: { id: string; blocking: boolean }): string {
  return blocking ? `New tasks and credentials of the same are refused until: mayfly unblock ${id}\n` : ''
}
