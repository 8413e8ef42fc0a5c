/**
 * Everything the broker refuses, by code. `http/problem.ts` is the one table from code to status; the
 * compiler asks there for the row of a new code. `message` is safe for the caller; the cause and the reason
 * in full go to the log and the ledger only.
 */
export type ErrorCode =
  | 'request_invalid' // the request's own form
  | 'grant_type_unsupported'
  | 'scope_invalid' // scopes are not used; asks are authorization_details
  | 'target_invalid' // an audience or resource that no ask of the request names
  | 'ask_invalid' // an ask that its issuer's schema refuses, or for an issuer that does not exist
  | 'evidence_in_use' // it is handed out again, and a task that was opened with it goes on
  | 'evidence_rejected' // any attestation failure or replay: all look the same from outside
  | 'attestation_unavailable' // the key set or bundle could not be had
  | 'agent_not_active' // suspended, on its way out, or past its expiry
  | 'agent_quarantined' // for now it may only read
  | 'transition_refused' // from how the agent stands this is not possible
  | 'agent_unmatched' // no agent's rule matches, or several and none named
  | 'event_not_allowed' // the one rule that would match does not name a risky event
  | 'ask_denied' // above the ceiling, the ticket or the parent
  | 'ticket_rejected'
  | 'budget_exhausted'
  | 'unauthenticated'
  | 'dpop_proof_invalid' // it is not a proof of this request, or it was used before
  | 'dpop_nonce_needed' // the proof is to be made again, with the nonce beside the answer
  | 'posture_needed' // each heartbeat of the task brings a fresh statement of where it runs
  | 'key_needed' // the agent's tasks are bound to a key, and none was shown
  | 'key_not_proven' // the task token is bound to a key that was not shown with it
  | 'forbidden'
  | 'fresh_sign_in_needed' // a human must sign in again, for this alone
  | 'approval_pending' // humans are asked; come back with the task token
  | 'approved_already' // by the same human
  | 'approval_over' // it was answered, cancelled or came too late
  | 'not_found'
  | 'target_unknown' // what is to be revoked names an agent or issuer that nobody knows
  | 'task_not_active'
  | 'blocked' // an operator is revoking what this would be
  | 'ledger_restored' // the ledger was put back from a backup, and what it knows is not over yet
  | 'receipt_not_ready' // the task is not settled, or its receipt is being written
  | 'drill_running' // one drill of an issuer at a time
  | 'provider_refused' // the provider said no; nothing exists
  | 'provider_unavailable' // the provider did not say; something may exist, and is in the ledger
  | 'provider_answered_wider' // more than was asked: revoked at once
  | 'ledger_unavailable'
  | 'policy_unavailable' // nothing could be judged, so nothing is allowed
  | 'registry_invalid' // what is to be registered is not good, or not the team's to register
  | 'registry_moved' // something was registered since the plan was made
  | 'managed_by_file' // what stands in files is changed there
  | 'resource_in_use' // what it minted is not all over yet
  | 'configuration_stale' // this broker's files are not the ledger's
  | 'mint_contended' // others of the same team or line are given something new at the same time
  | 'rate_limited'

export class BrokerError extends Error {
  override name = 'BrokerError'
  readonly code: ErrorCode
  readonly decision: string | undefined
  readonly retryAfterMs: number | undefined
  /** What stood in the way, by a name that is the same however often it does; absent where the code says it. */
  readonly bound: string | undefined
  constructor(
    code: ErrorCode,
    message: string,
    options: { decision?: string; retryAfterMs?: number; bound?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.decision = options.decision
    this.retryAfterMs = options.retryAfterMs
    this.bound = options.bound
  }
}
