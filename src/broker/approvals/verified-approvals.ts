/** The MACs of what humans said: a row that was not written by a broker agrees to nothing. */
import type { Keyring, MacFields } from '../../keys/keyring.ts'
import type { ApprovalRow, PreapprovalRow, VoteRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { verified } from '../verified-rows.ts'

/** What changes in the life of an approval, beside which the rest stays as it was asked. */
type Changing = 'mac' | 'state' | 'minted' | 'closed_at' | 'closed_by' | 'reason'
type Keyed = { keyring: Keyring }

function approvalFields(row: Omit<ApprovalRow, Changing>): MacFields {
  const { id, task, ask, agent, issuer, document, digest, requires, mints, created_at, expires_at } = row
  return { id, task, ask, agent, issuer, document, digest, requires, mints, created_at, expires_at }
}

/** @param digest of the document that was agreed to. */
function voteFields(row: Omit<VoteRow, 'mac'>, digest: string): MacFields {
  const { approval, human, name, groups, owner, voted_at, preapproval } = row
  return { approval, digest, human, name, groups, owner, voted_at, preapproval }
}

function preapprovalFields(
  row: Omit<PreapprovalRow, 'mac' | 'used' | 'revoked_at' | 'revoked_by'>,
): MacFields {
  const { id, agent, agent_digest, issuer, issuer_digest, ask, digest, human, name, email, groups } = row
  const { reason, uses, created_at, expires_at } = row
  return {
    ...{ id, agent, agent_digest, issuer, issuer_digest, ask, digest, human, name, email, groups },
    ...{ reason, uses, created_at, expires_at },
  }
}

export const approvalMac = ({ keyring }: Keyed, row: Omit<ApprovalRow, Changing>) =>
  keyring.mac('approval', approvalFields(row))
export const voteMac = ({ keyring }: Keyed, row: Omit<VoteRow, 'mac'>, digest: string) =>
  keyring.mac('vote', voteFields(row, digest))
export const preapprovalMac = (
  { keyring }: Keyed,
  row: Omit<PreapprovalRow, 'mac' | 'used' | 'revoked_at' | 'revoked_by'>,
) => keyring.mac('preapproval', preapprovalFields(row))

export const verifiedApproval = (broker: Broker, row: ApprovalRow) =>
  verified(broker, 'approval', row, approvalFields(row))
export const verifiedVote = (broker: Broker, row: VoteRow, digest: string) =>
  verified(broker, 'vote', row, voteFields(row, digest))
export const verifiedPreapproval = (broker: Broker, row: PreapprovalRow) =>
  verified(broker, 'preapproval', row, preapprovalFields(row))
