/** What the tools answer, as the client is told beforehand (`outputSchema`). No member of them is a secret. */
import { z } from 'zod'

const askState = z.enum(['pending', 'granted', 'denied', 'expired', 'cancelled'])

const askAnswer = z.strictObject({
  ask: z.string().describe('Its id, the handle of its credential'),
  kind: z.enum(['github', 'aws', 'other']),
  state: askState,
  authorization_details: z.looseObject({ type: z.string() }).describe('As the issuer understood it'),
  approval: z
    .strictObject({ id: z.string(), state: z.string(), reason: z.string().nullable() })
    .optional()
    .describe('Where humans were asked'),
  how_to_use: z.string(),
})

const taskAnswer = z.strictObject({
  task: z.string(),
  agent: z.string(),
  purpose: z.string(),
  state: z.enum(['active', 'ended', 'settled']),
  deadline: z.string().describe('RFC 3339'),
  decision: z.string().optional(),
  asks: z.array(askAnswer),
})

const credentialAnswer = z.strictObject({
  lease: z.string(),
  issuer: z.string(),
  state: z.enum(['intended', 'active', 'revoking', 'closed']),
  ended_as: z
    .string()
    .nullable()
    .describe('revoked, already_gone, expired, never_minted, expired_unconfirmed'),
  alive_until: z.string().nullable().describe('RFC 3339, at the latest; null where it is closed'),
  revocability: z.string(),
})

const setupAnswer = z.strictObject({
  socket: z.string(),
  /** What to put before a command line. */
  run: z.string(),
  git: z.strictObject({ ready: z.boolean(), says: z.string() }),
  aws: z.strictObject({ ready: z.boolean(), profiles: z.array(z.string()), says: z.string() }),
  notes: z.array(z.string()),
})

export const openedOutput = taskAnswer
export const askedOutput = z.strictObject({ task: z.string(), ...askAnswer.shape })

export const waitedOutput = z.strictObject({
  task: z.string(),
  answered: z.boolean().describe('false: humans have not answered for all of it yet'),
  waited_seconds: z.number(),
  asks: z.array(askAnswer),
})

export const statusOutput = z.strictObject({
  broker: z.enum(['answers', 'does_not_answer', 'not_asked']),
  tasks: z.array(
    z.strictObject({
      ...taskAnswer.shape,
      as_of: z.enum(['now', 'last_heard']),
      outstanding: z.array(credentialAnswer).describe('Credentials that are not closed'),
    }),
  ),
  setup: setupAnswer,
})

export const extendedOutput = z.strictObject({ task: z.string(), deadline: z.string() })

export const endedOutput = z.strictObject({
  task: z.string(),
  end: z.string().nullable(),
  all_closed: z.boolean(),
  credentials: z.array(credentialAnswer),
})

export const whyNotOutput = z.strictObject({
  known: z.boolean().describe('false: nothing that this server was told has that decision'),
  decision: z.string().nullable(),
  code: z.string().nullable(),
  said: z.string().nullable().describe('What the broker tells a workload'),
  retry: z.boolean(),
  what_to_do: z.string(),
  for_the_owner: z.string().describe('What to ask whoever answers for the agent'),
})

export const revealedOutput = z.strictObject({
  task: z.string(),
  ask: z.string(),
  secret: z.union([z.string(), z.record(z.string(), z.unknown())]),
  expires_at: z.string(),
})

export type AskAnswer = z.infer<typeof askAnswer>
export type TaskAnswer = z.infer<typeof taskAnswer>
export type CredentialAnswer = z.infer<typeof credentialAnswer>
export type Setup = z.infer<typeof setupAnswer>
