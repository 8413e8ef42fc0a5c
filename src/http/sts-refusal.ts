/**
 * What STS's clients are told, in AWS's words: which code decides whether an SDK asks again. SDKs repeat 5xx,
 * `Throttling` and `IDPCommunicationError`, and give up on the rest (docs/aws-facade.md).
 */
import type { Context } from 'hono'
import type { Broker } from '../broker/broker.ts'
import type { ErrorCode } from '../broker/broker-error.ts'
import { ProviderRefused } from '../broker/credentials/provider-refused.ts'
import { HttpRefusal, refusalOf } from './problem.ts'
import { xmlDocument } from './sts-xml.ts'

/** What the facade itself refuses. */
export class StsRefusal extends Error {
  override name = 'StsRefusal'
  readonly code: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  constructor(code: string, status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.code = code
    this.status = status
    this.headers = headers
  }
}

export const validationError = (message: string) => new StsRefusal('ValidationError', 400, message)

type Row = { status: number; code: string; message?: string }

const invalid: Row = { status: 400, code: 'ValidationError' }
const denied: Row = { status: 403, code: 'AccessDenied' }
const unavailable: Row = { status: 503, code: 'ServiceUnavailable' }
const throttled: Row = { status: 400, code: 'Throttling' }
const tooLarge: Row = {
  status: 400,
  code: 'PackedPolicyTooLarge',
  message: 'The session policy has no room for all of this: ask for less, in Policy',
}
const failed: Row = { status: 500, code: 'InternalFailure' }

const TABLE: Record<ErrorCode | 'internal', Row> = {
  request_invalid: invalid,
  grant_type_unsupported: invalid,
  scope_invalid: invalid,
  target_invalid: invalid,
  ask_invalid: invalid,
  evidence_rejected: {
    status: 400,
    code: 'InvalidIdentityToken',
    message:
      'The web identity token was not accepted. It must be meant for this broker, not be past its time, and not have been used before: get a fresh one for each call',
  },
  evidence_in_use: denied,
  attestation_unavailable: { status: 400, code: 'IDPCommunicationError' },
  agent_unmatched: denied,
  agent_not_active: denied,
  agent_quarantined: denied,
  transition_refused: denied,
  event_not_allowed: denied,
  ask_denied: denied,
  ticket_rejected: denied,
  budget_exhausted: throttled,
  unauthenticated: denied,
  dpop_proof_invalid: denied,
  dpop_nonce_needed: denied,
  posture_needed: denied,
  key_needed: denied,
  key_not_proven: denied,
  forbidden: denied,
  fresh_sign_in_needed: denied,
  approval_pending: denied,
  approved_already: denied,
  approval_over: denied,
  not_found: denied,
  target_unknown: denied,
  task_not_active: denied,
  blocked: denied,
  ledger_restored: unavailable,
  receipt_not_ready: denied,
  drill_running: denied,
  provider_refused: denied,
  provider_unavailable: unavailable,
  provider_answered_wider: failed,
  ledger_unavailable: unavailable,
  policy_unavailable: unavailable,
  registry_invalid: denied,
  registry_moved: unavailable,
  managed_by_file: denied,
  resource_in_use: denied,
  configuration_stale: unavailable,
  mint_contended: unavailable,
  rate_limited: throttled,
  internal: failed,
}

/** `<ErrorResponse>`, as the query protocol has it. What is not a refusal is logged, and told as 500. */
export function renderStsError(
  c: Context,
  error: unknown,
  { log, metrics }: Pick<Broker, 'log' | 'metrics'>,
): Response {
  const { status, code, message, headers, counted } = told(error)
  metrics.refused(counted)
  if (status >= 500) log.error({ code, method: c.req.method, path: c.req.path, err: error }, message)
  const requestId: string = c.get('requestId')
  const body = xmlDocument('ErrorResponse', {
    Error: { Type: status >= 500 ? 'Receiver' : 'Sender', Code: code, Message: message },
    RequestId: requestId,
  })
  return xmlResponse(status, requestId, body, headers)
}

function told(error: unknown) {
  if (error instanceof StsRefusal) {
    const { status, code, message, headers } = error
    return { status, code, message, headers, counted: 'request_invalid' }
  }
  const { code: counted, detail, decision, headers } = refusalOf(error)
  const row = isTooLarge(error) ? tooLarge : TABLE[counted]
  return {
    status: error instanceof HttpRefusal ? error.status : row.status,
    code: row.code,
    message: row.message ?? (decision === undefined ? detail : `${detail} (decision ${decision})`),
    headers,
    counted,
  }
}

/** By the issuer's words, or AWS's own, which are otherwise for operators alone. */
function isTooLarge(error: unknown): boolean {
  if (!(error instanceof ProviderRefused)) return false
  return /^the session policy has \d+ characters|\(PackedPolicyTooLarge/.test(error.refused.detail)
}

export function xmlResponse(
  status: number,
  requestId: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, {
    status,
    headers: {
      'content-type': 'text/xml',
      'cache-control': 'no-store',
      'x-amzn-requestid': requestId,
      ...headers,
    },
  })
}
