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

const GRPC_OF: Partial<Readonly<Record<ErrorCode, GrpcCode>>> = {
  request_invalid: GRPC.invalidArgument,
  evidence_rejected: GRPC.unauthenticated,
  unauthenticated: GRPC.unauthenticated,
  not_found: GRPC.notFound,
  agent_unmatched: GRPC.permissionDenied,
  event_not_allowed: GRPC.permissionDenied,
  agent_not_active: GRPC.permissionDenied,
  agent_quarantined: GRPC.permissionDenied,
  ask_denied: GRPC.permissionDenied,
  ask_invalid: GRPC.permissionDenied,
  blocked: GRPC.permissionDenied,
  provider_refused: GRPC.permissionDenied,
  budget_exhausted: GRPC.resourceExhausted,
  rate_limited: GRPC.resourceExhausted,
  provider_unavailable: GRPC.internal,
  provider_answered_wider: GRPC.internal,
  attestation_unavailable: GRPC.unavailable,
  ledger_unavailable: GRPC.unavailable,
  ledger_restored: GRPC.unavailable,
  policy_unavailable: GRPC.unavailable,
  configuration_stale: GRPC.unavailable,
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
  return new StsRefusal(GRPC_OF[code] ?? GRPC.internal, shown, {
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}
