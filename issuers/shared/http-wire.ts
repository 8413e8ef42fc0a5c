/** The answers of a remote issuer, version 1 (docs/http-issuer.md). Strict: what is not described is not read. */
import { z } from 'zod'

const sentence = z.string().max(500)
const seconds = z.int().min(0).max(86_400)
const moment = z.iso.datetime({ offset: true }).transform(text => Date.parse(text))
const token = z
  .string()
  .min(1)
  .max(16_384)
  .regex(/^[\x21-\x7e]+$/)

const refused = z.strictObject({
  outcome: z.literal('refused'),
  reason: z.enum(['not_permitted', 'not_found', 'rejected', 'rate_limited']),
  detail: sentence,
  retry_after_seconds: seconds.optional(),
})
export type RefusedAnswer = z.infer<typeof refused>

/** `granted` is read by the ask's own schema. */
export const issueAnswer = (secretFormat: 'token' | 'json') =>
  z.discriminatedUnion('outcome', [
    z.strictObject({
      outcome: z.literal('issued'),
      secret:
        secretFormat === 'token'
          ? token
          : z
              .record(z.string().min(1).max(63), z.string().max(16_384))
              .refine(parts => Object.keys(parts).length > 0 && Object.keys(parts).length <= 16)
              .transform(parts => JSON.stringify(parts)),
      granted: z.record(z.string(), z.unknown()),
      expires_at: moment,
      details: z
        .record(z.string().min(1).max(63), z.union([z.string().max(500), z.number()]))
        .refine(details => Object.keys(details).length <= 16)
        .optional(),
    }),
    refused,
  ])

export const revokeAnswer = z.strictObject({ outcome: z.enum(['revoked', 'already_gone']) })

export const probeAnswer = z.strictObject({
  proof: z.enum(['dead', 'alive', 'unknown']),
  detail: sentence.optional(),
  look_again_seconds: seconds.optional(),
})

export const resolveAnswer = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('resolved'), ask: z.record(z.string(), z.unknown()) }),
  refused,
])
