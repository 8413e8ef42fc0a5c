/** Bodies and queries about leaked secrets. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'

const text = z.string().min(1).max(LIMITS.leakedChars)
const reason = z
  .string()
  .min(1)
  .max(LIMITS.reasonChars)
  .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'must not hold control characters')

const leaseId = z.string().regex(/^lse_[0-9a-z]{26}$/, 'expected the id of a lease')

/** A text is shown only where its hash says nothing: Mayfly's own tokens are kept by a keyed one. */
const sighting = z.union([
  z.strictObject({ token: text }),
  z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected SHA-256 in lower-case hex') }),
  z.strictObject({ lease: leaseId }),
])

export const leakBody = z
  .strictObject({
    sightings: z.array(sighting).min(1).max(LIMITS.leakSightings),
    reason,
    /** Say whose it is, and change nothing. */
    dry_run: z.boolean().default(false),
  })
  .openapi('ReportLeak')

/** From whoever holds the secret: the secret itself is the proof. */
export const foundBody = z
  .strictObject({
    token: text,
    /** With the token of a task: a credential of this task, which leaked instead of the token. */
    lease: leaseId.optional(),
    reason: reason.optional(),
  })
  .openapi('ReportFound')

export const leaksQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIMITS.pageItems).default(LIMITS.pageItems),
  after: z.string().optional(),
})
