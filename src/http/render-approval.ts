/** Approvals and windows as operators see them. Texts of the caller stand under `untrusted` in the document. */
import { bindingOf } from '../broker/approvals/answer-approval.ts'
import { readDocument } from '../broker/approvals/approval-document.ts'
import type { ShownApproval } from '../broker/approvals/show-approval.ts'
import type { ApprovalRow, PreapprovalRow } from '../store/rows.ts'
import { time } from './time.ts'

export function renderApproval(row: ApprovalRow) {
  const { phase, permissions, may_leave_access, revocability, deadline, ask } = readDocument(row.document)
  return {
    id: row.id,
    state: row.state,
    task: row.task,
    ask: row.ask,
    agent: row.agent,
    digest: row.digest,
    authorization_details: ask.authorization_details,
    ...{ phase, permissions, may_leave_access, revocability, deadline },
    mints: row.mints,
    minted: row.minted,
    created_at: time(row.created_at),
    expires_at: time(row.expires_at),
    closed_at: time(row.closed_at),
    closed_by: row.closed_by,
    reason: row.reason,
  }
}

/** `document` is what is agreed to: `digest` is the SHA-256 of its canonical form (RFC 8785). */
export function renderShown({ row, document, votes, missing, unusual, requires }: ShownApproval) {
  return {
    ...renderApproval(row),
    document,
    requires: requires.map(({ ownerMay, ...rest }) => ({ ...rest, owner_may: ownerMay })),
    agreed: votes.map(({ name, human, voted_at, preapproval }) => ({
      ...{ name, human, preapproval, at: time(voted_at) },
    })),
    missing: missing.map(({ ownerMay, ...rest }) => ({ ...rest, owner_may: ownerMay })),
    unusual,
    sign_in_for: { approve: bindingOf('approve', row), deny: bindingOf('deny', row) },
  }
}

export function renderPreapproval(row: PreapprovalRow) {
  return {
    id: row.id,
    agent: row.agent,
    authorization_details: [{ type: row.issuer, ...(JSON.parse(row.ask) as object) }],
    digest: row.digest,
    by: row.name,
    reason: row.reason,
    uses: row.uses,
    used: row.used,
    created_at: time(row.created_at),
    expires_at: time(row.expires_at),
    revoked_at: time(row.revoked_at),
    revoked_by: row.revoked_by,
  }
}
