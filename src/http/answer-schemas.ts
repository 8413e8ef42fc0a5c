/** What answers are made of, as render.ts makes it. A member more, or one less, is a change of the API. */
import { z } from '@hono/zod-openapi'

/** What is rendered to be such an answer: nobody changes it any more. */
export type Answer<Schema extends z.ZodType> = Final<z.output<Schema>>
type Final<Value> = Value extends readonly (infer Item)[]
  ? readonly Final<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value]: Final<Value[Key]> }
    : Value

const time = z.iso.datetime()
const count = z.int().min(0)
/** The ask of one issuer, named by `type`; its other members are that issuer's. */
const ask = z.looseObject({ type: z.string() })

const human = z.strictObject({
  id: z.string().nullable(),
  issuer: z.string(),
  subject: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
})

const task = z.strictObject({
  id: z.string(),
  state: z.enum(['active', 'ended', 'settled']),
  end: z.enum(['completed', 'failed', 'cancelled', 'lapsed', 'expired', 'revoked']).nullable(),
  end_detail: z.string().nullable(),
  agent: z.string(),
  purpose: z.string(),
  parent: z.string().nullable(),
  on_behalf_of: human.nullable(),
  opened_at: time,
  deadline: time,
  heartbeat_seconds: z.number().nullable(),
  heartbeat_due: time.nullable(),
  ended_at: time.nullable(),
  settled_at: time.nullable(),
  asks: z.array(
    z.strictObject({
      id: z.string(),
      state: z.enum(['pending', 'granted', 'denied', 'expired', 'cancelled']),
      decision: z.string(),
      digest: z.string(),
      provider: z.string().optional(),
      authorization_details: ask,
    }),
  ),
})

export const taskAnswer = task.openapi('Task')
/**
 * With the identity that was proven; nothing of one where the task is the broker's own. In full, since what allows
 * no other member cannot be added to by reference.
 */
export const attestedTaskAnswer = task
  .extend({
    identity: z.looseObject({ attestor: z.string(), issuer: z.string(), subject: z.string() }).partial(),
  })
  .openapi('AttestedTask')

export const leaseAnswer = z
  .strictObject({
    lease: z.string(),
    task: z.string(),
    ask: z.string(),
    agent: z.string(),
    issuer: z.string(),
    state: z.enum(['intended', 'active', 'revoking', 'closed']),
    closed_as: z
      .enum(['revoked', 'already_gone', 'expired', 'never_minted', 'expired_unconfirmed'])
      .nullable(),
    revocability: z.enum(['immediate', 'propagating', 'introspected', 'expiry_only']),
    may_leave_access: z.boolean(),
    authorization_details: ask,
    sha256: z.string().nullable(),
    intended_at: time,
    active_at: time.nullable(),
    expires_at: time,
    provider_expires_at: time.nullable(),
    revoking_at: time.nullable(),
    revoked_at: time.nullable(),
    confirmed_dead_at: time.nullable(),
    closed_at: time.nullable(),
    attempts: count,
    last_error: z.string().nullable(),
  })
  .openapi('Lease')

export const decisionAnswer = z
  .strictObject({
    id: z.string(),
    task: z.string().nullable(),
    agent: z.string().nullable(),
    outcome: z.enum(['allow', 'deny', 'needs_approval']),
    policy_hash: z.string().nullable(),
    decided_at: time,
    reasons: z.array(z.string()),
    facts: z.looseObject({}),
  })
  .openapi('Decision')

export const auditAnswer = z
  .strictObject({
    seq: count,
    at: time,
    event: z.string(),
    actor: z.string(),
    task: z.string().nullable(),
    agent: z.string().nullable(),
    lease: z.string().nullable(),
    data: z.looseObject({}),
  })
  .openapi('AuditEvent')
