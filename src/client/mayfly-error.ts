/** What goes wrong between a workload and its broker, as one error that says what to do. */
import { CLIENT_LIMITS } from './limits.ts'

/** The members of an RFC 9457 problem document that are used here. */
export type Problem = { title: string; detail: string; code: string; decision?: string | undefined }

/**
 * `code` is the broker's (docs/client.md lists those that matter), or one of the client's own:
 *
 *   unreachable          nothing was sent: no broker answers there
 *   answer_lost          it was sent, and what came of it is not known
 *   foreign              something answered that is not a Mayfly broker
 *   answer_unexpected    a broker answered, but not as this version expects
 *   url_invalid          no address for a broker
 *   evidence_missing, evidence_unreadable, evidence_unavailable, evidence_malformed
 *   posture_malformed    a file holds no statement
 *   ask_unknown          the ask is not one of the task's
 *
 * The message holds no secret: neither evidence, nor a token, nor what an answer carried.
 */
export class MayflyError extends Error {
  override name = 'MayflyError'
  readonly code: string
  /** Of the answer; undefined where there was none. */
  readonly status: number | undefined
  /** Whether the same method may be called again as it was, and may come to something else. */
  readonly retryable: boolean
  /** What the broker asked to wait before that. */
  readonly retryAfterMs: number | undefined
  /** What whoever answers for the agent can look up: quote it to them. */
  readonly decision: string | undefined
  /** As the broker told it; texts from outside, not made inert. */
  readonly problem: Problem | undefined

  constructor(
    message: string,
    options: {
      code: string
      status?: number | undefined
      retryable?: boolean
      retryAfterMs?: number | undefined
      problem?: Problem
      cause?: unknown
    },
  ) {
    super(message, { cause: options.cause })
    this.code = options.code
    this.status = options.status
    this.retryable = options.retryable ?? false
    this.retryAfterMs = options.retryAfterMs
    this.decision = options.problem?.decision
    this.problem = options.problem
  }
}

/** The broker, or a human whom it asked, said no. Asking the same again changes nothing. */
export function isDenied(error: unknown): error is MayflyError {
  if (!(error instanceof MayflyError)) return false
  return error.status === 401 || error.status === 403 || error.code === 'approval_over'
}

/** Humans are asked, and have not answered: `task.waitForApproval()`. */
export function isPending(error: unknown): error is MayflyError {
  return error instanceof MayflyError && error.code === 'approval_pending'
}

/** An outage, or too much at once: nothing was decided. */
export function isUnavailable(error: unknown): error is MayflyError {
  if (!(error instanceof MayflyError)) return false
  const { status, code } = error
  return status === undefined ? NO_ANSWER.has(code) : status === 429 || status >= 502
}

/** The broker's refusal. `advice`: what to do, by code, where it is more than the detail says already. */
export function refused(status: number, problem: Problem, retryAfterMs?: number): MayflyError {
  return new MayflyError(describe(problem, retryAfterMs, ADVICE), {
    ...{ code: problem.code, status, problem, retryAfterMs },
    retryable: status === 429 || status === 503 || problem.code === 'approval_pending',
  })
}

/** One refusal in lines for a person, its control characters taken out. */
export function describe(
  { title, detail, code, decision }: Problem,
  retryAfterMs: number | undefined,
  advice: Readonly<Record<string, string>>,
): string {
  const toDo = Object.hasOwn(advice, code) ? advice[code] : undefined
  return [
    `${inert(title)}: ${inert(detail)} (${inert(code)})`,
    ...(decision === undefined
      ? []
      : [
          `Quote decision ${inert(decision)} to whoever answers for the agent. They see why with:`,
          `  mayfly explain ${inert(decision)}`,
        ]),
    ...(retryAfterMs === undefined ? [] : [`Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`]),
    ...(toDo === undefined ? [] : [toDo]),
  ].join('\n  ')
}

/** Bounded, and without what could drive a terminal. */
export function inert(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, ' ').slice(0, CLIENT_LIMITS.shownChars)
}

export const ADVICE: Readonly<Record<string, string>> = {
  ask_invalid: 'Asks name an issuer of this broker (their type), and what to want of it.',
  evidence_rejected:
    'Evidence must be fresh, not used before, and made for the audience that the broker expects. ' +
    'Why it was refused is in the audit log of the broker.',
  attestation_unavailable:
    "The identity provider's keys could not be had. This is an outage; try again later.",
  agent_unmatched: 'Name the agent if this workload may be several; else have it registered.',
  event_not_allowed: 'The rule of the agent must name this event before it may be used.',
  ask_denied: 'Ask for less, or have whoever answers for the agent allow more.',
  approval_pending: 'Wait for them with task.waitForApproval(), and ask for the credential then.',
  provider_refused: 'The issuer asked, and its provider said no; nothing was created.',
  provider_unavailable: 'Whatever may have been created is in the ledger and dies with the task. Try again.',
  unauthenticated: 'The token is unknown or past its time.',
  task_not_active: 'Open a new task.',
  internal: 'This is a fault of the broker; its log says more.',
  foreign: 'Check the address.',
}

const NO_ANSWER: ReadonlySet<string> = new Set(['unreachable', 'answer_lost', 'evidence_unavailable'])
