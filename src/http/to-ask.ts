import type { WantedAsk } from '../broker/credentials/resolve-asks.ts'

/** An `authorization_details` entry (RFC 9396 section 2): `type` is the issuer, the rest is the ask. */
export function toAsk({ type, ...ask }: { type: string; [member: string]: unknown }): WantedAsk {
  return { issuer: type, ask }
}
