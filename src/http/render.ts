/** Rows and credentials as the wire shows them. Times are RFC 3339; secrets leave here and nowhere else. */

import type { Credential } from '../broker/credentials/issue-credential.ts'
import { humanOf, shownHuman } from '../broker/people/human.ts'
import type { SignedReceipt } from '../broker/proof/read-receipt.ts'
import type { RevocationPreview } from '../broker/revocations/preview-revocation.ts'
import { readReceipt } from '../receipts/verify-receipt.ts'
import type { RevocationProgress } from '../store/ledger.ts'
import type {
  AskRow,
  AuditRow,
  DecisionRow,
  DeliveryRow,
  DrillRow,
  LeaseRow,
  RevocationRow,
  TaskRow,
} from '../store/rows.ts'
import { time } from './time.ts'

/** An ask, and the host of its provider's web pages (`github.com`) where its issuer knows one. */
export type PlacedAsk = AskRow & { provider?: string | undefined }

export function renderTask(task: TaskRow, asks: readonly PlacedAsk[], leases?: readonly LeaseRow[]) {
  return {
    id: task.id,
    state: task.state,
    end: task.end,
    end_detail: task.end_detail,
    agent: task.agent,
    purpose: task.purpose,
    parent: task.parent,
    on_behalf_of: renderHuman(task),
    opened_at: time(task.opened_at),
    deadline: time(task.deadline),
    heartbeat_seconds: task.heartbeat_ms === null ? null : task.heartbeat_ms / 1_000,
    heartbeat_due: time(task.heartbeat_due),
    ended_at: time(task.ended_at),
    settled_at: time(task.settled_at),
    asks: asks.map(renderAsk),
    ...(leases === undefined ? {} : { credentials: leases.map(renderLease) }),
  }
}

/** Null where it runs on nobody's behalf. `id` is what revocations and lists are narrowed by. */
function renderHuman(task: Pick<TaskRow, 'human' | 'human_facts'>) {
  const { human } = humanOf(task)
  return human === undefined ? null : { id: task.human, ...shownHuman(human) }
}

function renderAsk(ask: PlacedAsk) {
  return {
    id: ask.id,
    state: ask.state,
    decision: ask.decision,
    digest: ask.digest,
    ...(ask.provider === undefined ? {} : { provider: ask.provider }),
    authorization_details: { type: ask.issuer, ...(JSON.parse(ask.ask) as object) },
  }
}

/** Everything of a lease but its secret. */
export function renderLease(lease: LeaseRow) {
  return {
    lease: lease.id,
    task: lease.task,
    ask: lease.ask_id,
    agent: lease.agent,
    issuer: lease.issuer,
    state: lease.state,
    closed_as: lease.closed_as,
    revocability: lease.revocability,
    may_leave_access: lease.may_leave_access === 1,
    authorization_details: { type: lease.issuer, ...(JSON.parse(lease.granted) as object) },
    sha256: lease.secret_sha256,
    intended_at: time(lease.intended_at),
    active_at: time(lease.active_at),
    expires_at: time(lease.expires_at),
    provider_expires_at: time(lease.provider_expires_at),
    revoking_at: time(lease.revoking_at),
    revoked_at: time(lease.revoked_at),
    confirmed_dead_at: time(lease.confirmed_dead_at),
    closed_at: time(lease.closed_at),
    attempts: lease.attempts,
    last_error: lease.last_error,
  }
}

/** The one answer that carries a secret: a string, or the provider's several parts as an object. */
export function renderCredential(credential: Credential) {
  const secret = credential.secret.reveal()
  return {
    lease: credential.lease,
    ask: credential.ask,
    issuer: credential.issuer,
    credential: credential.format === 'json' ? (JSON.parse(secret) as object) : secret,
    authorization_details: { type: credential.issuer, ...(credential.granted as object) },
    revocability: credential.revocability,
    expires_at: time(credential.expiresAt),
    provider_expires_at: time(credential.providerExpiresAt),
    details: credential.details,
  }
}

/** `credentials`: how many stand where; each is in one place only, beside `reached`. */
export function renderRevocation({ row, progress }: { row: RevocationRow; progress?: RevocationProgress }) {
  return {
    id: row.id,
    state: row.state,
    filter: JSON.parse(row.filter) as object,
    reason: row.reason,
    by: row.actor,
    hold: row.hold === 1,
    blocking: row.blocking === 1,
    created_at: time(row.created_at),
    finished_at: time(row.finished_at),
    unblocked_at: time(row.unblocked_at),
    unblocked_by: row.unblocked_by,
    tasks_ended: row.tasks_ended,
    ...(progress === undefined ? {} : { credentials: progress }),
  }
}

export function renderPreview(filter: object, { tasks, leases, complete }: RevocationPreview) {
  return {
    dry_run: true,
    filter,
    tasks: tasks.map(({ id, agent, purpose, parent }) => ({ id, agent, purpose, parent })),
    leases: leases.map(renderLease),
    complete,
  }
}

/** The JWS is the receipt; what stands beside it is for people. */
export function renderReceipt({ task, jws, sha256, signedAt }: SignedReceipt) {
  return { task, receipt: jws, sha256, signed_at: time(signedAt), content: readReceipt(jws) }
}

export function renderDrill({ started_at, deadline, finished_at, ...row }: DrillRow) {
  return {
    ...row,
    started_at: time(started_at),
    deadline: time(deadline),
    finished_at: time(finished_at),
  }
}

export function renderDelivery(row: DeliveryRow) {
  return { ...row, created_at: time(row.created_at), due_at: time(row.due_at), done_at: time(row.done_at) }
}

/** `reasons` and `facts` are for owners and operators; no secret and no evidence is in them. */
export function renderDecision({ reasons, facts, decided_at, ...row }: DecisionRow) {
  return {
    ...row,
    decided_at: time(decided_at),
    reasons: JSON.parse(reasons) as string[],
    facts: JSON.parse(facts) as Record<string, unknown>,
  }
}

export function renderAudit(row: AuditRow) {
  return { ...row, at: time(row.at), data: JSON.parse(row.data) as Record<string, unknown> }
}
