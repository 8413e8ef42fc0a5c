/** What operators send about approvals, windows and check-ins. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'
import { authorizationDetail } from './schemas.ts'

const name = z.string().min(1).max(LIMITS.nameChars)
const words = z
  .string()
  .max(LIMITS.reasonChars)
  .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'must not hold control characters')
/** Of a human who signed in a moment ago, for exactly this. */
const idToken = z.string().min(1).max(LIMITS.evidenceBytes)
const paging = {
  limit: z.coerce.number().int().min(1).max(LIMITS.pageItems).default(LIMITS.pageItems),
  after: z.string().optional(),
}

export const approveBody = z.strictObject({ id_token: idToken, reason: words.optional() }).openapi('Approve')
export const denyBody = z.strictObject({ id_token: idToken, reason: words.min(1) }).openapi('Deny')
export const approvalsQuery = z.strictObject({
  ...paging,
  state: z.enum(['pending', 'approved', 'denied', 'expired', 'cancelled']).optional(),
  agent: name.optional(),
  task: name.optional(),
})

/** What is agreed to beforehand. Its digest is what the sign-in is bound to. */
export const preapprovalShape = {
  agent: name,
  /** What is asked for must be covered by it. */
  authorization_details: z.tuple([authorizationDetail]),
  minutes: z.int().min(1).max(LIMITS.preapprovalMinutes),
  uses: z.int().min(1).max(LIMITS.preapprovalUses),
  reason: words.min(1),
}
export const preapprovalBody = z
  .strictObject({ ...preapprovalShape, id_token: idToken })
  .openapi('OpenPreapproval')
/** Says what such a window would be, and what a sign-in for it must be bound to; changes nothing. */
export const preapprovalPreviewBody = z.strictObject(preapprovalShape).openapi('PreviewPreapproval')
export const preapprovalsQuery = z.strictObject({
  ...paging,
  agent: name.optional(),
  open: z.literal('true').optional(),
})
export const checkInBody = z.strictObject({ id_token: idToken }).openapi('CheckIn')
