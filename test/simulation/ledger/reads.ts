/** The read side of the contract, over committed rows. Each is one snapshot, taken where `at` runs it. */
import type { HeldPhase, LedgerRead } from '../../../src/store/ledger.ts'
import type { LeaseRow } from '../../../src/store/rows.ts'
import { approvalReads } from './approvals.ts'
import { leakReads } from './leaks.ts'
import { operatorReads } from './operators.ts'
import { registryReads } from './registry.ts'
import { reviewReads } from './review.ts'
import { revocationReads } from './revocations.ts'
import { all, by, paged, type RowOf } from './select.ts'
import { shadowReads } from './shadow.ts'
import type { TableName } from './tables.ts'
import type { Committed } from './transaction.ts'

/** Runs a look at the committed rows after and before the time it takes. */
export type At = <T>(name: string, look: () => T) => Promise<T>

export function simulatedReads(rows: Committed, at: At): LedgerRead {
  const one = <Name extends TableName>(table: Name, key: string) =>
    at(table, () => {
      const row = rows[table].get(key)
      return row === undefined ? undefined : { ...row }
    })
  const find = <Name extends TableName>(table: Name, match: (row: RowOf<Name>) => boolean) =>
    at(table, () => {
      const row = all(rows, table).find(match)
      return row === undefined ? undefined : { ...row }
    })
  return {
    agent: name => one('agents', name),
    agents: () => at('agents', () => all(rows, 'agents').sort(by(row => row.name))),
    agentUse: agent =>
      at('agentUse', () => {
        const of = all(rows, 'agents').filter(row => is(row.name, agent))
        return of.sort(by(row => row.name)).map(({ name }) => {
          const tasks = all(rows, 'tasks').filter(row => row.agent === name)
          const leases = all(rows, 'leases').filter(row => row.agent === name)
          return {
            agent: name,
            active_tasks: tasks.filter(row => row.state === 'active').length,
            outstanding_leases: leases.filter(row => row.state !== 'closed').length,
            last_opened_at: tasks.length === 0 ? null : Math.max(...tasks.map(row => row.opened_at)),
          }
        })
      }),
    task: id => one('tasks', id),
    taskByToken: hash => find('tasks', row => row.token_hash === hash),
    ancestors: id =>
      at('ancestors', () => (rows.lines.get(id)?.ancestors ?? []).map(key => ({ ...rows.tasks.get(key)! }))),
    asks: task =>
      at('asks', () =>
        all(rows, 'asks')
          .filter(row => row.task === task)
          .sort(
            by(
              row => row.created_at,
              row => row.id,
            ),
          ),
      ),
    ask: id => one('asks', id),
    decision: id => one('decisions', id),
    lease: id => one('leases', id),
    leaseBySecret: hash =>
      at('leaseBySecret', () =>
        all(rows, 'leases')
          .filter(row => row.secret_sha256 === hash && row.revocability !== 'introspected')
          .sort(
            by(
              row => row.intended_at,
              row => row.id,
            ),
          )
          .at(-1),
      ),
    budgets: keys => at('budgets', () => all(rows, 'budgets').filter(row => keys.includes(row.key))),
    revokedInGroup: (issuer, group, since, limit) =>
      at('revokedInGroup', () =>
        revokedInGroup(all(rows, 'leases'), { issuer, group, since }).slice(0, limit),
      ),
    minted: (of, since, before = Number.POSITIVE_INFINITY) =>
      at('minted', () => {
        const isOf = ({ agent, task }: LeaseRow) =>
          'agents' in of
            ? of.agents.includes(agent)
            : task === of.root || (rows.lines.get(task)?.ancestors ?? []).includes(of.root)
        const counts = new Map<LeaseRow['phase'], number>()
        for (const row of all(rows, 'leases'))
          if (
            row.intended_at > since &&
            row.intended_at < before &&
            row.closed_as !== 'never_minted' &&
            isOf(row)
          )
            counts.set(row.phase, (counts.get(row.phase) ?? 0) + 1)
        return [...counts].map(([phase, count]) => ({ phase, count }))
      }),
    held: ({ agents, root, turns, since }) =>
      at('held', () => {
        const given = all(rows, 'leases').filter(
          row => row.intended_at > since && row.closed_as !== 'never_minted',
        )
        const isIn = ({ task }: LeaseRow) =>
          task === root || (rows.lines.get(task)?.ancestors ?? []).includes(root ?? '')
        return {
          turns: new Map(
            turns.flatMap(key => {
              const used = rows.budgets.get(key)?.used
              return used === undefined ? [] : [[key, used] as const]
            }),
          ),
          phases: [
            ...agents.flatMap(agent =>
              heldPhases(
                agent,
                given.filter(row => row.agent === agent),
              ),
            ),
            ...(root === null ? [] : heldPhases(null, given.filter(isIn))),
          ],
        }
      }),
    claim: name => one('claims', name),
    ticket: id => one('tickets', id),
    ticketByToken: hash => find('tickets', row => row.token_hash === hash),
    evidence: id => one('evidence', id),
    signingKeys: purpose =>
      at('signingKeys', () =>
        all(rows, 'signing_keys')
          .filter(row => row.purpose === purpose)
          .sort(
            by(
              row => row.created_at,
              row => row.kid,
            ),
          ),
      ),
    operatorByToken: hash => find('operator_tokens', row => row.token_hash === hash),
    meta: key => at('meta', () => rows.meta.get(key)?.value),
    taskWork: task => one('task_works', task),
    receipt: task => one('receipts', task),
    delivery: id => one('deliveries', id),
    drill: id => one('drills', id),
    ...revocationReads(rows, at),
    ...shadowReads(rows, at),
    ...leakReads(rows, at),
    ...approvalReads(rows, at),
    ...registryReads(rows, at),
    ...operatorReads(rows, at),
    ...reviewReads(rows, at),
    ...lists(rows, at),
    ...due(rows, at),
  }
}

function revokedInGroup(
  leases: LeaseRow[],
  of: { issuer: string; group: string; since: number },
): LeaseRow[] {
  const isTakenBack = (row: LeaseRow) =>
    row.state === 'revoking' || row.closed_as === 'revoked' || row.closed_as === 'already_gone'
  return leases
    .filter(row => row.issuer === of.issuer && row.revocation_group === of.group && isTakenBack(row))
    .filter(row => (row.provider_expires_at ?? row.dead_by) > of.since)
    .sort(
      by(
        row => (row.revoked_at === null ? 1 : 0),
        row => -(row.active_at ?? row.mint_not_after),
        row => row.id,
      ),
    )
}

type Lists = Pick<
  LedgerRead,
  | 'tasks'
  | 'leases'
  | 'audit'
  | 'deliveries'
  | 'drills'
  | 'leaseCounts'
  | 'childReceipts'
  | 'activeRuns'
  | 'tasksOfWork'
  | 'pendingWorkEnds'
>

function lists(rows: Committed, at: At): Lists {
  const isWithin = (task: string, top: string | undefined) =>
    is(task, top) || rows.lines.get(task)?.ancestors.includes(top ?? '') === true
  const isBelow = (row: LeaseRow, agent: string | undefined) =>
    is(row.agent, agent) ||
    (rows.lines.get(row.task)?.ancestors ?? []).some(one => rows.tasks.get(one)?.agent === agent)
  const isReached = (row: LeaseRow, revocation: string | undefined) =>
    revocation === undefined || rows.revocation_leases.has(`${revocation} ${row.id}`)
  return {
    tasks: ({ state, agent, within, human }, page) =>
      at('tasks', () => {
        const fits = all(rows, 'tasks').filter(
          row =>
            is(row.state, state) && is(row.agent, agent) && is(row.human, human) && isWithin(row.id, within),
        )
        return paged(fits, page, row => [row.opened_at, row.id], 'newest')
      }),
    leases: ({ state, task, agent, issuer, within, below, human, revocation }, page) =>
      at('leases', () => {
        const isState = (row: LeaseRow) =>
          state === 'outstanding' ? row.state !== 'closed' : is(row.state, state)
        const fits = all(rows, 'leases').filter(
          row =>
            isState(row) &&
            is(row.task, task) &&
            is(row.agent, agent) &&
            is(row.issuer, issuer) &&
            isWithin(row.task, within) &&
            isBelow(row, below) &&
            is(rows.tasks.get(row.task)?.human, human) &&
            isReached(row, revocation),
        )
        return paged(fits, page, row => [row.intended_at, row.id], 'newest')
      }),
    audit: ({ task, agent, lease }, page) =>
      at('audit', () => {
        const fits = all(rows, 'audit').filter(
          row => is(row.task, task) && is(row.agent, agent) && is(row.lease, lease),
        )
        return paged(fits, page, row => [row.seq, ''], 'oldest')
      }),
    deliveries: ({ state, task }, page) =>
      at('deliveries', () => {
        const fits = all(rows, 'deliveries').filter(row => is(row.state, state) && is(row.task, task))
        return paged(fits, page, row => [row.created_at, row.id], 'newest')
      }),
    drills: ({ issuer }, page) =>
      at('drills', () =>
        paged(
          all(rows, 'drills').filter(row => is(row.issuer, issuer)),
          page,
          row => [row.started_at, row.id],
          'newest',
        ),
      ),
    leaseCounts: () =>
      at('leaseCounts', () => {
        const counts = Map.groupBy(all(rows, 'leases'), row => `${row.state} ${row.issuer}`).values()
        return [...counts].map(of => ({ state: of[0]!.state, issuer: of[0]!.issuer, count: of.length }))
      }),
    childReceipts: task =>
      at('childReceipts', () => {
        const children = all(rows, 'lines')
          .filter(line => line.ancestors.at(-1) === task)
          .map(line => line.task)
        return children
          .sort()
          .map(child => ({ task: child, sha256: rows.receipts.get(child)?.sha256 ?? null }))
      }),
    activeRuns: (after, limit) =>
      at('activeRuns', () => {
        const runs = [...Map.groupBy(all(rows, 'task_works'), row => row.run_key)].filter(
          ([key]) => key > after,
        )
        return runs
          .sort(by(([key]) => key))
          .slice(0, limit)
          .map(([run_key, of]) => ({ run_key, work: of.map(row => row.work).sort()[0]! }))
      }),
    tasksOfWork: (runKey, job, limit) =>
      at('tasksOfWork', () => {
        const ofRun = all(rows, 'task_works').filter(row => row.run_key === runKey)
        const reached = job === '' ? ofRun : ofRun.filter(row => row.job === job && row.lifetime !== 'run')
        return reached
          .sort(
            by(
              row => row.job,
              row => row.task,
            ),
          )
          .slice(0, limit)
      }),
    pendingWorkEnds: limit =>
      at('pendingWorkEnds', () =>
        all(rows, 'works')
          .filter(row => row.pending === 1)
          .sort(by(row => row.ended_at ?? 0))
          .slice(0, limit),
      ),
  }
}

function heldPhases(agent: string | null, given: readonly LeaseRow[]): HeldPhase[] {
  const phases = new Map<HeldPhase['phase'], HeldPhase>()
  for (const { phase, active_at, intended_at } of given) {
    if (phase === null) continue
    const before = phases.get(phase)?.lasting ?? null
    const lasting = active_at === null ? before : Math.max(intended_at, before ?? 0)
    phases.set(phase, { agent, phase, lasting })
  }
  return [...phases.values()]
}

type Due = Pick<
  LedgerRead,
  | 'nextReceiptDue'
  | 'nextDeliveryDue'
  | 'tasksPastDeadline'
  | 'tasksLapsed'
  | 'issuersDue'
  | 'nextDue'
  | 'claimsDue'
>

function due(rows: Committed, at: At): Due {
  const active = () => all(rows, 'tasks').filter(row => row.state === 'active')
  const open = () => all(rows, 'leases').filter(row => row.state !== 'closed')
  const isFree = (row: { claimed_until: number | null }, now: number) =>
    row.claimed_until === null || row.claimed_until <= now
  const soonest = (moments: (number | null)[]) => {
    const known = moments.filter(moment => moment !== null)
    return known.length === 0 ? null : Math.min(...known)
  }
  return {
    nextReceiptDue: () => at('nextReceiptDue', () => soonest(all(rows, 'receipts').map(row => row.due_at))),
    nextDeliveryDue: webhook =>
      at('nextDeliveryDue', () =>
        soonest(
          all(rows, 'deliveries')
            .filter(row => row.webhook === webhook && row.state === 'due')
            .map(row => row.due_at),
        ),
      ),
    tasksPastDeadline: (now, limit) =>
      at('tasksPastDeadline', () =>
        active()
          .filter(row => row.deadline <= now)
          .sort(by(row => row.deadline))
          .slice(0, limit)
          .map(row => row.id),
      ),
    tasksLapsed: (now, writableSince, limit) =>
      at('tasksLapsed', () =>
        active()
          .filter(
            row =>
              row.heartbeat_due !== null &&
              row.heartbeat_due <= now &&
              (row.heartbeat_ms ?? 0) <= now - writableSince,
          )
          .sort(by(row => row.heartbeat_due ?? 0))
          .slice(0, limit)
          .map(row => row.id),
      ),
    issuersDue: now =>
      at('issuersDue', () => {
        const waiting = open().filter(row => row.due_at !== null && row.due_at <= now && isFree(row, now))
        return [...new Set(waiting.map(row => row.issuer))].sort()
      }),
    claimsDue: (prefix, now, limit) =>
      at('claimsDue', () =>
        all(rows, 'claims')
          .filter(
            row =>
              row.name.startsWith(prefix) && row.due_at !== null && row.due_at <= now && isFree(row, now),
          )
          .sort(
            by(
              row => row.due_at ?? 0,
              row => row.name,
            ),
          )
          .slice(0, limit),
      ),
    nextDue: now =>
      at('nextDue', () => {
        const claimed = open().filter(
          row => row.claimed_until !== null && row.claimed_until > now && row.due_at !== null,
        )
        const moments = [
          ...open().map(row => row.due_at),
          ...claimed.map(row => Math.max(row.due_at ?? 0, row.claimed_until ?? 0)),
          ...all(rows, 'claims')
            .filter(row => row.due_at !== null)
            .map(row => Math.max(row.due_at ?? 0, row.claimed_until ?? 0)),
          ...active().flatMap(row => [row.deadline, row.heartbeat_due]),
        ]
        return soonest(moments.filter(moment => moment !== null && moment > now))
      }),
  }
}

const is = <Value>(value: Value, wanted: Value | undefined) => wanted === undefined || value === wanted
