/**
 * A caller as it should be: a lost answer, an outage and a limit are tried again with the same request, after
 * as long as the broker asked for. Waiting moves the installation's clock.
 */
import type { Clock } from '../fakes/installation.ts'
import type { FaultPlan } from './fault-plan.ts'

export type Reply = {
  /** 0: no answer came, however often it was asked for. */
  status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into member by member, and asserted.
  body: any
}
export type Request = {
  token?: string
  /** User name and password. */
  basic?: readonly [string, string]
  json?: unknown
  form?: Record<string, string>
}
export type Call = (method: 'GET' | 'POST', path: string, request?: Request) => Promise<Reply>

const ATTEMPTS = 4
/** The broker's floor for the same evidence: what comes earlier looks like a race and not like a retry. */
const LOST_WAIT_MS = 1_000

export function retryingClient(url: string, clock: Clock, plan: FaultPlan): Call {
  return async (method, path, request = {}) => {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await send(url + path, method, request)
      const lost = plan.ask({ kind: 'answer', operation: `${method} ${path}`, when: 'after' }) !== undefined
      const retryAfterMs = Number(answer.headers.get('retry-after') ?? 0) * 1_000
      const reply = lost ? { status: 0, body: undefined } : { status: answer.status, body: answer.body }
      // An outage that does not say when to come back is for the job to stumble over.
      if ((!lost && retryAfterMs === 0) || attempt === ATTEMPTS) return reply
      clock.advance(lost ? LOST_WAIT_MS : retryAfterMs)
    }
  }
}

async function send(url: string, method: string, { token, basic, json, form }: Request) {
  const headers: Record<string, string> = {}
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  if (basic !== undefined) headers.authorization = `Basic ${Buffer.from(basic.join(':')).toString('base64')}`
  if (json !== undefined) headers['content-type'] = 'application/json'
  const body = form === undefined ? JSON.stringify(json) : new URLSearchParams(form)
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: text === '' ? undefined : JSON.parse(text),
  }
}
