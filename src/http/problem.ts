/** The one table from what the broker refuses to what HTTP says of it. */
import type { Context } from 'hono'
import { ALGORITHMS } from '../../attestors/shared/algorithms.ts'
import type { Broker } from '../broker/broker.ts'
import { BrokerError, type ErrorCode } from '../broker/broker-error.ts'
import { LIMITS } from '../limits.ts'
import { BadCursor, LedgerUnavailable } from '../store/ledger.ts'

type Row = {
  status: number
  title: string
  /** RFC 6749 section 5.2, RFC 8693 section 2.2.2, RFC 9396 section 5, for `/oauth`. */
  oauth: OauthRow
  /** RFC 7523 section 3.1, for evidence that came as an assertion; where absent, as for a subject token. */
  assertion?: OauthRow
  /** The same for a client that authenticates by its certificate (RFC 6749 section 5.2). */
  certificate?: OauthRow
}

/** An assertion (RFC 7523 section 3.1), or the certificate of a client that authenticates by it (RFC 6749 section 5.2). */
export type Grant = 'assertion' | 'certificate'

type OauthRow = { status: number; error: string; description?: string }

const unavailable = { status: 503, error: 'temporarily_unavailable' }

const TABLE: Record<ErrorCode, Row> = {
  request_invalid: {
    status: 400,
    title: 'The request is not of the expected form',
    oauth: { status: 400, error: 'invalid_request' },
  },
  grant_type_unsupported: {
    status: 400,
    title: 'The grant type is not supported',
    oauth: { status: 400, error: 'unsupported_grant_type' },
  },
  scope_invalid: {
    status: 400,
    title: 'The scope is not valid',
    oauth: { status: 400, error: 'invalid_scope' },
  },
  target_invalid: {
    status: 400,
    title: 'The target is not valid',
    oauth: { status: 400, error: 'invalid_target' },
  },
  ask_invalid: {
    status: 400,
    title: 'An ask is not of the expected form',
    oauth: { status: 400, error: 'invalid_authorization_details' },
  },
  evidence_rejected: {
    status: 401,
    title: 'The evidence was not accepted',
    oauth: {
      status: 400,
      error: 'invalid_request',
      description: 'subject_token was not accepted as evidence of its subject_token_type',
    },
    assertion: {
      status: 400,
      error: 'invalid_grant',
      description: 'the assertion was not accepted as evidence',
    },
    certificate: {
      status: 401,
      error: 'invalid_client',
      description: 'the client certificate was not accepted as evidence',
    },
  },
  evidence_in_use: {
    status: 409,
    title: 'A task that was opened with this evidence goes on',
    oauth: { status: 400, error: 'invalid_request' },
  },
  attestation_unavailable: { status: 503, title: 'The evidence could not be checked', oauth: unavailable },
  agent_unmatched: {
    status: 403,
    title: 'No registered agent matches',
    oauth: { status: 400, error: 'invalid_request' },
    assertion: { status: 400, error: 'invalid_grant' },
    certificate: { status: 400, error: 'unauthorized_client' },
  },
  agent_not_active: {
    status: 403,
    title: 'The agent may not work now',
    oauth: { status: 400, error: 'unauthorized_client' },
  },
  agent_quarantined: {
    status: 403,
    title: 'The agent is in quarantine',
    oauth: { status: 400, error: 'invalid_scope' },
  },
  transition_refused: {
    status: 409,
    title: 'The agent does not stand so that this is possible',
    oauth: { status: 409, error: 'invalid_request' },
  },
  event_not_allowed: {
    status: 403,
    title: 'The event is not allowed',
    oauth: { status: 400, error: 'invalid_scope' },
  },
  ask_denied: { status: 403, title: 'Denied', oauth: { status: 400, error: 'invalid_scope' } },
  ticket_rejected: {
    status: 403,
    title: 'The ticket was not accepted',
    oauth: { status: 400, error: 'invalid_request' },
  },
  budget_exhausted: {
    status: 429,
    title: 'A limit is reached',
    oauth: { status: 429, error: 'temporarily_unavailable' },
  },
  unauthenticated: {
    status: 401,
    title: 'Authentication is needed',
    oauth: { status: 401, error: 'invalid_client' },
  },
  dpop_proof_invalid: {
    status: 401,
    title: 'The DPoP proof was not accepted',
    oauth: { status: 400, error: 'invalid_dpop_proof' },
  },
  dpop_nonce_needed: {
    status: 401,
    title: 'The DPoP proof needs a nonce',
    oauth: { status: 400, error: 'use_dpop_nonce' },
  },
  posture_needed: {
    status: 400,
    title: 'A statement of where the task runs is needed',
    oauth: { status: 400, error: 'invalid_request' },
  },
  key_needed: {
    status: 403,
    title: 'A key has to be shown',
    oauth: { status: 400, error: 'invalid_dpop_proof' },
  },
  key_not_proven: {
    status: 401,
    title: 'The token is bound to a key that was not shown',
    oauth: { status: 400, error: 'invalid_dpop_proof' },
  },
  forbidden: { status: 403, title: 'Not allowed', oauth: { status: 403, error: 'access_denied' } },
  fresh_sign_in_needed: {
    status: 401,
    title: 'A fresh sign-in is needed',
    oauth: { status: 401, error: 'invalid_client' },
  },
  approval_pending: {
    status: 409,
    title: 'Waiting for approval',
    oauth: { status: 400, error: 'authorization_pending' },
  },
  approved_already: {
    status: 409,
    title: 'Approved already, by the same human',
    oauth: { status: 400, error: 'invalid_request' },
  },
  approval_over: {
    status: 409,
    title: 'The approval is over',
    oauth: { status: 400, error: 'access_denied' },
  },
  target_unknown: {
    status: 404,
    title: 'What is to be revoked is not known',
    oauth: { status: 404, error: 'invalid_request' },
  },
  not_found: { status: 404, title: 'Not found', oauth: { status: 404, error: 'invalid_request' } },
  task_not_active: {
    status: 409,
    title: 'The task has ended',
    oauth: { status: 400, error: 'invalid_grant' },
  },
  blocked: {
    status: 403,
    title: 'An operator has stopped this',
    oauth: { status: 400, error: 'invalid_target' },
  },
  ledger_restored: {
    status: 503,
    title: 'The ledger was restored; nothing is minted for now',
    oauth: unavailable,
  },
  receipt_not_ready: {
    status: 409,
    title: 'There is no receipt yet',
    oauth: { status: 409, error: 'invalid_request' },
  },
  registry_invalid: {
    status: 422,
    title: 'It cannot be registered',
    oauth: { status: 422, error: 'invalid_request' },
  },
  registry_moved: {
    status: 409,
    title: 'Something else was registered meanwhile',
    oauth: { status: 409, error: 'invalid_request' },
  },
  managed_by_file: {
    status: 409,
    title: 'It is managed by files',
    oauth: { status: 409, error: 'invalid_request' },
  },
  resource_in_use: {
    status: 409,
    title: 'It is in use',
    oauth: { status: 409, error: 'invalid_request' },
  },
  drill_running: {
    status: 409,
    title: 'A drill of this issuer is running',
    oauth: { status: 409, error: 'invalid_request' },
  },
  provider_refused: {
    status: 422,
    title: 'The provider refused',
    oauth: { status: 400, error: 'invalid_target' },
  },
  provider_unavailable: { status: 503, title: 'The provider did not answer', oauth: unavailable },
  provider_answered_wider: {
    status: 502,
    title: 'The provider answered with more than was asked',
    oauth: { status: 502, error: 'server_error' },
  },
  ledger_unavailable: { status: 503, title: 'The ledger is unavailable; safe to retry', oauth: unavailable },
  policy_unavailable: { status: 503, title: 'Policy could not be judged', oauth: unavailable },
  configuration_stale: { status: 503, title: 'This broker is being reconfigured', oauth: unavailable },
  mint_contended: { status: 503, title: 'Others were given something meanwhile', oauth: unavailable },
  rate_limited: {
    status: 429,
    title: 'Too many requests',
    oauth: { status: 429, error: 'temporarily_unavailable' },
  },
}

/** Statuses that belong to HTTP itself, not to the broker: a method, a body, a path. */
export class HttpRefusal extends Error {
  override name = 'HttpRefusal'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

type Refusal = {
  code: ErrorCode | 'internal'
  status: number
  title: string
  detail: string
  oauth: Row['oauth']
  decision?: string | undefined
  headers: Record<string, string>
}

/** RFC 9457 problem document, or RFC 6749 JSON for `/oauth`. What is not a refusal is logged and told as 500. */
export function renderError(
  c: Context,
  error: unknown,
  { log, metrics }: Pick<Broker, 'log' | 'metrics'>,
): Response {
  const refusal = refusalOf(error, c.get('grant'))
  metrics.refused(refusal.code)
  if (refusal.status >= 500)
    log.error({ code: refusal.code, method: c.req.method, path: c.req.path, err: error }, refusal.title)
  const isOauth = c.req.path.startsWith('/oauth/')
  const body = isOauth ? oauthBody(refusal) : problemBody(refusal, c.get('requestId'))
  return new Response(JSON.stringify(body), {
    status: isOauth ? refusal.oauth.status : refusal.status,
    headers: {
      'content-type': isOauth ? 'application/json' : 'application/problem+json',
      'cache-control': 'no-store',
      ...(isOauth && refusal.oauth.status === 401 ? { 'www-authenticate': 'Basic realm="mayfly"' } : {}),
      ...(isOauth ? {} : challengeOf(refusal.code)),
      ...refusal.headers,
    },
  })
}

/** RFC 6750 section 3, RFC 9449 section 7.1. */
function challengeOf(code: Refusal['code']): Record<string, string> {
  const challenge = CHALLENGES[code]
  return challenge === undefined ? {} : { 'www-authenticate': challenge }
}

const dpop = (error: string) => `DPoP realm="mayfly", error="${error}", algs="${ALGORITHMS.join(' ')}"`
const CHALLENGES: Partial<Record<Refusal['code'], string>> = {
  unauthenticated: 'Bearer realm="mayfly"',
  dpop_proof_invalid: dpop('invalid_dpop_proof'),
  dpop_nonce_needed: dpop('use_dpop_nonce'),
  key_not_proven: dpop('invalid_token'),
}

/** What a caller is told of an error, whatever the words of the endpoint are. */
export function refusalOf(error: unknown, grant?: Grant): Refusal {
  if (error instanceof HttpRefusal) {
    const oauth = { status: error.status, error: 'invalid_request' }
    const headers = { ...error.headers }
    return {
      code: 'request_invalid',
      status: error.status,
      title: TABLE.request_invalid.title,
      detail: error.message,
      oauth,
      headers,
    }
  }
  if (error instanceof LedgerUnavailable) {
    const retry = new BrokerError(
      'ledger_unavailable',
      'the ledger could not take the request; whether it did is not known, and it is safe to send it again',
    )
    return refusalOf(retry, grant)
  }
  if (error instanceof BadCursor)
    return refusalOf(new BrokerError('request_invalid', 'after: not the `next` of an earlier page'), grant)
  if (!(error instanceof BrokerError))
    return {
      code: 'internal',
      status: 500,
      title: 'Internal error',
      detail: 'the cause is in the log of the broker',
      oauth: { status: 500, error: 'server_error' },
      headers: {},
    }
  const row = TABLE[error.code]
  // An outage always says when to come back: the same evidence before the floor would look like a replay.
  const retryAfter = error.retryAfterMs ?? (row.status === 503 ? LIMITS.reissueFloorMs : undefined)
  return {
    code: error.code,
    status: row.status,
    title: row.title,
    detail: error.message,
    oauth: (grant && row[grant]) ?? row.oauth,
    decision: error.decision,
    headers:
      retryAfter === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfter / 1_000))) },
  }
}

/** Rejected evidence is answered alike byte for byte; its request is named in the header only. */
function problemBody({ code, status, title, detail, decision }: Refusal, requestId: string | undefined) {
  const isNamed = requestId !== undefined && code !== 'evidence_rejected'
  return {
    type: `urn:mayfly:problem:${code}`,
    title,
    status,
    detail,
    code,
    ...(decision === undefined ? {} : { decision }),
    ...(isNamed ? { instance: `urn:mayfly:request:${requestId}` } : {}),
  }
}

function oauthBody({ oauth, detail, decision }: Refusal) {
  return {
    error: oauth.error,
    error_description: ascii(oauth.description ?? detail),
    ...(decision === undefined ? {} : { decision }),
  }
}

/** RFC 6749 section 5.2: printable ASCII without quote and backslash. */
function ascii(text: string): string {
  return text.replaceAll(/["\\]/g, "'").replaceAll(/[^\x20-\x7e]/g, '?')
}
