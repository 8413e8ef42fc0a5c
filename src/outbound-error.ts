export type OutboundCode =
  | 'url_not_allowed' // not https, or a user name in it
  | 'address_not_allowed' // resolves to a loopback, private, link-local, metadata or reserved address
  | 'redirect_refused'
  | 'too_large'
  | 'deadline_passed'
  | 'aborted' // by the caller
  | 'request_invalid' // could not be built; nothing was sent
  | 'connection_failed' // DNS, TCP, TLS or HTTP: the request may or may not have arrived

const NEVER_SENT: ReadonlySet<OutboundCode> = new Set([
  'url_not_allowed',
  'address_not_allowed',
  'request_invalid',
])

/** Why an outbound call gave no answer. The message names the origin at most. */
export class OutboundError extends Error {
  override name = 'OutboundError'
  readonly code: OutboundCode
  /** Whether the request certainly did not leave this process: no connection was made for it. */
  readonly neverSent: boolean

  constructor(code: OutboundCode, message: string, neverSent = NEVER_SENT.has(code)) {
    super(message)
    this.code = code
    this.neverSent = neverSent
  }
}
