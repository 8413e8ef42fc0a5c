/** What a failed STS call means: a definite no, with nothing opened, or not known. */
import { ProviderUnavailable, type Refused } from '../issuer.ts'

/** The parts of the SDK's exceptions that are read. */
type StsFailure = {
  name?: string
  message?: string
  $metadata?: { httpStatusCode?: number }
  /** Present where AWS answered; its body may hold credentials, so it goes nowhere. */
  $response?: unknown
}

/** Asked for when AWS throttles us; STS does not say for how long. */
const THROTTLED_WAIT_MS = 5_000

const THROTTLED = /^(Throttl|TooManyRequests|RequestLimitExceeded|SlowDown)/
const NOT_PERMITTED = /^AccessDenied/
const NOT_FOUND = /^NoSuchEntity/
/** The broker's own sign-in at AWS, not the ask. */
const OWN_SIGN_IN =
  /^(InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|ExpiredToken|IncompleteSignature|MissingAuthenticationToken|InvalidSignature|RequestExpired)/

/**
 * A 4xx answer is AWS's word that no session was opened.
 * @throws ProviderUnavailable for the rest: 5xx, 408, no answer, an answer that cannot be read.
 */
export function stsRefusal(error: unknown, role: string): Refused {
  if (error instanceof ProviderUnavailable) throw error
  const { name = '', message = '', $metadata, $response } = error as StsFailure
  const status = $metadata?.httpStatusCode
  const said = message === '' ? '' : `: ${message.replace(/\p{Cc}+/gu, ' ').slice(0, 300)}`
  if (status === 429 || (status !== undefined && status < 500 && THROTTLED.test(name))) {
    const detail = 'AWS STS limits the rate of calls'
    return { ok: false, reason: 'rate_limited', detail, retryAfterMs: THROTTLED_WAIT_MS }
  }
  if (status === undefined || status < 400 || status >= 500 || status === 408) {
    throw new ProviderUnavailable(`AWS STS gave no usable answer (${name || 'unknown failure'})`, {
      ...($response === undefined && { cause: error }),
    })
  }
  if (NOT_PERMITTED.test(name)) {
    return { ok: false, reason: 'not_permitted', detail: `AWS does not let the broker assume ${role}${said}` }
  }
  if (NOT_FOUND.test(name))
    return { ok: false, reason: 'not_found', detail: `AWS does not know ${role}${said}` }
  if (OWN_SIGN_IN.test(name)) {
    const detail = `AWS refused the broker's own credentials (${name}): check the key and the clock`
    return { ok: false, reason: 'rejected', detail }
  }
  return { ok: false, reason: 'rejected', detail: `AWS does not accept the session (${name})${said}` }
}
