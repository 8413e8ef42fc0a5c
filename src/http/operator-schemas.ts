/** The bodies and queries of `/v1/operator-sessions` and `/v1/changes`. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'

const paging = {
  limit: z.coerce.number().int().min(1).max(LIMITS.pageItems).default(LIMITS.pageItems),
  after: z.string().optional(),
}
/** Of a sign-in for this alone; see docs/operators.md. */
export const idTokenShape = z.string().min(1).max(LIMITS.evidenceBytes)

const reason = z
  .string()
  .min(1)
  .max(LIMITS.reasonChars)
  .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'must not hold control characters')

export const challengeBody = z.strictObject({}).openapi('NewSignInChallenge')
export const sessionBody = z
  .strictObject({ id_token: idTokenShape, challenge: z.string().min(1).max(1_000) })
  .openapi('OpenOperatorSession')
export const endSessionBody = z.strictObject({}).openapi('EndOperatorSession')
export const sessionsQuery = z.strictObject({ ...paging, state: z.enum(['open', 'all']).default('open') })

export const agreeBody = z.strictObject({ id_token: idTokenShape.optional() }).openapi('AgreeToChange')
export const denyBody = z.strictObject({ reason }).openapi('DenyChange')
export const changesQuery = z.strictObject({
  ...paging,
  state: z.enum(['pending', 'applied', 'denied', 'withdrawn']).optional(),
})
