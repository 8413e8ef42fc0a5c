/** The request bodies of `/v1`, parsed by these schemas and described by them in the OpenAPI document. */
import { z } from '@hono/zod-openapi'
import { LIMITS } from '../limits.ts'

const name = z.string().min(1).max(LIMITS.nameChars)

/** For people to read, on terminals too: control characters other than line breaks and tabs are refused. */
const words = (chars: number) =>
  z
    .string()
    .max(chars)
    .regex(/^(?:\P{Cc}|[\n\t])*$/u, 'must not hold control characters')

/** RFC 9396: `type` is the issuer's configured name, the rest is judged by that issuer's own schema. */
export const authorizationDetail = z.looseObject({ type: name }).openapi('AuthorizationDetail', {
  example: { type: 'github', repositories: ['acme/api'], permissions: { contents: 'read' } },
})

export const authorizationDetails = z.array(authorizationDetail).max(LIMITS.asksPerRequest)

const minutes = z.int().min(LIMITS.taskMinMinutes).max(LIMITS.taskMinutes)

/** What the caller says of itself. Policy may take it against the caller, never for it. */
const declaredShape = {
  confidence: z.int().min(0).max(100).optional(),
  urgency: z.enum(['low', 'normal', 'high']).optional(),
}

/** What humans are told where they are asked, and for how many credentials they are asked. */
const wishShape = {
  justification: words(LIMITS.reasonChars).optional(),
  mints: z.int().min(1).max(LIMITS.approvalMints).optional(),
}

/** `client_certificate`: what the connection was authenticated with, and nothing of it stands in the body. */
const evidence = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('jwt'), token: z.string() }),
  z.strictObject({ type: z.literal('client_certificate') }),
])

/** Signed statements about where the workload runs: a sandbox's JWT, the Sigstore bundle of an image. */
const posture = z
  .array(
    z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('jwt'), token: z.string() }),
      z.strictObject({ type: z.literal('sigstore'), bundle: z.looseObject({}) }),
    ]),
  )
  .max(LIMITS.statements)

export const heartbeatBody = z.strictObject({ posture: posture.optional() }).openapi('Heartbeat')

export const openTaskBody = z
  .strictObject({
    evidence,
    /** The ID token of the human on whose behalf; a child has its parent's human and names none. */
    on_behalf_of: z.strictObject({ type: z.literal('jwt'), token: z.string() }).optional(),
    posture: posture.optional(),
    agent: name.optional(),
    purpose: words(LIMITS.purposeChars).min(1),
    minutes: minutes.optional(),
    heartbeat_seconds: z.int().min(LIMITS.heartbeatMinSeconds).max(LIMITS.heartbeatMaxSeconds).optional(),
    authorization_details: authorizationDetails.default([]),
    ticket: z.string().optional(),
    /** Beside a CI job: until the client or the job's end (`step`), the job's end, or the whole run's end. */
    lifetime: z.enum(['step', 'job', 'run']).optional(),
    ...declaredShape,
    ...wishShape,
  })
  .openapi('OpenTask')

/** A workload's evidence, or a task that is under way, and what it would ask for. Nothing is opened. */
export const simulateBody = z
  .strictObject({
    evidence: z.strictObject({ type: z.literal('jwt'), token: z.string() }).optional(),
    /** Beside evidence; the keys that they name are taken to be shown. */
    posture: posture.optional(),
    task: name.optional(),
    agent: name.optional(),
    purpose: words(LIMITS.purposeChars).min(1).default('a simulation'),
    minutes: minutes.optional(),
    /** Beside evidence; it is not used up. */
    ticket: z.string().optional(),
    authorization_details: authorizationDetails.min(1),
    ...declaredShape,
  })
  .refine(
    ({ evidence, task }) => (evidence === undefined) !== (task === undefined),
    'expected evidence or a task',
  )
  .refine(
    ({ task, posture: statements }) => task === undefined || statements === undefined,
    'expected no posture beside a task: it has what it was opened with',
  )
  .refine(
    ({ task, ticket }) => task === undefined || ticket === undefined,
    'expected no ticket beside a task: its place is known',
  )
  .openapi('SimulatePolicies')

export const shadowQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIMITS.pageItems).default(LIMITS.pageItems),
  after: z.string().optional(),
})

export const credentialBody = z
  .union([
    z.strictObject({ ask: z.string() }),
    z.strictObject({ authorization_details: z.tuple([authorizationDetail]), ...declaredShape, ...wishShape }),
  ])
  .openapi('RequestCredential')

export const extendBody = z
  .strictObject({ minutes, reason: words(LIMITS.reasonChars).min(1) })
  .openapi('ExtendTask')

export const completeBody = z
  .strictObject({
    outcome: z.enum(['completed', 'failed', 'cancelled']),
    detail: words(LIMITS.detailChars).optional(),
  })
  .openapi('CompleteTask')

export const ticketBody = z
  .strictObject({ agent: name, minutes, authorization_details: authorizationDetails })
  .openapi('OpenTicket')

/** As a task's `on_behalf_of.id` has it. */
const humanName = z
  .string()
  .min(1)
  .max(2 * LIMITS.claimChars + 1)

const reason = words(LIMITS.reasonChars).min(1)
const filterShape = {
  task: z.string().min(1).max(LIMITS.nameChars).optional(),
  agent: name.optional(),
  issuer: name.optional(),
  /** `owner/name`, or the repository's number. */
  repository: z.string().min(1).max(LIMITS.labelChars).optional(),
  role: z.string().min(1).max(LIMITS.labelChars).optional(),
  lease: z.string().min(1).max(LIMITS.nameChars).optional(),
  /** On whose behalf: `ISSUER#SUBJECT`. */
  human: humanName.optional(),
}
/** Each member of the filter narrows it; everything is meant only where that is said. */
export const revocationBody = z
  .strictObject({
    ...filterShape,
    everything: z.literal(true).optional(),
    reason,
    /** New tasks and credentials of the same filter are refused until it is unblocked. */
    hold: z.boolean().default(false),
    /** With `hold`: an agent or issuer that is not registered is meant all the same. */
    unregistered: z.boolean().default(false),
    /** List what would end, and change nothing. */
    dry_run: z.boolean().default(false),
  })
  .refine(
    ({ everything, ...body }) =>
      (everything === true) !== Object.keys(filterShape).some(key => Object.hasOwn(body, key)),
    `say what to revoke: any of ${Object.keys(filterShape).join(', ')}, or everything`,
  )
  .refine(
    ({ unregistered, hold }) => hold || !unregistered,
    'unregistered goes with hold: of what is not registered there is nothing to end',
  )
  .openapi('Revoke')

export const revocationsQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(LIMITS.pageItems).default(LIMITS.pageItems),
  after: z.string().optional(),
  blocking: z.literal('true').optional(),
})
/** `id_token`: of a human who signed in for the digest of `{ unblock: id }`. */
export const unblockBody = z
  .strictObject({ id_token: z.string().min(1).max(LIMITS.evidenceBytes).optional() })
  .openapi('Unblock')

/** Nothing is chosen: the new token is for the same operator, and as long. */
export const operatorTokenBody = z.strictObject({}).openapi('RenewOperatorToken')

const paging = {
  limit: z.coerce.number().int().min(1).max(LIMITS.pageItems).default(LIMITS.pageItems),
  after: z.string().optional(),
}
export const tasksQuery = z.strictObject({
  ...paging,
  state: z.enum(['active', 'ended', 'settled']).optional(),
  agent: name.optional(),
  human: humanName.optional(),
})
export const leasesQuery = z.strictObject({
  ...paging,
  state: z.enum(['intended', 'active', 'revoking', 'closed', 'outstanding']).optional(),
  task: z.string().optional(),
  agent: name.optional(),
  issuer: name.optional(),
  /** What this revocation reached. */
  revocation: z.string().optional(),
})
export const drillBody = z.strictObject({ issuer: name }).openapi('StartDrill')
export const drillsQuery = z.strictObject({ ...paging, issuer: name.optional() })
export const deliveriesQuery = z.strictObject({
  ...paging,
  state: z.enum(['due', 'delivered', 'dead']).optional(),
  task: z.string().optional(),
})
export const budgetsQuery = z
  .strictObject({
    ...paging,
    agent: name.optional(),
    owner: z.string().min(1).max(LIMITS.labelChars).optional(),
    /** Of this task's lineage. */
    task: name.optional(),
  })
  .refine(
    ({ agent, owner, task }) => task === undefined || (agent === undefined && owner === undefined),
    'name a task, or an agent and owner',
  )
export const auditQuery = z.strictObject({
  ...paging,
  task: z.string().optional(),
  agent: name.optional(),
  lease: z.string().optional(),
})
