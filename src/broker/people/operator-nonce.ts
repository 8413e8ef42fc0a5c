/**
 * What a sign-in is for, as the `nonce` of its authorization request (OpenID Connect Core 1.0 section 3.1.2.1).
 * The two kinds never have a nonce in common, so a token got for one is no use for the other.
 */
import { createHash } from 'node:crypto'

/** @param boundTo hex digest of exactly what is agreed to. */
export function freshNonce(boundTo: string): string {
  return digest('mayfly fresh sign-in v1', boundTo)
}

/** @param challenge as the broker gave it. */
export function sessionNonce(challenge: string): string {
  return digest('mayfly operator session v1', challenge)
}

function digest(kind: string, text: string): string {
  return createHash('sha256').update(`${kind}\n${text}`, 'utf8').digest('base64url')
}
