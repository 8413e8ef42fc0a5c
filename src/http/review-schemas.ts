/** What auditors and reviewers ask, and what they are answered. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'
import {
  type Answer,
  attestedTaskAnswer,
  auditAnswer,
  decisionAnswer,
  leaseAnswer,
  taskAnswer,
} from './answer-schemas.ts'

const moment = z.iso.datetime({ offset: true }).transform(text => Date.parse(text))
const count = z.int().min(0)
const counts = z.record(z.string(), count)
const milliseconds = z.number().min(0)

export const reviewQuery = z
  .strictObject({ from: moment, to: moment, agent: z.string().min(1).max(LIMITS.nameChars).optional() })
  .refine(({ from, to }) => from < to, 'from must be before to')

const sighting = z.union([
  z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits') }),
  z.strictObject({ session: z.string().min(1).max(LIMITS.nameChars) }),
])

export const recogniseBody = z
  .strictObject({ credentials: z.array(sighting).min(1).max(LIMITS.recognisedItems) })
  .openapi('RecogniseCredentials')

/** `lease`: null for a credential that this broker never handed out. */
export const recognisedAnswer = z
  .strictObject({
    items: z.array(
      z.union([
        z.strictObject({ sha256: z.string(), lease: z.string().nullable() }),
        z.strictObject({ session: z.string(), lease: z.string().nullable() }),
      ]),
    ),
  })
  .openapi('RecognisedCredentials')

export const trailAnswer = z
  .strictObject({
    task: attestedTaskAnswer,
    ancestors: z.array(taskAnswer),
    descendants: z.array(taskAnswer),
    decisions: z.array(decisionAnswer),
    credentials: z.array(leaseAnswer),
    events: z.array(auditAnswer),
    /** A JWS; null until there is one. */
    receipt: z.string().nullable(),
    complete: z.boolean(),
  })
  .openapi('Trail')

const agentReview = z
  .strictObject({
    agent: z.string(),
    owner: z.strictObject({ business: z.string(), technical: z.string() }).nullable(),
    risk_tier: z.enum(['low', 'medium', 'high']).nullable(),
    expires_at: z.iso.datetime().nullable(),
    tasks: z.strictObject({ opened: count, receipts: count, by_end: counts }),
    decisions: z.strictObject({ allow: count, deny: count, needs_approval: count }),
    credentials: z.strictObject({
      minted: count,
      never_minted: count,
      expired_unconfirmed: count,
      may_have_left_access: count,
      by_phase: counts,
      mean_life_ms: milliseconds,
      longest_life_ms: milliseconds,
      longest_past_end_ms: milliseconds,
    }),
    ceiling: z.array(
      z.strictObject({
        issuer: z.string(),
        authorization_details: z.looseObject({ type: z.string() }),
        minted: count,
        never_used: z.array(z.string()),
        never_touched: z.array(z.string()),
      }),
    ),
    /** In the form of the `ceiling` of an agent's file; null where nothing narrower is known. */
    proposed_ceiling: z.record(z.string(), z.array(z.unknown())).nullable(),
  })
  .openapi('AgentReview')

export const reviewAnswer = z
  .strictObject({
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    agents: z.array(agentReview),
    surplus: z.array(z.strictObject({ issuer: z.string(), where: z.string(), right: z.string() })),
    unasked: z.array(z.string()),
  })
  .openapi('Review')

export type AgentReviewAnswer = Answer<typeof agentReview>
export type ReviewAnswer = Answer<typeof reviewAnswer>
export type TrailAnswer = Answer<typeof trailAnswer>
