/** Calls to the broker's HTTP API, with a deadline, and repeated only where that is safe. */
import { z } from 'zod'
import type { Secret } from '../../issuers/shared/secret.ts'
import { CLI_LIMITS } from './limits.ts'
import { readCapped } from './read-capped.ts'
import { BrokerRefusal, brokerUnreachable, type Problem } from './refusal.ts'
import { CommandError, EXIT, sleep, type Terminal } from './terminal.ts'

export type Call = {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  token?: Secret
  body?: unknown
  /**
   * What to do when an answer is lost. `repeat`: the call changes nothing the second time. `reopen`: the
   * broker replaces the task that the lost answer spoke of, if it is asked again after a moment with the same
   * evidence and body. `never`: the second call would do it again.
   */
  whenLost: 'repeat' | 'reopen' | 'never'
  /** RFC 7240: what the broker may do for us, `wait=30`. */
  prefer?: string
  /** Of one attempt; CLI_LIMITS.callMs unless told. */
  deadlineMs?: number
  /** Gives up at once. */
  signal?: AbortSignal
}

export type Client = {
  /** The broker's origin. */
  url: string
  /** @throws BrokerRefusal, CommandError (unavailable) */
  call<T>(call: Call, answer: z.ZodType<T>): Promise<T>
}

type Outcome =
  | { kind: 'answer'; status: number; text: string; retryAfterMs: number | undefined }
  | { kind: 'unsent'; cause: unknown }
  | { kind: 'lost'; cause: unknown }

export function createClient(terminal: Pick<Terminal, 'fetch' | 'schedule'>, url: string): Client {
  return {
    url,
    async call(call, answer) {
      for (let attempt = 1; ; attempt += 1) {
        const outcome = await send(terminal.fetch, url, call)
        if (outcome.kind === 'answer' && outcome.status < 300) return read(url, outcome.text, answer)
        const wait = attempt < CLI_LIMITS.attempts ? waitBefore(outcome, call, attempt) : undefined
        if (wait === undefined || call.signal?.aborted === true) throw failure(url, outcome)
        await sleep(terminal, wait)
      }
    },
  }
}

async function send(fetch: Terminal['fetch'], url: string, call: Call): Promise<Outcome> {
  const deadline = AbortSignal.timeout(call.deadlineMs ?? CLI_LIMITS.callMs)
  try {
    const response = await fetch(url + call.path, {
      method: call.method,
      redirect: 'error',
      signal: call.signal === undefined ? deadline : AbortSignal.any([deadline, call.signal]),
      headers: {
        accept: 'application/json',
        ...(call.prefer === undefined ? {} : { prefer: call.prefer }),
        ...(call.token === undefined ? {} : { authorization: `Bearer ${call.token.reveal()}` }),
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    })
    const seconds = response.headers.get('retry-after') ?? ''
    return {
      kind: 'answer',
      status: response.status,
      text: await readCapped(response, CLI_LIMITS.answerBytes),
      retryAfterMs: /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1_000 : undefined,
    }
  } catch (cause) {
    return { kind: causeCode(cause) === 'ECONNREFUSED' ? 'unsent' : 'lost', cause }
  }
}

/** Undefined: do not try again. */
function waitBefore(outcome: Outcome, { whenLost }: Call, attempt: number): number | undefined {
  const backoff = CLI_LIMITS.backoffBaseMs * 2 ** (attempt - 1)
  if (outcome.kind === 'unsent') return backoff
  const atLeast = whenLost === 'reopen' ? CLI_LIMITS.reopenMs : 0
  if (outcome.kind === 'lost') return whenLost === 'never' ? undefined : Math.max(atLeast, backoff)
  if (outcome.status !== 503 || outcome.retryAfterMs === undefined) return undefined
  return outcome.retryAfterMs > CLI_LIMITS.retryAfterMs ? undefined : Math.max(atLeast, outcome.retryAfterMs)
}

function read<T>(url: string, text: string, answer: z.ZodType<T>): T {
  const parsed = answer.safeParse(json(text))
  if (parsed.success) return parsed.data
  // Paths only: the values may be secrets.
  const where = parsed.error.issues.map(issue => issue.path.join('.') || 'the whole').slice(0, 5)
  throw new CommandError(
    `${url} answered, but not as this version of mayfly expects (${where.join(', ')}).\n` +
      '  Is it a Mayfly broker, and of the same version?',
    { exitCode: EXIT.failure },
  )
}

const problemShape = z.looseObject({
  title: z.string(),
  detail: z.string(),
  code: z.string(),
  decision: z.string().optional(),
})

function failure(url: string, outcome: Outcome): CommandError {
  if (outcome.kind !== 'answer') return brokerUnreachable(url, causeCode(outcome.cause), outcome.cause)
  const problem = problemShape.safeParse(json(outcome.text))
  const told: Problem = problem.success
    ? problem.data
    : { title: 'The answer is not from a Mayfly broker', detail: `status ${outcome.status}`, code: 'foreign' }
  return new BrokerRefusal(outcome.status, told, outcome.retryAfterMs)
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function causeCode(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.cause === undefined ? error.name : causeCode(error.cause)
}
