/** Calls to the broker's HTTP API, with a deadline, and repeated only where that is safe. */
import type { Secret } from '../../issuers/shared/secret.ts'
import { CLIENT_LIMITS } from './limits.ts'
import { MayflyError, type Problem, refused } from './mayfly-error.ts'
import { readCapped } from './read-capped.ts'
import { sleep, type World } from './world.ts'

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
  /** Of one attempt; CLIENT_LIMITS.callMs unless told. */
  deadlineMs?: number
  /** Gives up at once. */
  signal?: AbortSignal
  /** What was asked for is wanted no longer: tried again only where an attempt may have left something behind. */
  unwanted?: AbortSignal
  /** Told before each attempt. */
  onSend?: () => void
}

type Outcome =
  | { kind: 'answer'; status: number; text: string; retryAfterMs: number | undefined }
  | { kind: 'unsent'; cause: unknown }
  | { kind: 'lost'; cause: unknown }

/** @returns what the answer's JSON holds, or undefined. @throws MayflyError; a signal's reason, once it is aborted */
export async function request(
  world: Pick<World, 'fetch' | 'schedule'>,
  url: string,
  call: Call,
): Promise<unknown> {
  let leftSomething = false
  for (let attempt = 1; ; attempt += 1) {
    call.signal?.throwIfAborted()
    const outcome = await send(world.fetch, url, call)
    if (outcome.kind === 'answer' && outcome.status < 300) return json(outcome.text)
    call.signal?.throwIfAborted()
    leftSomething ||= outcome.kind === 'lost' || (outcome.kind === 'answer' && outcome.status === 503)
    if (!leftSomething) call.unwanted?.throwIfAborted()
    const wait = attempt < CLIENT_LIMITS.attempts ? waitBefore(outcome, call, attempt) : undefined
    if (wait === undefined) throw failure(url, outcome, call)
    await sleep(world, wait, call.signal)
  }
}

async function send(fetch: World['fetch'], url: string, call: Call): Promise<Outcome> {
  const deadline = AbortSignal.timeout(call.deadlineMs ?? CLIENT_LIMITS.callMs)
  call.onSend?.()
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
      text: await readCapped(response, CLIENT_LIMITS.answerBytes),
      retryAfterMs: /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1_000 : undefined,
    }
  } catch (cause) {
    return { kind: isUnsent(cause) ? 'unsent' : 'lost', cause }
  }
}

/** Undefined: do not try again. */
function waitBefore(outcome: Outcome, { whenLost }: Call, attempt: number): number | undefined {
  const backoff = CLIENT_LIMITS.backoffBaseMs * 2 ** (attempt - 1)
  if (outcome.kind === 'unsent') return backoff
  const atLeast = whenLost === 'reopen' ? CLIENT_LIMITS.reopenMs : 0
  if (outcome.kind === 'lost') return whenLost === 'never' ? undefined : Math.max(atLeast, backoff)
  if (outcome.status !== 503 || outcome.retryAfterMs === undefined) return undefined
  return outcome.retryAfterMs > CLIENT_LIMITS.retryAfterMs
    ? undefined
    : Math.max(atLeast, outcome.retryAfterMs)
}

function failure(url: string, outcome: Outcome, { whenLost }: Call): MayflyError {
  switch (outcome.kind) {
    case 'answer':
      return refused(outcome.status, problemOf(outcome), outcome.retryAfterMs)
    case 'unsent':
      return new MayflyError(
        `no broker answers at ${url}: nothing was sent. Check the address, or try later.`,
        {
          ...{ code: 'unreachable', retryable: true, cause: outcome.cause },
        },
      )
    case 'lost':
      return new MayflyError(
        `the broker at ${url} could not be reached, or its answer was lost (${causeCode(outcome.cause)}).\n  ` +
          (whenLost === 'never'
            ? 'What it did is in the ledger and dies with the task; it was not asked a second time.'
            : 'Check the address, the network and the certificate, and try again.'),
        { code: 'answer_lost', retryable: whenLost !== 'never', cause: outcome.cause },
      )
  }
}

function problemOf({ status, text }: { status: number; text: string }): Problem {
  const told = json(text) as Partial<Problem> | null | undefined
  const { title, detail, code, decision } = told ?? {}
  if (typeof title !== 'string' || typeof detail !== 'string' || typeof code !== 'string')
    return { title: 'The answer is not from a Mayfly broker', detail: `status ${status}`, code: 'foreign' }
  return { title, detail, code, ...(typeof decision === 'string' && { decision }) }
}

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Nothing was sent. Node and Bun say so by code; Deno in its message only. */
function isUnsent(cause: unknown): boolean {
  const code = causeCode(cause)
  if (code === 'ECONNREFUSED' || code === 'ConnectionRefused') return true
  const innermost = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return innermost instanceof Error && REFUSED_IN_DENO.test(innermost.message)
}

/** ECONNREFUSED on Linux, macOS and Windows. */
const REFUSED_IN_DENO = /client error \(Connect\): .*\(os error (?:111|61|10061)\)/

/** The innermost code of an error, or its name: a word. */
export function causeCode(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.cause === undefined ? error.name : causeCode(error.cause)
}
