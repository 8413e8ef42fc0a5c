/** What the simulated ledger keeps: every table of the real one, by its key. */
import type {
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
  KnownAgentRow,
  LeakRow,
  LeaseRow,
  OperatorSessionRow,
  OperatorTokenRow,
  PreapprovalRow,
  ReceiptRow,
  RegistryRow,
  ResourceRow,
  ResourceSecretRow,
  RevocationRow,
  SecretAlertRow,
  SecretPrintRow,
  ShadowDifferenceRow,
  SigningKeyRow,
  TaskRow,
  TaskWorkRow,
  TicketRow,
  VoteRow,
  WorkRow,
} from '../../../src/store/rows.ts'

/** The whole line of one task: its ancestors root first, without itself. */
export type LineRow = { task: string; ancestors: readonly string[] }

export type SimTables = {
  agents: KnownAgentRow
  tasks: TaskRow
  lines: LineRow
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
  revocation_leases: { revocation: string; lease: string }
  shadow_differences: ShadowDifferenceRow
  secret_prints: SecretPrintRow
  leaks: LeakRow
  secret_alerts: SecretAlertRow
  signing_keys: SigningKeyRow
  operator_tokens: OperatorTokenRow
  operator_sessions: OperatorSessionRow
  changes: ChangeRow
  registry: RegistryRow
  resources: ResourceRow
  file_sets: FileSetRow
  resource_secrets: ResourceSecretRow
  meta: { key: string; value: string }
  audit: AuditRow
}
export type TableName = keyof SimTables

export const tableNames: readonly TableName[] = [
  'agents',
  'tasks',
  'lines',
  'task_works',
  'works',
  'evidence',
  'tickets',
  'decisions',
  'asks',
  'approvals',
  'approval_votes',
  'preapprovals',
  'check_ins',
  'leases',
  'claims',
  'budgets',
  'budget_holds',
  'receipts',
  'deliveries',
  'drills',
  'revocations',
  'revocation_leases',
  'shadow_differences',
  'secret_prints',
  'leaks',
  'secret_alerts',
  'signing_keys',
  'operator_tokens',
  'operator_sessions',
  'changes',
  'registry',
  'resources',
  'file_sets',
  'resource_secrets',
  'meta',
  'audit',
]

/** One row as a transaction left it. `before` or `after` is undefined where it was inserted or deleted. */
export type Change = {
  [Name in TableName]: {
    table: Name
    key: string
    before: SimTables[Name] | undefined
    after: SimTables[Name] | undefined
  }
}[TableName]
