/** What humans are asked, their votes, what they agreed to beforehand, and which tasks they look after. */
import type { LedgerRead, LedgerWrite } from '../../../src/store/ledger.ts'
import type { ApprovalRow, PreapprovalRow } from '../../../src/store/rows.ts'
import type { At } from './reads.ts'
import { all, by, paged } from './select.ts'
import type { Committed, StatementIo } from './transaction.ts'

type ApprovalWrites = Pick<
  LedgerWrite,
  | 'insertApproval'
  | 'lockApproval'
  | 'insertVote'
  | 'votesOf'
  | 'answerApproval'
  | 'withdrawApproval'
  | 'cancelApprovals'
  | 'expireApprovals'
  | 'spendApproval'
  | 'unspendApproval'
  | 'insertPreapproval'
  | 'usePreapproval'
  | 'revokePreapproval'
  | 'insertCheckIn'
  | 'noteCheckIn'
  | 'isUnattended'
>

const byVote = by<{ voted_at: number; human: string }>(
  row => row.voted_at,
  row => row.human,
)

export function approvalWrites(io: StatementIo): ApprovalWrites {
  const { now, statement } = io
  const isPending = (row: ApprovalRow) => row.state === 'pending'
  const change = (id: string, match: (row: ApprovalRow) => boolean, to: Partial<ApprovalRow>) =>
    statement('change approval', async () => (await io.update('approvals', match, () => to, [id])).length > 0)
  return {
    ...preapprovalWrites(io),
    insertApproval: row => statement('insertApproval', () => io.insert('approvals', row.id, row)),
    lockApproval: id =>
      statement('lockApproval', async () => (await io.lockRows('approvals', [id], 'update'))[0]),
    insertVote: row =>
      statement('insertVote', async () => {
        const key = `${row.approval} ${row.human}`
        await io.lock('approval_votes', key, 'update')
        if (io.get('approval_votes', key) !== undefined) return false
        io.set('approval_votes', key, { ...row })
        return true
      }),
    votesOf: approval =>
      statement('votesOf', () =>
        io
          .scan('approval_votes', row => row.approval === approval)
          .map(([, row]) => ({ ...row }))
          .sort(byVote),
      ),
    answerApproval: (id, { state, by: closed_by, reason }) =>
      change(id, row => isPending(row) && row.expires_at > now, { state, closed_at: now, closed_by, reason }),
    withdrawApproval: (id, { by: closed_by, reason }) =>
      change(id, row => isPending(row) || row.state === 'approved', {
        ...{ state: 'cancelled', closed_at: now, closed_by, reason },
      }),
    cancelApprovals: (tasks, { by: closed_by, reason }) =>
      statement('cancelApprovals', () =>
        io.update(
          'approvals',
          row => isPending(row) && tasks.includes(row.task),
          () => ({ state: 'cancelled', closed_at: now, closed_by, reason }) as const,
        ),
      ),
    expireApprovals: limit =>
      statement('expireApprovals', async () => {
        const isPast = (row: ApprovalRow) => isPending(row) && row.expires_at <= now
        const due = io.scan('approvals', isPast).sort(([, a], [, b]) => a.expires_at - b.expires_at)
        const keys = io.skipLocked(
          'approvals',
          due.map(([key]) => key),
          limit,
        )
        const to = { state: 'expired', closed_at: now, closed_by: 'broker', reason: null } as const
        return io.update('approvals', isPast, () => to, keys)
      }),
    spendApproval: (id, digest) =>
      statement('spendApproval', async () => {
        const isGood = (row: ApprovalRow) =>
          row.state === 'approved' && row.digest === digest && row.minted < row.mints
        const more = (row: ApprovalRow) => ({ minted: row.minted + 1 })
        return (await io.update('approvals', isGood, more, [id])).length > 0
      }),
    unspendApproval: id =>
      statement('unspendApproval', async () => {
        const less = (row: ApprovalRow) => ({ minted: row.minted - 1 })
        await io.update('approvals', row => row.minted > 0, less, [id])
      }),
  }
}

type PreapprovalWrites = Pick<
  LedgerWrite,
  | 'insertPreapproval'
  | 'usePreapproval'
  | 'revokePreapproval'
  | 'insertCheckIn'
  | 'noteCheckIn'
  | 'isUnattended'
>

function preapprovalWrites(io: StatementIo): PreapprovalWrites {
  const { now, statement } = io
  return {
    insertPreapproval: row => statement('insertPreapproval', () => io.insert('preapprovals', row.id, row)),
    usePreapproval: id =>
      statement('usePreapproval', async () => {
        const isGood = (row: PreapprovalRow) =>
          row.revoked_at === null && row.expires_at > now && row.used < row.uses
        const more = (row: PreapprovalRow) => ({ used: row.used + 1 })
        return (await io.update('preapprovals', isGood, more, [id])).length > 0
      }),
    revokePreapproval: (id, actor) =>
      statement('revokePreapproval', async () => {
        const to = () => ({ revoked_at: now, revoked_by: actor })
        return (await io.update('preapprovals', row => row.revoked_at === null, to, [id])).length > 0
      }),
    insertCheckIn: row => statement('insertCheckIn', () => io.insert('check_ins', row.task, row)),
    noteCheckIn: (task, actor) =>
      statement('noteCheckIn', async () => {
        const to = (row: { every_ms: number }) => ({ due_at: now + row.every_ms, last_by: actor })
        return (await io.update('check_ins', () => true, to, [task]))[0]
      }),
    isUnattended: task =>
      statement('isUnattended', () => (io.get('check_ins', task)?.due_at ?? Number.POSITIVE_INFINITY) <= now),
  }
}

type ApprovalReads = Pick<
  LedgerRead,
  | 'approval'
  | 'approvalOf'
  | 'approvals'
  | 'votes'
  | 'waitingApprovals'
  | 'preapproval'
  | 'preapprovals'
  | 'checkIn'
  | 'tasksUnattended'
>

export function approvalReads(rows: Committed, at: At): ApprovalReads {
  const one = <Row extends object>(name: string, look: () => Row | undefined) =>
    at(name, () => {
      const row = look()
      return row === undefined ? undefined : { ...row }
    })
  return {
    approval: id => one('approval', () => rows.approvals.get(id)),
    approvalOf: ask =>
      one('approvalOf', () =>
        all(rows, 'approvals')
          .filter(row => row.ask === ask)
          .sort(
            by(
              row => row.created_at,
              row => row.id,
            ),
          )
          .at(-1),
      ),
    approvals: ({ state, agent, task }, page) =>
      at('approvals', () => {
        const fits = all(rows, 'approvals').filter(
          row =>
            (state === undefined || row.state === state) &&
            (agent === undefined || row.agent === agent) &&
            (task === undefined || row.task === task),
        )
        return paged(fits, page, row => [row.created_at, row.id], 'newest')
      }),
    votes: approval =>
      at('votes', () =>
        all(rows, 'approval_votes')
          .filter(row => row.approval === approval)
          .sort(byVote),
      ),
    waitingApprovals: () =>
      at('waitingApprovals', () => {
        const waiting = all(rows, 'approvals').filter(row => row.state === 'pending')
        const since = waiting.map(row => row.created_at)
        return { count: waiting.length, oldest: since.length === 0 ? null : Math.min(...since) }
      }),
    preapproval: id => one('preapproval', () => rows.preapprovals.get(id)),
    preapprovals: ({ agent, open }, page) =>
      at('preapprovals', () => {
        const isOpen = (row: PreapprovalRow) =>
          open === undefined || (row.revoked_at === null && row.expires_at > open && row.used < row.uses)
        const fits = all(rows, 'preapprovals').filter(
          row => (agent === undefined || row.agent === agent) && isOpen(row),
        )
        return paged(fits, page, row => [row.created_at, row.id], 'newest')
      }),
    checkIn: task => one('checkIn', () => rows.check_ins.get(task)),
    tasksUnattended: (now, limit) =>
      at('tasksUnattended', () =>
        all(rows, 'check_ins')
          .filter(row => row.due_at <= now && rows.tasks.get(row.task)?.state === 'active')
          .sort(by(row => row.due_at))
          .slice(0, limit)
          .map(row => row.task),
      ),
  }
}
