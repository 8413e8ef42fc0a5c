/** Bodies of `/v1/attestors`. */
import { z } from '@hono/zod-openapi'

/** Evidence is checked and not used up; `agent` chooses as it does when a task is opened. */
export const checkEvidenceBody = z
  .strictObject({
    evidence: z.strictObject({ type: z.literal('jwt'), token: z.string() }),
    agent: z.string().min(1).max(128).optional(),
  })
  .openapi('CheckEvidence')
