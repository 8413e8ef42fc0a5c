/** What the model may ask for: one of three kinds that it knows by name, or an entry as RFC 9396 has it. */
import { z } from 'zod'
import type { Ask } from '../client/asks.ts'
import { MCP_LIMITS } from './limits.ts'

const name = z.string().min(1).max(MCP_LIMITS.nameChars)
const issuer = name.optional().describe("The issuer's configured name, where it is not the same as the kind")

const githubAsk = z.strictObject({
  kind: z.literal('github'),
  issuer,
  repositories: z
    .array(z.string().regex(/^[\w-]{1,100}\/[\w.-]{1,100}$/))
    .min(1)
    .max(MCP_LIMITS.repositories)
    .describe('owner/name, each'),
  permissions: z
    .record(z.string().regex(/^[a-z_]{1,60}$/), z.enum(['read', 'write', 'admin']))
    .describe('By GitHub\'s names: {"contents": "write"} to push, {"pull_requests": "write"} to open one'),
})

const awsAsk = z.strictObject({
  kind: z.literal('aws'),
  issuer,
  role: z
    .string()
    .max(2_048)
    .regex(/^arn:[\w-]+:iam::\d{12}:role\/[\w+=,.@/-]+$/)
    .describe('ARN of the role'),
  statements: z
    .array(
      z.strictObject({
        actions: z.array(name).min(1).max(MCP_LIMITS.listed).describe('like s3:GetObject'),
        resources: z.array(z.string().min(1).max(2_048)).min(1).max(MCP_LIMITS.listed).describe('ARNs'),
      }),
    )
    .min(1)
    .max(MCP_LIMITS.statements),
})

const jwtAsk = z.strictObject({
  kind: z.literal('jwt'),
  issuer,
  audience: z.string().min(1).max(2_048).describe('Of the service that the token is for'),
  scopes: z.array(name).max(MCP_LIMITS.listed).optional(),
})

const otherAsk = z.strictObject({
  kind: z.literal('other'),
  authorization_details: z
    .looseObject({ type: name })
    .describe("One entry of authorization_details (RFC 9396); type is the issuer's configured name"),
})

const asksByKind = { github: githubAsk, aws: awsAsk, jwt: jwtAsk, other: otherAsk }

export const askShape = z.union([githubAsk, awsAsk, jwtAsk, otherAsk], {
  error: ({ input }) => mistakeIn(input),
})
export type WantedAsk = z.infer<typeof askShape>

/** What a model is told, so that it gets the next one right: what is wrong for the kind that it named. */
function mistakeIn(input: unknown): string {
  const { kind } = (typeof input === 'object' && input !== null ? input : {}) as { kind?: unknown }
  const shape = Object.entries(asksByKind).find(([name]) => name === kind)?.[1]
  const issues = shape?.safeParse(input).error?.issues
  if (issues === undefined) return `expected kind to be one of ${Object.keys(asksByKind).join(', ')}`
  return issues.map(({ path, message }) => [...path, message].join(': ')).join('; ')
}

/** As the broker takes it. */
export function toAsk(wanted: WantedAsk): Ask {
  switch (wanted.kind) {
    case 'github':
    case 'aws': {
      const { kind, issuer: named, ...members } = wanted
      return { ...members, type: named ?? kind }
    }
    case 'jwt': {
      const { kind, issuer: named, audience, scopes } = wanted
      return { type: named ?? kind, audience, ...(scopes !== undefined && { scopes }) }
    }
    case 'other':
      return { ...wanted.authorization_details }
  }
}
