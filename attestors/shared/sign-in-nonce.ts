/**
 * What a human's sign-in on their own machine is for, as the `nonce` of its authorization request (OpenID Connect
 * Core 1.0 section 3.1.2.1): the key of the process that is to work for them, and what it is to work on. Nonces of
 * operators' sign-ins have no dot, so that neither is ever taken for the other.
 */
const PREFIX = 'mayfly-laptop-v1'
const FORM = new RegExp(`^${PREFIX}\\.([\\w-]{43})\\.([0-9a-f]{64})$`)

export type SignedInFor = {
  /** SHA-256 thumbprint (RFC 7638) of the process's key, base64url. */
  jkt: string
  /** SHA-256 of the request that is to open the task, hex. */
  request: string
}

export function signInNonce({ jkt, request }: SignedInFor): string {
  return [PREFIX, jkt, request].join('.')
}

/** Undefined where it is no such nonce. */
export function readSignInNonce(nonce: string): SignedInFor | undefined {
  const [, jkt, request] = FORM.exec(nonce) ?? []
  return jkt === undefined || request === undefined ? undefined : { jkt, request }
}
