/** The bodies of `/v1/agents`. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'
import { FLAGS } from '../policy/life-cycle.ts'

const reason = z
  .string()
  .min(1)
  .max(LIMITS.reasonChars)
  .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'must not hold control characters')
const idToken = z.string().min(1).max(LIMITS.evidenceBytes).optional()

/** `id_token`: of a human who signed in for the digest of `{ verb, agent, reason }`, where it widens. */
export const standingBody = z.strictObject({ reason, id_token: idToken }).openapi('ChangeStanding')

/** `id_token`: of a human who signed in for the digest of `{ verb: 'certify', agent, reason, digest, valid_until }`. */
export const certifyBody = z
  .strictObject({
    reason,
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional(),
    valid_until: z.iso.datetime({ offset: true }),
    id_token: idToken,
  })
  .openapi('CertifyAgent')

export const agentsQuery = z.strictObject({ flag: z.enum(FLAGS).optional() })
