/** Who has agreed to one approval, and on whose account they could not. */
import type { Agreed, Owner } from '../../policy/approvers.ts'
import type { ApprovalFacts } from '../../policy/facts.ts'
import type { ApprovalRow, TaskRow, VoteRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { verifiedVote } from './verified-approvals.ts'

export function agreedBy(votes: readonly VoteRow[]): Agreed[] {
  return votes.map(({ human, groups, owner }) => ({
    human,
    groups: JSON.parse(groups) as string[],
    owner: owner === 1,
  }))
}

/** Votes that brokers wrote, for exactly this digest. @throws AlteredRow */
export async function verifiedVotes(broker: Broker, { id, digest }: ApprovalRow): Promise<VoteRow[]> {
  const votes = await broker.ledger.read.votes(id)
  return votes.map(row => verifiedVote(broker, row, digest))
}

export function approvalFacts({ digest }: ApprovalRow, votes: readonly Agreed[]): ApprovalFacts {
  return {
    digest,
    count: new Set(votes.map(one => one.human)).size,
    groups: [...new Set(votes.flatMap(one => one.groups))].sort(),
  }
}

/**
 * Of the agent and of every agent above it: what a child asks, its parents' owners caused. Whoever is of the team
 * or the namespace by the settings owns it too, whatever their group is called.
 */
export function ownersOf({ agents, people }: Broker, line: readonly Pick<TaskRow, 'agent'>[]): Owner[] {
  return line.flatMap(({ agent }) => {
    const owner = agents().get(agent)?.owner
    return owner === undefined ? [] : [{ ...owner, groups: people.owning?.(agent, owner.business) ?? [] }]
  })
}
