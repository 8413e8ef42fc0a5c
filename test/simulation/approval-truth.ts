/** What humans agreed to, and who they were: judged from the rows alone. */
import { createHash } from 'node:crypto'
import type { ApprovalDocument } from '../../src/broker/approvals/approval-document.ts'
import type { ApprovalRequirement } from '../../src/policy/facts.ts'
import type { ApprovalRow, LeaseRow, VoteRow } from '../../src/store/rows.ts'
import type { Change } from './ledger/tables.ts'
import type { Committed } from './ledger/transaction.ts'
import type { Facts } from './oracle.ts'
import { people } from './people.ts'
import { agentsInLine, policyHash } from './registered.ts'

type Demand = Pick<ApprovalRequirement, 'quorum' | 'groups' | 'ownerMay'>

export function* approvalChecks(facts: Facts, changes: readonly Change[]): Generator<string> {
  const { tally } = facts
  for (const change of changes) {
    if (change.after === undefined) continue
    if (change.table === 'approvals') yield* moveChecks(facts, change.before, change.after)
    if (change.table === 'approval_votes') yield* voteChecks(facts, change.after, changes)
    if (change.table === 'asks' && change.before?.state !== change.after.state)
      if (!tally.edge(`ask ${change.before?.state ?? 'new'} > ${change.after.state}`))
        yield `ask ${change.after.id} went from ${change.before?.state} to ${change.after.state}`
    if (change.table === 'preapprovals') {
      const { before, after } = change
      if (before === undefined) tally.edge('window new > open')
      if (before?.revoked_at === null && after.revoked_at !== null) tally.edge('window open > taken back')
      if (after.used > after.uses)
        yield `the window ${after.id} is good ${after.uses} times, not ${after.used}`
    }
    if (change.table === 'check_ins' && change.before !== undefined) tally.edge('check-in noted')
  }
}

function* moveChecks(
  { rows, tally }: Facts,
  before: ApprovalRow | undefined,
  after: ApprovalRow,
): Generator<string> {
  const { id, minted, mints, closed_at: at } = after
  if (before?.state !== after.state && !tally.edge(`approval ${before?.state ?? 'new'} > ${after.state}`))
    yield `${id} went from ${before?.state ?? 'nothing'} to ${after.state}`
  const more = minted - (before?.minted ?? 0)
  if (more !== 0) tally.edge(more > 0 ? 'approval one mint more' : 'approval one mint back')
  if (minted < 0 || minted > mints || more > 1) yield `${id} is good for ${mints} mints, and counts ${minted}`
  if (more > 0 && after.state !== 'approved') yield `${id} is ${after.state}, and was minted under`
  if (before?.state === after.state || at === null) return
  if (after.state === 'approved') {
    if (at >= after.expires_at) yield `${id} was approved when it was too late`
    yield* lackingOf(rows, after, JSON.parse(after.requires) as Demand[])
  }
  if (after.state === 'expired' && at < after.expires_at) yield `${id} expired before its time`
}

/** Each requirement by itself: so many distinct humans out of its groups, and who owns the agents is none of them. */
function* lackingOf(
  rows: Readonly<Committed>,
  approval: ApprovalRow,
  demands: readonly Demand[],
): Generator<string> {
  const votes = [...rows.approval_votes.values()].filter(vote => vote.approval === approval.id)
  const owners = [...agentsInLine(rows, approval.task)].flatMap(name => ownersOf(rows, name))
  for (const { quorum, groups, ownerMay } of demands) {
    const counted = votes.filter(vote => {
      const theirs = JSON.parse(vote.groups) as string[]
      const isOwner = theirs.some(group => owners.includes(group))
      return (ownerMay || !isOwner) && (groups.length === 0 || theirs.some(one => groups.includes(one)))
    })
    const humans = new Set(counted.map(vote => vote.human)).size
    if (humans < quorum) yield `${approval.id} counts as approved by ${quorum} humans, and ${humans} agreed`
  }
}

function ownersOf(rows: Readonly<Committed>, agent: string): string[] {
  const { owner } = JSON.parse(rows.agents.get(agent)?.document ?? '{}') as {
    owner?: Record<'business' | 'technical', string>
  }
  return owner === undefined ? [] : [owner.business, owner.technical]
}

function* voteChecks({ rows, tally }: Facts, vote: VoteRow, changes: readonly Change[]): Generator<string> {
  const who = people.find(one => one.id === vote.human)
  if (who?.kind !== 'human') yield `${vote.human} voted, and is no human`
  if (vote.preapproval === null) tally.edge('vote by a human')
  else {
    tally.edge('vote by a window')
    const window = rows.preapprovals.get(vote.preapproval)
    const isUsed = changes.some(one => one.table === 'preapprovals' && one.key === vote.preapproval)
    const isOpen = window !== undefined && window.revoked_at === null && window.expires_at > vote.voted_at
    if (!isUsed || !isOpen || window.human !== vote.human)
      yield `${vote.approval} was agreed to by the window ${vote.preapproval}, which is not open`
  }
  const approval = rows.approvals.get(vote.approval)
  if (approval?.state !== 'pending' && approval?.state !== 'approved')
    yield `${vote.approval} is ${approval?.state}, and somebody agreed to it`
}

/** What was minted is what was agreed to, by enough humans for what is demanded now. */
export function* approvalProblems(
  { rows }: Facts,
  lease: LeaseRow,
  approval: ApprovalRow,
  demands: readonly Demand[],
): Generator<string> {
  const { id, document: text, digest } = approval
  yield* lackingOf(rows, approval, demands)
  if (createHash('sha256').update(text).digest('hex') !== digest) yield `${id} is not of its digest`
  const document = JSON.parse(text) as ApprovalDocument
  const ask = rows.asks.get(lease.ask_id)
  const registered = [...rows.resources.values()].find(
    row => row.kind === 'issuer' && row.name === lease.issuer && row.current === 1,
  )
  const same: Record<keyof typeof SHOWN, [unknown, unknown]> = {
    task: [document.task.id, lease.task],
    agent: [document.agent.digest, rows.agents.get(lease.agent)?.digest],
    line: [
      document.line.map(one => `${one.task} ${one.digest}`),
      (rows.lines.get(lease.task)?.ancestors ?? []).map(one => {
        const agent = rows.tasks.get(one)?.agent ?? ''
        return `${one} ${rows.agents.get(agent)?.digest}`
      }),
    ],
    issuer: [document.issuer, { name: lease.issuer, digest: registered?.digest }],
    ask: [
      document.ask,
      { authorization_details: { type: lease.issuer, ...JSON.parse(ask?.ask ?? '{}') }, id: ask?.id },
    ],
    // The task may have been given more time while this was minted: the credential keeps to what was agreed.
    deadline: [true, lease.expires_at <= Date.parse(document.deadline)],
    policy: [document.policy, policyHash(rows)],
    mints: [document.mints, approval.mints],
  }
  for (const [what, [agreed, minted]] of Object.entries(same))
    if (!isSame(agreed, minted)) yield `${lease.id} was minted under ${id}, and its ${what} is another`
}

const SHOWN = { task: 1, agent: 1, line: 1, issuer: 1, ask: 1, deadline: 1, policy: 1, mints: 1 }

/** Whatever the order of members. */
function isSame(a: unknown, b: unknown): boolean {
  const plain = (value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.entries(value)
          .map(([key, one]) => [key, plain(one)])
          .toSorted(([x], [y]) => (String(x) < String(y) ? -1 : 1))
      : value
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b))
}
