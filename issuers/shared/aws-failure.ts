/** What a failed call of an AWS query service means, whatever it was for. */

/** The parts of the SDK's exceptions that are read. */
export type AwsFailure = {
  name?: string
  message?: string
  $metadata?: { httpStatusCode?: number }
  /** Present where AWS answered; its body may hold credentials, so it goes nowhere. */
  $response?: unknown
}

export type AwsFailureKind =
  | 'throttled'
  | 'not_permitted'
  | 'not_found'
  /** The broker's own sign-in at AWS, not what was asked. */
  | 'own_sign_in'
  | 'rejected'
  /** 5xx, 408, no answer, an answer that cannot be read: it is not known what came of it. */
  | 'unknown'

const THROTTLED = /^(Throttl|TooManyRequests|RequestLimitExceeded|SlowDown)/
const NOT_PERMITTED = /^AccessDenied/
const NOT_FOUND = /^NoSuchEntity/
const OWN_SIGN_IN =
  /^(InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|ExpiredToken|IncompleteSignature|MissingAuthenticationToken|InvalidSignature|RequestExpired|InvalidIdentityToken|IDPRejectedClaim|IDPCommunicationError)/

/** A 4xx answer is AWS's word that nothing was done. */
export function failureKind({ name = '', $metadata }: AwsFailure): AwsFailureKind {
  const status = $metadata?.httpStatusCode
  if (status === 429 || (status !== undefined && status < 500 && THROTTLED.test(name))) return 'throttled'
  if (status === undefined || status < 400 || status >= 500 || status === 408) return 'unknown'
  if (NOT_PERMITTED.test(name)) return 'not_permitted'
  if (NOT_FOUND.test(name) || status === 404) return 'not_found'
  if (OWN_SIGN_IN.test(name)) return 'own_sign_in'
  return 'rejected'
}
