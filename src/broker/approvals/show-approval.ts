/** What somebody who is to answer needs to see. */
import type { TouchedResource } from '../../../issuers/issuer.ts'
import { type Lacking, lacking } from '../../policy/approvers.ts'
import type { ApprovalRequirement } from '../../policy/facts.ts'
import type { ApprovalRow, LeaseRow, VoteRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type ApprovalDocument, readDocument } from './approval-document.ts'
import { agreedBy, verifiedVotes } from './approval-votes.ts'
import { verifiedApproval } from './verified-approvals.ts'

/** Against what the agent was given in the last while. `complete`: all of that was looked at. */
export type Unusual = {
  days: number
  /** What it holds now for the first time. */
  phase: boolean
  resources: TouchedResource[]
  permissions: string[]
  complete: boolean
}

export type ShownApproval = {
  row: ApprovalRow
  document: ApprovalDocument
  requires: ApprovalRequirement[]
  votes: VoteRow[]
  missing: Lacking[]
  unusual: Unusual
}

/** @throws BrokerError `not_found` */
export async function showApproval(broker: Broker, id: string): Promise<ShownApproval> {
  const row = await broker.ledger.read.approval(id)
  if (row === undefined) throw new BrokerError('not_found', 'no such approval')
  verifiedApproval(broker, row)
  const document = readDocument(row.document)
  const requires = JSON.parse(row.requires) as ApprovalRequirement[]
  const votes = await verifiedVotes(broker, row)
  const missing = lacking(requires, agreedBy(votes))
  return { row, document, requires, votes, missing, unusual: await unusualIn(broker, row, document) }
}

async function unusualIn(broker: Broker, row: ApprovalRow, document: ApprovalDocument): Promise<Unusual> {
  const { approvalUsualMs, approvalUsualRows } = broker.limits
  const since = row.created_at - approvalUsualMs
  const [phases, seen] = await Promise.all([
    broker.ledger.read.minted({ agents: [row.agent] }, since, row.created_at),
    recentLeases(broker, row, since, approvalUsualRows),
  ])
  const issuer = broker.issuers.get(row.issuer)
  const facts = seen.leases.flatMap(({ granted }) => issuer?.facts(JSON.parse(granted)) ?? [])
  const known = new Set(facts.flatMap(one => one.resources.map(named)))
  const held = new Set(facts.flatMap(one => one.permissions))
  return {
    days: Math.round(approvalUsualMs / DAY_MS),
    phase: !phases.some(({ phase }) => phase === document.phase),
    resources: document.resources.filter(one => !known.has(named(one))),
    permissions: document.permissions.filter(one => !held.has(one)),
    complete: seen.complete,
  }
}

const named = ({ type, id }: Pick<TouchedResource, 'type' | 'id'>) => `${type} ${id}`

/** Newest first, of this agent and issuer, and minted before the approval was asked for. */
async function recentLeases(
  broker: Broker,
  { agent, issuer, created_at }: ApprovalRow,
  since: number,
  most: number,
): Promise<{ leases: LeaseRow[]; complete: boolean }> {
  const leases: LeaseRow[] = []
  for (let after: string | undefined; ; ) {
    const at = after === undefined ? {} : { after }
    const page = await broker.ledger.read.leases({ agent, issuer }, { limit: broker.limits.pageItems, ...at })
    const recent = page.items.filter(row => row.intended_at > since)
    leases.push(...recent.filter(row => row.active_at !== null && row.intended_at < created_at))
    if (page.next === null || recent.length < page.items.length) return { leases, complete: true }
    if (leases.length >= most) return { leases, complete: false }
    after = page.next
  }
}

const DAY_MS = 86_400_000
