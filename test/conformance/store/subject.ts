/** What a store check is given, and the rows that checks are made of. */
import type { Ledger } from '../../../src/store/ledger.ts'
import type {
  AgentRow,
  AskRow,
  DecisionRow,
  EvidenceRow,
  LeaseRow,
  OperatorTokenRow,
  SigningKeyRow,
  TaskRow,
  TicketRow,
} from '../../../src/store/rows.ts'

export type StoreSubject = {
  ledger: Ledger
  /** Sets the ledger's clock, epoch ms. */
  setNow(ms: number): void
  /** Closes the ledger and opens the same one again. */
  reopen(): Promise<Ledger>
  /** Closes whichever is open and removes what it left. */
  close(): Promise<void>
}

/** One rule of the contract. `run` is given an empty ledger whose clock stands at {@link start}; it throws where the rule is broken. */
export type StoreCheck = { name: string; run: (subject: StoreSubject) => Promise<void> }

export const start = 1_800_000_000_000
export const minute = 60_000

export function agent(name: string, over: Partial<AgentRow> = {}): AgentRow {
  return { name, digest: 'digest', document: '{}', status: 'active', updated_at: start, mac: 'mac', ...over }
}

export function task(id: string, over: Partial<TaskRow> = {}): TaskRow {
  return {
    id,
    parent: null,
    root: id,
    depth: 0,
    agent: 'builder',
    agent_digest: 'digest',
    system: 0,
    state: 'active',
    end: null,
    end_detail: null,
    purpose: 'build',
    identity: '{}',
    evidence: null,
    ticket: null,
    bound_key: null,
    read_only: 0,
    human: null,
    human_facts: null,
    token_hash: `hash of ${id}`,
    token_used_at: null,
    opened_at: start,
    deadline: start + 60 * minute,
    heartbeat_ms: null,
    heartbeat_due: null,
    ended_at: null,
    settled_at: null,
    mac: 'mac',
    ...over,
  }
}

/** An intended lease, due when nothing minted under it can be alive. */
export function lease(id: string, of: string, over: Partial<LeaseRow> = {}): LeaseRow {
  return {
    id,
    task: of,
    ask_id: 'ask',
    agent: 'builder',
    issuer: 'github',
    state: 'intended',
    closed_as: null,
    revocability: 'immediate',
    phase: 'read',
    granted: '{"wanted":true}',
    may_leave_access: 0,
    intended_at: start,
    mint_not_after: start + minute,
    dead_by: start + 70 * minute,
    active_at: null,
    expires_at: start + 30 * minute,
    provider_expires_at: null,
    revoking_at: null,
    due_at: start + 70 * minute,
    attempts: 0,
    last_error: null,
    fence: 0,
    claimed_until: null,
    sealed_secret: null,
    secret_sha256: null,
    revoked_at: null,
    confirmed_dead_at: null,
    closed_at: null,
    revocation_group: null,
    proof: null,
    ...over,
  }
}

/** An active lease with its secret. */
export function activeLease(id: string, of: string, over: Partial<LeaseRow> = {}): LeaseRow {
  return lease(id, of, {
    state: 'active',
    active_at: start,
    provider_expires_at: start + 60 * minute,
    due_at: start + 30 * minute,
    sealed_secret: new Uint8Array([1, 2, 3]),
    secret_sha256: `sha of ${id}`,
    ...over,
  })
}

/** A lease that is being revoked, and due now. */
export function revokingLease(id: string, of: string, over: Partial<LeaseRow> = {}): LeaseRow {
  return activeLease(id, of, { state: 'revoking', revoking_at: start, due_at: start, ...over })
}

export function evidence(id: string, over: Partial<EvidenceRow> = {}): EvidenceRow {
  return {
    id,
    task: 'task',
    request_digest: 'request',
    bound_key: null,
    used_at: start,
    until: start + minute,
    ...over,
  }
}

export function ticket(id: string, over: Partial<TicketRow> = {}): TicketRow {
  return {
    id,
    parent_task: 'parent',
    agent: 'builder',
    asks: '[]',
    minutes: 5,
    token_hash: `hash of ${id}`,
    state: 'open',
    redeemed_by: null,
    created_at: start,
    expires_at: start + minute,
    mac: 'mac',
    ...over,
  }
}

export function decision(id: string, over: Partial<DecisionRow> = {}): DecisionRow {
  return {
    id,
    task: null,
    agent: 'builder',
    outcome: 'allow',
    policy_hash: null,
    reasons: '[]',
    facts: '{}',
    decided_at: start,
    ...over,
  }
}

export function ask(id: string, of: string, over: Partial<AskRow> = {}): AskRow {
  return {
    id,
    task: of,
    issuer: 'github',
    ask: '{}',
    digest: 'digest',
    state: 'granted',
    decision: 'decision',
    created_at: start,
    ...over,
  }
}

export function signingKey(kid: string, over: Partial<SigningKeyRow> = {}): SigningKeyRow {
  return {
    kid,
    purpose: 'task-jwt',
    state: 'next',
    public_jwk: '{}',
    sealed_private: new Uint8Array([9, 0, 255]),
    created_at: start,
    signing_from: null,
    superseded_at: null,
    retire_at: null,
    mac: 'mac',
    ...over,
  }
}

export function operatorToken(id: string, over: Partial<OperatorTokenRow> = {}): OperatorTokenRow {
  return {
    id,
    name: 'first',
    token_hash: `hash of ${id}`,
    created_at: start,
    expires_at: start + minute,
    mac: 'mac',
    ...over,
  }
}

/** Tasks a > b > c, and d beside them. */
export async function family(ledger: Ledger): Promise<void> {
  await ledger.write(async tx => {
    await tx.insertTask(task('a'), [])
    await tx.insertTask(task('b', { parent: 'a', root: 'a', depth: 1 }), ['a'])
    await tx.insertTask(task('c', { parent: 'b', root: 'a', depth: 2 }), ['a', 'b'])
    await tx.insertTask(task('d'), [])
  })
}

/** Task `t` with these leases. */
export async function holding(ledger: Ledger, ...leases: LeaseRow[]): Promise<void> {
  await ledger.write(async tx => {
    await tx.insertTask(task('t'), [])
    for (const each of leases) await tx.insertLease(each)
  })
}

export const ids = (rows: readonly { id: string }[]): string[] => rows.map(row => row.id)
