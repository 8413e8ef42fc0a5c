/** What the exchange refuses, in the codes and sentences of octo-sts, which its clients show to people. */
import { BrokerError, type ErrorCode } from '../broker/broker-error.ts'

/** Codes of gRPC (google.rpc.Code). */
export const GRPC = {
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const
export type GrpcCode = (typeof GRPC)[keyof typeof GRPC]

/** Under which of the broker's own codes each is counted and told in metrics. */
const COUNTED: Readonly<Record<GrpcCode, ErrorCode>> = {
  3: 'request_invalid',
  5: 'agent_unmatched',
  7: 'agent_unmatched',
  8: 'rate_limited',
  9: 'agent_unmatched',
  12: 'not_found',
  13: 'provider_unavailable',
  14: 'provider_unavailable',
  16: 'evidence_rejected',
}

export class StsRefusal extends BrokerError {
  override name = 'StsRefusal'
  readonly grpc: GrpcCode
  constructor(grpc: GrpcCode, message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(COUNTED[grpc], message, options)
    this.grpc = grpc
  }
}

const { invalidArgument, permissionDenied, resourceExhausted, unavailable, unauthenticated, internal } = GRPC

const GRPC_OF: Readonly<Record<ErrorCode, GrpcCode>> = {
  request_invalid: invalidArgument,
  grant_type_unsupported: invalidArgument,
  scope_invalid: invalidArgument,
  target_invalid: invalidArgument,
  evidence_rejected: unauthenticated,
  unauthenticated,
  fresh_sign_in_needed: unauthenticated,
  dpop_proof_invalid: unauthenticated,
  dpop_nonce_needed: unauthenticated,
  key_not_proven: unauthenticated,
  not_found: GRPC.notFound,
  target_unknown: GRPC.notFound,
  evidence_in_use: permissionDenied,
  agent_unmatched: permissionDenied,
  event_not_allowed: permissionDenied,
  agent_not_active: permissionDenied,
  agent_quarantined: permissionDenied,
  transition_refused: permissionDenied,
  ask_denied: permissionDenied,
  ask_invalid: permissionDenied,
  ticket_rejected: permissionDenied,
  posture_needed: permissionDenied,
  key_needed: permissionDenied,
  forbidden: permissionDenied,
  approval_pending: permissionDenied,
  approved_already: permissionDenied,
  approval_over: permissionDenied,
  task_not_active: permissionDenied,
  blocked: permissionDenied,
  provider_refused: permissionDenied,
  registry_invalid: permissionDenied,
  managed_by_file: permissionDenied,
  receipt_not_ready: permissionDenied,
  drill_running: permissionDenied,
  resource_in_use: permissionDenied,
  budget_exhausted: resourceExhausted,
  rate_limited: resourceExhausted,
  provider_unavailable: internal,
  provider_answered_wider: internal,
  attestation_unavailable: unavailable,
  ledger_unavailable: unavailable,
  ledger_restored: unavailable,
  policy_unavailable: unavailable,
  configuration_stale: unavailable,
  mint_contended: unavailable,
  registry_moved: unavailable,
}

/** Of the broker's own refusals, the sentences that octo-sts has for the same. */
const WORDS: Partial<Readonly<Record<ErrorCode, string>>> = {
  evidence_rejected: 'unable to verify bearer token',
  provider_refused: 'token exchange failure (StatusUnprocessableEntity)',
  provider_unavailable: 'failed to get token',
  provider_answered_wider: 'failed to get token',
}

export function stsRefusalOf(error: BrokerError): StsRefusal {
  if (error instanceof StsRefusal) return error
  const { code, message, decision, retryAfterMs } = error
  const said = WORDS[code] ?? message
  const shown = decision === undefined ? said : `${said} (decision ${decision})`
  return new StsRefusal(GRPC_OF[code], shown, {
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}
