/** The calls of one task's life, and what may be done with each where its answer is lost. */
import type { Secret } from '../../issuers/shared/secret.ts'
import type { Presented } from './evidence.ts'
import { CLIENT_LIMITS } from './limits.ts'
import type { Statement } from './posture.ts'
import type { Call } from './transport.ts'

/** A task as its holder knows it. */
export type TaskKey = { id: string; token: Secret }
type AskDetail = { readonly type: string; readonly [member: string]: unknown }

/** What the caller says of itself; the broker takes it against the caller only. */
export type Declared = {
  /** In percent. */
  confidence?: number
  urgency?: 'low' | 'normal' | 'high'
}

/** What humans are told, where they are asked. */
export type Wish = {
  justification?: string
  /** How many credentials an approval is to be good for. */
  mints?: number
}

export type OpenOptions = Declared &
  Wish & {
    /** What the task is for, in words for people. */
    purpose: string
    /** Where the workload may be several. */
    agent?: string
    minutes?: number
    /** The silence after which the task lapses; the broker's choice unless told. */
    heartbeatSeconds?: number
    /** Beside a CI job: until the client or the job ends it (`step`), the job's end, or the whole run's end. */
    lifetime?: 'step' | 'job' | 'run'
    /** From the parent task, where this is a sub-agent. */
    ticket?: Secret | string
    /** The ID token of the human on whose behalf; good once. */
    onBehalfOf?: Secret | string
  }

export type Outcome = 'completed' | 'failed' | 'cancelled'

export function openCall(
  evidence: Presented,
  asks: readonly AskDetail[],
  options: OpenOptions,
  statements: readonly Statement[] = [],
): Call {
  const { purpose, agent, minutes, heartbeatSeconds, lifetime, ticket, onBehalfOf } = options
  const body = {
    evidence: typeof evidence === 'string' ? { type: 'jwt', token: evidence } : { type: evidence.type },
    purpose,
    authorization_details: asks,
    ...(statements.length === 0 ? {} : { posture: statements }),
    ...(agent === undefined ? {} : { agent }),
    ...(minutes === undefined ? {} : { minutes }),
    ...(heartbeatSeconds === undefined ? {} : { heartbeat_seconds: heartbeatSeconds }),
    ...(lifetime === undefined ? {} : { lifetime }),
    ...(ticket === undefined ? {} : { ticket: plain(ticket) }),
    ...(onBehalfOf === undefined ? {} : { on_behalf_of: { type: 'jwt', token: plain(onBehalfOf) } }),
    ...declared(options),
    ...wish(options),
  }
  return { method: 'POST', path: '/v1/tasks', body, whenLost: 'reopen' }
}

/** A lost answer is not asked for again: the credential it spoke of is in the ledger and dies with the task. */
export function mintCall(
  { id, token }: TaskKey,
  what: { ask: string } | ({ authorization_details: readonly [AskDetail] } & Declared & Wish),
): Call {
  const body =
    'ask' in what
      ? { ask: what.ask }
      : { authorization_details: what.authorization_details, ...declared(what), ...wish(what) }
  return { method: 'POST', path: `${pathOf(id)}/credentials`, token, body, whenLost: 'never' }
}

/** It is revoked, and the task goes on. One that is gone already is told as it is. */
export function giveBackCall({ id, token }: TaskKey, lease: string): Call {
  const path = `${pathOf(id)}/credentials/${encodeURIComponent(lease)}`
  return { method: 'DELETE', path, token, whenLost: 'repeat' }
}

export function readCall({ id, token }: TaskKey): Call {
  return { method: 'GET', path: pathOf(id), token, whenLost: 'repeat' }
}

/** Answered when humans have, or after so many seconds; the broker may have had no place for one more that waits. */
export function waitCall(task: TaskKey, seconds: number): Call {
  return {
    ...readCall(task),
    prefer: `wait=${Math.min(seconds, CLIENT_LIMITS.waitSeconds)}`,
    deadlineMs: CLIENT_LIMITS.callMs + CLIENT_LIMITS.waitSeconds * 1_000,
  }
}

export function heartbeatCall({ id, token }: TaskKey, statements?: readonly Statement[]): Call {
  const body = statements === undefined ? {} : { body: { posture: statements } }
  return { method: 'POST', path: `${pathOf(id)}/heartbeat`, token, ...body, whenLost: 'repeat' }
}

/** The new deadline counts from when the broker takes it: a second call moves it by the time between them. */
export function extendCall({ id, token }: TaskKey, body: { minutes: number; reason: string }): Call {
  return { method: 'POST', path: `${pathOf(id)}/extend`, token, body, whenLost: 'repeat' }
}

/** The first end stands; another call is told of it. */
export function completeCall({ id, token }: TaskKey, outcome: Outcome, detail?: string): Call {
  const body = { outcome, ...(detail === undefined ? {} : { detail }) }
  return { method: 'POST', path: `${pathOf(id)}/complete`, token, body, whenLost: 'repeat' }
}

/** A lost ticket was used by nobody and goes with its time, but counts until then. */
export function ticketCall(
  { id, token }: TaskKey,
  body: { agent: string; minutes: number; authorization_details: readonly AskDetail[] },
): Call {
  return { method: 'POST', path: `${pathOf(id)}/tickets`, token, body, whenLost: 'never' }
}

export function receiptCall({ id, token }: TaskKey): Call {
  return {
    ...{ method: 'GET', path: `${pathOf(id)}/receipt`, token },
    whenLost: 'repeat',
  }
}

function plain(token: Secret | string): string {
  return typeof token === 'string' ? token : token.reveal()
}

/** An id may come from a file. */
function pathOf(id: string): string {
  return `/v1/tasks/${encodeURIComponent(id)}`
}

export function declared({ confidence, urgency }: Declared): Declared {
  return {
    ...(confidence === undefined ? {} : { confidence }),
    ...(urgency === undefined ? {} : { urgency }),
  }
}

function wish({ justification, mints }: Wish): Wish {
  return {
    ...(justification === undefined ? {} : { justification }),
    ...(mints === undefined ? {} : { mints }),
  }
}
