export type OutboundCode =
  | 'url_not_allowed' // not https, or a user name in it
  | 'address_not_allowed' // resolves to a loopback, private, link-local, metadata or reserved address
  | 'redirect_refused'
  | 'too_large'
  | 'deadline_passed'
  | 'aborted' // by the caller
  | 'request_invalid' // could not be built; nothing was sent
  | 'connection_failed' // DNS, TCP, TLS or HTTP: the request may or may not have arrived

/** Why an outbound call gave no answer. The message names the origin at most. */
export class OutboundError extends Error {
  override name = 'OutboundError'
  readonly code: OutboundCode

  constructor(code: OutboundCode, message: string) {
    super(message)
    this.code = code
  }
}
