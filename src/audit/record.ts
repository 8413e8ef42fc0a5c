import type { LedgerWrite } from '../store/ledger.ts'

/** What happened, in the past tense. One row per change, written in the transaction that makes the change. */
export type AuditEvent =
  | 'agent.registered'
  | 'agent.removed'
  | 'agent.suspended'
  | 'agent.quarantined'
  | 'agent.activated'
  | 'agent.offboarding'
  | 'agent.offboarded'
  | 'agent.certified'
  | 'policies.changed'
  | 'configuration.registered'
  | 'registry.applied'
  | 'resource.registered'
  | 'resource.removed'
  | 'evidence.rejected'
  | 'evidence.checked'
  | 'evidence.replayed'
  | 'decision.denied'
  | 'ask.granted'
  | 'task.opened'
  | 'task.reissued'
  | 'task.extended'
  | 'task.ended'
  | 'task.settled'
  | 'ticket.opened'
  | 'approval.requested'
  | 'approval.agreed'
  | 'approval.approved'
  | 'approval.denied'
  | 'approval.expired'
  | 'approval.cancelled'
  | 'approval.used'
  | 'preapproval.opened'
  | 'preapproval.used'
  | 'preapproval.revoked'
  | 'task.checked_in'
  | 'lease.intended'
  | 'lease.refused'
  | 'lease.never_minted'
  | 'lease.outcome_unknown'
  | 'lease.activated'
  | 'lease.answered_wider'
  | 'lease.judged_by_former_agent'
  | 'lease.minted_after_end'
  | 'lease.revoking'
  | 'lease.revoked'
  | 'lease.closed'
  | 'revocation.started'
  | 'revocation.finished'
  | 'revocation.unblocked'
  | 'receipt.signed'
  | 'webhook.delivered'
  | 'webhook.dead'
  | 'drill.started'
  | 'drill.finished'
  | 'signing_key.created'
  | 'signing_key.moved'
  | 'kek.sealed'
  | 'kek.retired'
  | 'operator.token_created'
  | 'operator.signed_in'
  | 'operator.signed_in_for'
  | 'operator.session_ended'
  | 'change.proposed'
  | 'change.applied'
  | 'change.denied'
  | 'change.withdrawn'
  | 'operator.sign_in_refused'
  | 'credential.unknown'
  | 'leak.reported'
  | 'leak.repeated'
  | 'ledger.restored'

export type AuditSubject = { actor: string; task?: string; agent?: string; lease?: string }

/** `data` holds ids, codes, digests and figures only. */
export function record(
  tx: Pick<LedgerWrite, 'appendAudit'>,
  event: AuditEvent,
  subject: AuditSubject,
  data: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  return tx.appendAudit({
    event,
    actor: subject.actor,
    task: subject.task ?? null,
    agent: subject.agent ?? null,
    lease: subject.lease ?? null,
    data: JSON.stringify(data),
  })
}
