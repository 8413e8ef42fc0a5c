/** What the broker answers, as far as it is looked into; members that are not named are kept as they are. */
import { z } from 'zod'
import { Secret } from '../../issuers/shared/secret.ts'

const time = z.string().nullable()
const detail = z.looseObject({ type: z.string() })

export const leaseAnswer = z.looseObject({
  lease: z.string(),
  task: z.string(),
  agent: z.string(),
  issuer: z.string(),
  state: z.enum(['intended', 'active', 'revoking', 'closed']),
  closed_as: z.string().nullable(),
  revocability: z.string(),
  authorization_details: detail,
  expires_at: time,
  provider_expires_at: time,
  last_error: z.string().nullable(),
})
export type LeaseAnswer = z.infer<typeof leaseAnswer>

export const taskAnswer = z.looseObject({
  id: z.string(),
  state: z.enum(['active', 'ended', 'settled']),
  end: z.string().nullable(),
  agent: z.string(),
  purpose: z.string(),
  deadline: z.string(),
  heartbeat_seconds: z.number().nullable(),
  asks: z.array(z.looseObject({ id: z.string(), state: z.string(), authorization_details: detail })),
  credentials: z.array(leaseAnswer).default([]),
})
export type TaskAnswer = z.infer<typeof taskAnswer>

export const openAnswer = z.looseObject({
  task: taskAnswer,
  task_token: z.string().transform(text => new Secret(text)),
  decision: z.string(),
})

/** `credential` is a string, or the provider's several parts; it is hidden as soon as it is here. */
export const credentialAnswer = z
  .looseObject({
    lease: z.string(),
    issuer: z.string(),
    credential: z.union([z.string(), z.record(z.string(), z.unknown())]),
    authorization_details: detail,
    expires_at: z.string(),
    provider_expires_at: z.string(),
  })
  .transform(({ credential, ...answer }) => ({
    answer,
    format: typeof credential === 'string' ? ('token' as const) : ('json' as const),
    secret: new Secret(typeof credential === 'string' ? credential : JSON.stringify(credential)),
  }))
export type Minted = z.infer<typeof credentialAnswer>

/** A new ask may wait for humans. */
export const mintAnswer = z.union([
  z.looseObject({ status: z.literal('approval_pending'), ask: z.string(), approval: z.string() }),
  credentialAnswer,
])

export const leasePage = z.looseObject({ items: z.array(leaseAnswer), next: z.string().nullable() })

export const revocationAnswer = z.looseObject({
  id: z.string(),
  state: z.enum(['running', 'done']),
  filter: z.record(z.string(), z.union([z.string(), z.boolean()])),
  reason: z.string(),
  by: z.string(),
  hold: z.boolean(),
  blocking: z.boolean(),
  created_at: z.string(),
  tasks_ended: z.number(),
})
const total = z.number()
export const revocationStatusAnswer = revocationAnswer.extend({
  credentials: z.looseObject({
    reached: total,
    confirmed_dead: total,
    never_minted: total,
    expired: total,
    expired_unconfirmed: total,
    revoked: total,
    waiting: total,
    expiry_only: total,
  }),
})
export type RevocationStatusAnswer = z.infer<typeof revocationStatusAnswer>

export const revocationPage = z.looseObject({
  items: z.array(revocationAnswer),
  next: z.string().nullable(),
})

export const previewAnswer = z.looseObject({
  tasks: z.array(z.looseObject({ id: z.string(), agent: z.string(), purpose: z.string() })),
  leases: z.array(leaseAnswer),
  complete: z.boolean(),
})
export type PreviewAnswer = z.infer<typeof previewAnswer>

export const operatorTokenAnswer = z.looseObject({
  token: z.string().transform(text => new Secret(text)),
  name: z.string(),
  expires_at: z.string(),
})
