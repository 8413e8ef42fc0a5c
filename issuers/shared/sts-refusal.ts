/** What a failed STS call means: a definite no, with nothing opened, or not known. */
import { ProviderUnavailable, type Refused } from '../issuer.ts'
import { type AwsFailure, failureKind } from './aws-failure.ts'

/** Asked for when AWS throttles us; STS does not say for how long. */
const THROTTLED_WAIT_MS = 5_000

/**
 * A 4xx answer is AWS's word that no session was opened.
 * @throws ProviderUnavailable for the rest: 5xx, 408, no answer, an answer that cannot be read.
 */
export function stsRefusal(error: unknown, role: string): Refused {
  if (error instanceof ProviderUnavailable) throw error
  const failure = error as AwsFailure
  const { name = '', message = '', $response } = failure
  const said = message === '' ? '' : `: ${message.replace(/\p{Cc}+/gu, ' ').slice(0, 300)}`
  switch (failureKind(failure)) {
    case 'throttled': {
      const detail = 'AWS STS limits the rate of calls'
      return { ok: false, reason: 'rate_limited', detail, retryAfterMs: THROTTLED_WAIT_MS }
    }
    case 'unknown':
      throw new ProviderUnavailable(`AWS STS gave no usable answer (${name || 'unknown failure'})`, {
        ...($response === undefined && { cause: error }),
      })
    case 'not_permitted': {
      const detail = `AWS does not let the broker assume ${role}${said}`
      return { ok: false, reason: 'not_permitted', detail }
    }
    case 'not_found':
      return { ok: false, reason: 'not_found', detail: `AWS does not know ${role}${said}` }
    case 'own_sign_in': {
      const detail = `AWS refused the broker's own credentials (${name}): check the key and the clock`
      return { ok: false, reason: 'rejected', detail }
    }
    case 'rejected':
      return { ok: false, reason: 'rejected', detail: `AWS does not accept the session (${name})${said}` }
  }
}
