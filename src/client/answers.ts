/** What the broker answers, as far as it is looked into. Nothing of an answer is quoted in an error. */
import { Secret } from '../../issuers/shared/secret.ts'
import { MayflyError } from './mayfly-error.ts'

export type AskState = 'pending' | 'granted' | 'denied' | 'expired' | 'cancelled'
export type TaskState = 'active' | 'ended' | 'settled'

/** As the issuer understood it: names with ids, defaults written out. */
export type Detail = { readonly type: string; readonly [member: string]: unknown }
export type AskAnswer = {
  id: string
  state: AskState
  authorizationDetails: Detail
  /** The host of its provider's web pages (`github.com`), where its issuer knows one. */
  provider?: string
}
/** Of an ask that humans are asked about; `reason` is theirs. */
export type Approval = { id: string; ask: string; state: string; reason: string | null }

/** One credential as the ledger has it, without its secret. Times are RFC 3339. */
export type Lease = {
  lease: string
  issuer: string
  state: 'intended' | 'active' | 'revoking' | 'closed'
  closedAs: string | null
  revocability: string
  authorizationDetails: Detail
  expiresAt: string | null
  providerExpiresAt: string | null
}

/** A task as the broker has it. `end`: how it ended (completed, failed, cancelled, lapsed, expired, revoked). */
export type TaskStatus = {
  id: string
  agent: string
  purpose: string
  state: TaskState
  end: string | null
  openedAt: Date
  deadline: Date
  heartbeatSeconds: number | null
  asks: AskAnswer[]
  approvals: Approval[]
  credentials: Lease[]
}

export type Opened = { task: TaskStatus; token: Secret; decision: string }

export type CredentialAnswer = {
  lease: string
  ask: string
  issuer: string
  /** The secret itself, in the provider's parts. */
  credential: unknown
  authorizationDetails: Detail
  revocability: string
  expiresAt: Date
  providerExpiresAt: Date
  details: Details
}

/** Plain facts that an issuer tells of a credential (`installation_id`, `account`); never secret. */
export type Details = Readonly<Record<string, string | number>>

/** A new ask may wait for humans. */
export type AskedAnswer = { pending: { ask: string; approval: string } } | { minted: CredentialAnswer }

export function readOpened(answer: unknown): Opened {
  const at = members(answer, '')
  return {
    task: readTask(at.task),
    token: new Secret(text(at, 'task_token')),
    decision: text(at, 'decision'),
  }
}

export function readTask(answer: unknown): TaskStatus {
  const at = members(answer, 'task')
  return {
    ...{ id: text(at, 'id'), agent: text(at, 'agent'), purpose: text(at, 'purpose') },
    state: text(at, 'state') as TaskState,
    end: textOrNull(at, 'end'),
    openedAt: time(at, 'opened_at'),
    deadline: time(at, 'deadline'),
    heartbeatSeconds: typeof at.heartbeat_seconds === 'number' ? at.heartbeat_seconds : null,
    asks: list(at, 'asks').map(one => ({
      id: text(one, 'id'),
      state: text(one, 'state') as AskState,
      authorizationDetails: detail(one),
      ...(typeof one.provider === 'string' && { provider: one.provider }),
    })),
    approvals: list(at, 'approvals').map(one => ({
      ...{ id: text(one, 'id'), ask: text(one, 'ask'), state: text(one, 'state') },
      reason: textOrNull(one, 'reason'),
    })),
    credentials: list(at, 'credentials').map(readLease),
  }
}

export function readAsked(answer: unknown): AskedAnswer {
  const at = members(answer, '')
  if (at.status === 'approval_pending')
    return { pending: { ask: text(at, 'ask'), approval: text(at, 'approval') } }
  return { minted: readCredential(answer) }
}

export function readCredential(answer: unknown): CredentialAnswer {
  const at = members(answer, '')
  if (at.credential === undefined) throw unexpected('credential')
  return {
    ...{ lease: text(at, 'lease'), ask: text(at, 'ask'), issuer: text(at, 'issuer') },
    credential: at.credential,
    authorizationDetails: detail(at),
    revocability: text(at, 'revocability'),
    expiresAt: time(at, 'expires_at'),
    providerExpiresAt: time(at, 'provider_expires_at'),
    details: Object.fromEntries(Object.entries(members(at.details ?? {}, 'details')).filter(isFact)),
  }
}

/** What a later broker may tell besides is none. */
function isFact(entry: [string, unknown]): entry is [string, string | number] {
  return typeof entry[1] === 'string' || typeof entry[1] === 'number'
}

export function readTicket(answer: unknown): { ticket: Secret; id: string; expiresAt: Date } {
  const at = members(answer, '')
  return { ticket: new Secret(text(at, 'ticket')), id: text(at, 'id'), expiresAt: time(at, 'expires_at') }
}

/** The time under one name; null where there is none to be met. */
export function readTime(answer: unknown, name: string): Date | null {
  const at = members(answer, '')
  return at[name] === null ? null : time(at, name)
}

export function readText(answer: unknown, name: string): string {
  return text(members(answer, ''), name)
}

function readLease(at: Members): Lease {
  return {
    ...{ lease: text(at, 'lease'), issuer: text(at, 'issuer'), revocability: text(at, 'revocability') },
    state: text(at, 'state') as Lease['state'],
    closedAs: textOrNull(at, 'closed_as'),
    authorizationDetails: detail(at),
    expiresAt: textOrNull(at, 'expires_at'),
    providerExpiresAt: textOrNull(at, 'provider_expires_at'),
  }
}

type Members = Readonly<Record<string, unknown>>

function members(value: unknown, name: string): Members {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members
  throw unexpected(name)
}

function text(at: Members, name: string): string {
  const value = at[name]
  if (typeof value === 'string') return value
  throw unexpected(name)
}

function textOrNull(at: Members, name: string): string | null {
  return at[name] === null || at[name] === undefined ? null : text(at, name)
}

function time(at: Members, name: string): Date {
  const date = new Date(text(at, name))
  if (Number.isNaN(date.getTime())) throw unexpected(name)
  return date
}

function detail(at: Members): Detail {
  const value = members(at.authorization_details, 'authorization_details')
  return { ...value, type: text(value, 'type') }
}

/** Absent is empty. */
function list(at: Members, name: string): Members[] {
  const value = at[name] ?? []
  if (Array.isArray(value)) return value.map(one => members(one, name))
  throw unexpected(name)
}

/** Names only: the values may be secrets. */
function unexpected(name: string): MayflyError {
  return new MayflyError(
    `the broker answered, but not as this version expects (${name || 'the whole'}). Is it of the same version?`,
    { code: 'answer_unexpected' },
  )
}
