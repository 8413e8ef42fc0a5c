/** The tables as Kysely knows them, and each row's columns by name. */
import type { Generated } from 'kysely'
import type {
  AgentRow,
  AgentStanding,
  ApprovalRow,
  AskRow,
  AuditRow,
  BudgetHoldRow,
  BudgetRow,
  ChangeRow,
  CheckInRow,
  ClaimRow,
  DecisionRow,
  DeliveryRow,
  DrillRow,
  EvidenceRow,
  FileSetRow,
  LeaseRow,
  OperatorSessionRow,
  OperatorTokenRow,
  PreapprovalRow,
  ReceiptRow,
  RegistryRow,
  ResourceRow,
  ResourceSecretRow,
  RevocationRow,
  SigningKeyRow,
  TaskRow,
  TaskWorkRow,
  TicketRow,
  VoteRow,
  WorkRow,
} from './rows.ts'

export type Tables = {
  agents: AgentRow & Omit<AgentStanding, 'standing'> & { standing: Generated<AgentStanding['standing']> }
  tasks: TaskRow
  /** The closure of parenthood: one row per task and ancestor; distance 1 is the parent. */
  task_ancestors: { task: string; ancestor: string; distance: number }
  task_works: TaskWorkRow
  works: WorkRow
  evidence: EvidenceRow
  tickets: TicketRow
  decisions: DecisionRow
  asks: AskRow
  approvals: ApprovalRow
  approval_votes: VoteRow
  preapprovals: PreapprovalRow
  check_ins: CheckInRow
  leases: LeaseRow
  claims: ClaimRow
  budgets: BudgetRow
  budget_holds: BudgetHoldRow
  receipts: ReceiptRow
  deliveries: DeliveryRow
  drills: DrillRow
  revocations: RevocationRow
  /** What each run reached. */
  revocation_leases: { revocation: string; lease: string }
  signing_keys: SigningKeyRow
  operator_tokens: OperatorTokenRow
  operator_sessions: OperatorSessionRow
  changes: ChangeRow
  registry: RegistryRow & { id: number }
  resources: ResourceRow
  file_sets: FileSetRow
  resource_secrets: ResourceSecretRow
  meta: { key: string; value: string }
  audit: Omit<AuditRow, 'seq'> & { seq: Generated<number> }
  schema_migrations: { id: number; name: string; applied_at: number }
}

/** Insert statements name exactly these columns, whatever else the object passed may carry. */
export const columns = {
  agents: names<AgentRow>({ name: 1, digest: 1, document: 1, status: 1, updated_at: 1, mac: 1 }),
  tasks: names<TaskRow>({
    id: 1,
    parent: 1,
    root: 1,
    depth: 1,
    agent: 1,
    agent_digest: 1,
    system: 1,
    state: 1,
    end: 1,
    end_detail: 1,
    purpose: 1,
    identity: 1,
    evidence: 1,
    ticket: 1,
    token_hash: 1,
    token_used_at: 1,
    opened_at: 1,
    deadline: 1,
    heartbeat_ms: 1,
    heartbeat_due: 1,
    ended_at: 1,
    settled_at: 1,
    mac: 1,
  }),
  task_works: names<TaskWorkRow>({ task: 1, run_key: 1, job: 1, lifetime: 1, work: 1 }),
  evidence: names<EvidenceRow>({ id: 1, task: 1, request_digest: 1, used_at: 1, until: 1 }),
  tickets: names<TicketRow>({
    id: 1,
    parent_task: 1,
    agent: 1,
    asks: 1,
    minutes: 1,
    token_hash: 1,
    state: 1,
    redeemed_by: 1,
    created_at: 1,
    expires_at: 1,
    mac: 1,
  }),
  decisions: names<DecisionRow>({
    id: 1,
    task: 1,
    agent: 1,
    outcome: 1,
    policy_hash: 1,
    reasons: 1,
    facts: 1,
    decided_at: 1,
  }),
  asks: names<AskRow>({
    id: 1,
    task: 1,
    issuer: 1,
    ask: 1,
    digest: 1,
    state: 1,
    decision: 1,
    created_at: 1,
  }),
  approvals: names<ApprovalRow>({
    id: 1,
    task: 1,
    ask: 1,
    agent: 1,
    issuer: 1,
    document: 1,
    digest: 1,
    requires: 1,
    mints: 1,
    created_at: 1,
    expires_at: 1,
    mac: 1,
    state: 1,
    minted: 1,
    closed_at: 1,
    closed_by: 1,
    reason: 1,
  }),
  approval_votes: names<VoteRow>({
    approval: 1,
    human: 1,
    name: 1,
    groups: 1,
    owner: 1,
    voted_at: 1,
    preapproval: 1,
    mac: 1,
  }),
  preapprovals: names<PreapprovalRow>({
    id: 1,
    agent: 1,
    agent_digest: 1,
    issuer: 1,
    issuer_digest: 1,
    ask: 1,
    digest: 1,
    human: 1,
    name: 1,
    groups: 1,
    reason: 1,
    uses: 1,
    created_at: 1,
    expires_at: 1,
    mac: 1,
    used: 1,
    revoked_at: 1,
    revoked_by: 1,
  }),
  check_ins: names<CheckInRow>({ task: 1, every_ms: 1, due_at: 1, last_by: 1 }),
  leases: names<LeaseRow>({
    id: 1,
    task: 1,
    ask_id: 1,
    agent: 1,
    issuer: 1,
    state: 1,
    closed_as: 1,
    revocability: 1,
    phase: 1,
    granted: 1,
    may_leave_access: 1,
    intended_at: 1,
    mint_not_after: 1,
    dead_by: 1,
    active_at: 1,
    expires_at: 1,
    provider_expires_at: 1,
    revoking_at: 1,
    due_at: 1,
    attempts: 1,
    last_error: 1,
    fence: 1,
    claimed_until: 1,
    sealed_secret: 1,
    secret_sha256: 1,
    revoked_at: 1,
    confirmed_dead_at: 1,
    closed_at: 1,
    revocation_group: 1,
    proof: 1,
  }),
  budget_holds: names<BudgetHoldRow>({ holder: 1, key: 1, amount: 1, until: 1 }),
  deliveries: names<DeliveryRow>({
    id: 1,
    webhook: 1,
    event: 1,
    task: 1,
    about: 1,
    state: 1,
    created_at: 1,
    due_at: 1,
    attempts: 1,
    last_error: 1,
    done_at: 1,
  }),
  drills: names<DrillRow>({
    id: 1,
    issuer: 1,
    actor: 1,
    state: 1,
    revocability: 1,
    started_at: 1,
    deadline: 1,
    finished_at: 1,
    task: 1,
    lease: 1,
    proof: 1,
    mint_ms: 1,
    revoke_ms: 1,
    dead_ms: 1,
    detail: 1,
  }),
  revocations: names<RevocationRow>({
    id: 1,
    filter: 1,
    actor: 1,
    reason: 1,
    hold: 1,
    state: 1,
    blocking: 1,
    created_at: 1,
    cursor: 1,
    tasks_ended: 1,
    finished_at: 1,
    unblocked_at: 1,
    unblocked_by: 1,
  }),
  signing_keys: names<SigningKeyRow>({
    kid: 1,
    purpose: 1,
    state: 1,
    public_jwk: 1,
    sealed_private: 1,
    created_at: 1,
    signing_from: 1,
    superseded_at: 1,
    retire_at: 1,
    mac: 1,
  }),
  resources: names<ResourceRow>({
    kind: 1,
    name: 1,
    version: 1,
    namespace: 1,
    managed_by: 1,
    state: 1,
    current: 1,
    document: 1,
    digest: 1,
    generation: 1,
    actor: 1,
    reason: 1,
    at: 1,
    mac: 1,
  }),
  resource_secrets: names<ResourceSecretRow>({ kind: 1, resource: 1, name: 1, sealed: 1, at: 1 }),
  operator_sessions: names<OperatorSessionRow>({
    id: 1,
    issuer: 1,
    subject: 1,
    name: 1,
    groups: 1,
    token_hash: 1,
    created_at: 1,
    expires_at: 1,
    mac: 1,
    ended_at: 1,
    ended_by: 1,
  }),
  changes: names<ChangeRow>({
    id: 1,
    kind: 1,
    document: 1,
    digest: 1,
    reason: 1,
    proposer: 1,
    proposed_by: 1,
    created_at: 1,
    expires_at: 1,
    mac: 1,
    state: 1,
    decided_at: 1,
    decided_by: 1,
    detail: 1,
  }),
  operator_tokens: names<OperatorTokenRow>({
    id: 1,
    name: 1,
    token_hash: 1,
    created_at: 1,
    expires_at: 1,
    mac: 1,
  }),
} as const

/** The record makes the compiler ask for a new column here. */
function names<Row>(all: Record<keyof Row, 1>): readonly (keyof Row)[] {
  return Object.keys(all) as (keyof Row)[]
}
