/**
 * What the local credential server and its callers say to each other: HTTP/1.1 and JSON, on a Unix socket or on
 * 127.0.0.1 with a bearer token. Members are named as the broker's own API names them; times are RFC 3339.
 *
 *   GET  /v1/tasks                    -> 200 tasksAnswer
 *   POST /v1/tasks         openBody   -> 201 taskAnswer, also where an ask of it is pending
 *   GET  /v1/tasks/{id}[?wait=30]     -> 200 taskAnswer, as the broker has it now; waits for humans so long
 *   POST /v1/tasks/{id}/asks  askBody -> 200 askAnswer: one ask more, without its credential
 *   POST /v1/tasks/{id}/complete  completeBody -> 200 taskAnswer
 *   POST /v1/credentials   credentialBody      -> 200 credentialAnswer
 *   POST /v1/credentials/rejected rejectedBody -> 200 rejectedAnswer
 *   GET  /v1/aws                      -> 200 awsAnswer: where AWS SDKs ask, and with what
 *   GET  /aws/{handle}                -> 200 as the AWS SDKs' container provider has it
 *
 * A handle is the id of an ask: it names a credential and is none. Every refusal but that of /aws is a problem
 * document (RFC 9457): the broker's own as it came, `decision` with it, or one of {@link LOCAL_CODES}.
 */
import { z } from 'zod'
import { SIDECAR_LIMITS } from './limits.ts'

/**
 * Status and meaning of what the server itself refuses.
 *
 *   local_unauthorized     401: no or another bearer token
 *   local_host_refused     421: the Host header is not the server's own address
 *   request_invalid        400, 413, 415: what was sent is not what is expected
 *   not_found              404: no such path, task or handle here
 *   method_not_allowed     405
 *   ask_unmatched          404: no ask of the tasks held here is for that repository, or for that
 *   ask_contentless        403: the asks for that repository give no contents
 *   repository_unsaid      409: git did not say which repository, and there are asks for several
 *   host_unmatched         404: no ask of the tasks held here is for that host: git asks somebody else
 *   task_ambiguous         409: several tasks could be meant; name one
 *   opening_refused        403: `mayfly exec` holds one task, opens no others and asks for nothing more
 *   evidence_unavailable   503: what would prove to the broker what this is cannot be had
 *   approval_pending       409: humans are asked; `approvals` has the ids
 *   ask_over               403: the ask was denied, has expired or was cancelled
 *   task_not_active        409: the task has ended
 *   rejected_too_often     429: its provider refuses one after the other; nothing more is minted for a while
 *   tasks_full             409: as many tasks are held as may be
 *   broker_unreachable     503: no broker answers, or its answer was lost
 *   local_failure          500: a fault of the server
 */
export const LOCAL_CODES = [
  ...['local_unauthorized', 'local_host_refused', 'request_invalid', 'not_found', 'method_not_allowed'],
  ...['ask_unmatched', 'host_unmatched', 'task_ambiguous', 'opening_refused', 'approval_pending'],
  ...['evidence_unavailable', 'ask_over', 'task_not_active', 'ask_contentless', 'repository_unsaid'],
  ...['rejected_too_often', 'tasks_full', 'broker_unreachable', 'local_failure'],
] as const

const text = z.string().min(1).max(SIDECAR_LIMITS.textChars)
const id = z.string().min(1).max(100)

/** As RFC 9396 has it: `type` is the issuer's configured name. */
export const authorizationDetail = z.looseObject({ type: text })

export const openBody = z.strictObject({
  purpose: text,
  asks: z.array(authorizationDetail).max(SIDECAR_LIMITS.asks).default([]),
  minutes: z.int().positive().optional(),
  agent: text.optional(),
  justification: text.optional(),
  heartbeat_seconds: z.int().positive().optional(),
  /** How many credentials an approval is to be good for. */
  mints: z.int().positive().optional(),
  confidence: z.int().min(0).max(100).optional(),
  urgency: z.enum(['low', 'normal', 'high']).optional(),
})

export const askBody = z.strictObject({
  authorization_details: authorizationDetail,
  justification: text.optional(),
  mints: z.int().positive().optional(),
  confidence: z.int().min(0).max(100).optional(),
  urgency: z.enum(['low', 'normal', 'high']).optional(),
})

/** As git's credential protocol has it; `path` is sent where `credential.useHttpPath` is set. */
const gitWanted = z.strictObject({ protocol: text, host: text, path: z.string().max(2_000).optional() })

/**
 * Which credential: by its handle; by an ask that a task holds already, member for member as it was asked or
 * granted; or by the repository that git wants to reach. `task` is needed only where several could be meant.
 */
export const credentialBody = z.union([
  z.strictObject({ task: id.optional(), handle: id }),
  z.strictObject({ task: id.optional(), authorization_details: authorizationDetail }),
  z.strictObject({ task: id.optional(), git: gitWanted }),
])

/** `sha256`: of the secret that was refused, hex; of its JSON text as it came where it has parts. */
export const rejectedBody = z.strictObject({ handle: id, sha256: z.string().regex(/^[0-9a-f]{64}$/) })

export const completeBody = z.strictObject({
  outcome: z.enum(['completed', 'failed', 'cancelled']),
  detail: text.optional(),
})

export const waitQuery = z.strictObject({
  wait: z.coerce.number().int().min(0).max(SIDECAR_LIMITS.waitSeconds).optional(),
})

export const askAnswer = z.object({
  handle: id,
  /** As the issuer understood it. */
  authorization_details: authorizationDetail,
  kind: z.enum(['github', 'aws', 'other']),
  /** The host of its provider's web pages (`github.com`), where its issuer knows one. */
  provider: z.string().optional(),
  state: z.enum(['pending', 'granted', 'denied', 'expired', 'cancelled']),
  /** Of an ask that waits for humans, or that they did not grant; `reason` is theirs. */
  approval: z.object({ id, state: z.string(), reason: z.string().nullable() }).optional(),
})

export const taskAnswer = z.object({
  id,
  agent: z.string(),
  purpose: z.string(),
  state: z.enum(['active', 'ended', 'settled']),
  deadline: z.string(),
  /** By which it was opened, for whoever answers for the agent; absent where it was opened elsewhere. */
  decision: z.string().optional(),
  asks: z.array(askAnswer),
})

export const tasksAnswer = z.object({ tasks: z.array(taskAnswer) })

export const credentialAnswer = z.object({
  handle: id,
  task: id,
  /** The issuer's configured name. */
  type: z.string(),
  kind: z.enum(['github', 'aws', 'other']),
  authorization_details: authorizationDetail,
  /** A token, or the provider's parts by name. */
  secret: z.union([z.string(), z.record(z.string(), z.unknown())]),
  /** When Mayfly revokes it at the latest. */
  expires_at: z.string(),
  /** When its provider would. */
  provider_expires_at: z.string(),
})

/** `dropped`: it is forgotten here and being revoked; false where another had taken its place already. */
export const rejectedAnswer = z.object({ dropped: z.boolean() })

/** The URL that a handle is put behind, and what an SDK sends as it stands; it opens nothing else. */
export const awsAnswer = z.object({ url: z.string(), token: z.string() })

export const problemAnswer = z.object({
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  decision: z.string().optional(),
  approvals: z.array(z.string()).optional(),
  retry_after_ms: z.number().optional(),
})

export type OpenBody = z.infer<typeof openBody>
export type AskBody = z.infer<typeof askBody>
export type CredentialBody = z.infer<typeof credentialBody>
export type GitWanted = z.infer<typeof gitWanted>
export type RejectedBody = z.infer<typeof rejectedBody>
export type CompleteBody = z.infer<typeof completeBody>
export type LocalAsk = z.infer<typeof askAnswer>
export type LocalTask = z.infer<typeof taskAnswer>
export type LocalCredential = z.infer<typeof credentialAnswer>
export type LocalProblem = z.infer<typeof problemAnswer>
export type LocalCode = (typeof LOCAL_CODES)[number]
