/** What the second human signs in for: one proposal, and no other though it be of the same change. */
import { canonicalDigest } from '../../canonical.ts'

export type ShownChange = {
  id: string
  kind: string
  /** The whole of it, as JSON. */
  change: unknown
  reason: string
  proposed_by: string
  /** RFC 3339, with milliseconds. */
  expires_at: string
}

/** Of what is shown, so that a command line need not believe the digest that it is told. */
export function changeDigest({ id, kind, change, reason, proposed_by, expires_at }: ShownChange): string {
  return canonicalDigest({ agree_to: id, kind, change, reason, proposed_by, expires_at })
}
