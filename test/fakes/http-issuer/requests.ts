/** What a server reads of the broker's requests: strictly, as it should. */
import { z } from 'zod'

const moment = z.iso.datetime().transform(text => Date.parse(text))
const ask = z.strictObject({
  database: z.string(),
  database_id: z.string().optional(),
  tables: z.array(z.string()).min(1),
  level: z.enum(['read', 'write', 'admin']),
  rows: z.number().optional(),
})
const lease = z.string().regex(/^lse_[0-9a-z]{26}$/)

export const issueRequest = z.strictObject({
  lease,
  ask,
  task: z.string(),
  agent: z.string(),
  chain: z.array(z.strictObject({ sub: z.string() })),
  expires_at: moment,
  mint_not_after: moment,
})
export type IssueRequest = z.infer<typeof issueRequest>

/** Of `revoke` and `probe`. */
export const leaseRequest = z.strictObject({
  lease,
  ask,
  secret: z.unknown().optional(),
  expires_at: moment.optional(),
  revoked_at: moment.optional(),
})

export const resolveRequest = z.strictObject({ ask })
