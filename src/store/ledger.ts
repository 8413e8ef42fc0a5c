/**
 * The ledger contract: the only memory. One SQL implementation serves it over two dialects; the simulation
 * serves it in memory.
 *
 * A `write` body runs in one transaction and awaits only its own `tx`. It may run again from the start when
 * the database asks for it, so it has no other effect. What it returns is delivered after COMMIT; if COMMIT
 * fails the caller gets {@link LedgerUnavailable} and knows nothing of the outcome.
 *
 * Under READ COMMITTED, correctness comes from the row locks (`share`, `update`) and from conditional
 * transitions that say which state they leave; a transition that finds another state changes nothing and
 * returns so.
 */
import type { Phase } from '../../issuers/issuer.ts'
import type {
  AgentRow,
  AgentStanding,
  AgentUse,
  ApprovalRow,
  ApprovalState,
  AskRow,
  AskState,
  AuditRow,
  BudgetHoldRow,
  BudgetRow,
  ChangeRow,
  ChangeState,
  CheckInRow,
  ClaimRow,
  DecisionRow,
  DeliveryRow,
  DrillRow,
  EvidenceRow,
  FileSetRow,
  KnownAgentRow,
  LeakRow,
  LeaseClose,
  LeaseRow,
  LeaseState,
  MintingAgentRow,
  OperatorSessionRow,
  OperatorTokenRow,
  PreapprovalRow,
  ReceiptRow,
  RegistryRow,
  ResourceKind,
  ResourceRow,
  ResourceSecretRow,
  RevocationRow,
  SecretAlertRow,
  SecretPrintRow,
  ShadowDifferenceRow,
  SigningKeyRow,
  Standing,
  TaskEnd,
  TaskRow,
  TaskState,
  TaskWorkRow,
  TicketRow,
  VoteRow,
  WorkRow,
} from './rows.ts'

/** The database could not do it, or it is not known whether it did. Safe to retry with the same request. */
export class LedgerUnavailable extends Error {
  override name = 'LedgerUnavailable'
}

/** A page was asked for after something that is not a cursor of that list. */
export class BadCursor extends Error {
  override name = 'BadCursor'
}

export type Lock = 'share' | 'update'
export type NewWorkEnd = Pick<WorkRow, 'run_key' | 'job' | 'until'> & { end: TaskEnd; source: string }
export type NewAudit = Omit<AuditRow, 'seq' | 'at'>

export type Page<T> = { items: T[]; next: string | null }
export type LeaseFilter = {
  state?: LeaseState | 'outstanding'
  task?: string
  agent?: string
  issuer?: string
  /** Of this task and every task below it. */
  within?: string
  /** Of this agent's tasks and every task below one of them. */
  below?: string
  /** Of tasks on behalf of this human. */
  human?: string
  /** What this revocation reached. */
  revocation?: string
}
/** `within`: this task and every task below it. */
/** `human`: on whose behalf, as {@link TaskRow} has it. */
export type TaskFilter = { state?: TaskState; agent?: string; within?: string; human?: string }
/** Where the leases stand that a revocation reached; all but `reached` are apart from each other. */
export type RevocationProgress = {
  reached: number
  /** Ended at the provider, and seen dead. */
  confirmed_dead: number
  /** The minter's word that nothing exists. */
  never_minted: number
  /** Over by what it carried. */
  expired: number
  /** Over by its provider's clock, without proof that it was dead before. */
  expired_unconfirmed: number
  /** The provider was told, and has not been seen to refuse it yet. */
  revoked: number
  /** The provider is still to be told. */
  waiting: number
  /** Cannot be ended: it stops by itself. */
  expiry_only: number
}
/** From (inclusive) to (exclusive), epoch ms. */
export type Period = { from: number; to: number }
/** Credentials that are alike in all of this, and were intended in one period. */
export type MintedGroup = Pick<
  LeaseRow,
  'agent' | 'issuer' | 'granted' | 'phase' | 'closed_as' | 'revocability' | 'may_leave_access'
> & {
  count: number
  /** From active to dead, closed or the period's end; all of them added up. */
  life_ms: number
  longest_life_ms: number
  /** How long the longest of them lived past the end of its task. */
  longest_past_end_ms: number
}
/** What is looked back at. `agents`: one at least; `root`: a task and everything below it; `turns`: two at most. */
export type HeldQuery = {
  agents: readonly string[]
  root: string | null
  turns: readonly string[]
  /** Epoch ms, by intent: what was minted after. */
  since: number
}
/** `agent`: null for what the line of `root` was given. */
export type HeldPhase = {
  agent: string | null
  phase: Phase
  /** When the last was intended that is certainly known to have been minted: no word takes it back. Else null. */
  lasting: number | null
}
export type ApprovalFilter = { state?: ApprovalState; agent?: string; task?: string }
/** `open`: what can still be used at this moment, epoch ms. */
export type PreapprovalFilter = { agent?: string; open?: number }
export type AuditFilter = { task?: string; agent?: string; lease?: string }

export type Backlog = Pick<LeaseRow, 'issuer' | 'revocability'> & { count: number; oldest: number }

/** Committed data only; each call is its own snapshot. */
export interface LedgerRead {
  agent(name: string): Promise<KnownAgentRow | undefined>
  agents(): Promise<KnownAgentRow[]>
  /** Of every agent that is known, or of one, by name. */
  agentUse(agent?: string): Promise<AgentUse[]>
  task(id: string): Promise<TaskRow | undefined>
  taskByToken(tokenHash: string): Promise<TaskRow | undefined>
  /** What a period held, without the broker's own tasks; `agent` narrows. Costs in proportion to the period. */
  mintedBetween(period: Period, agent?: string): Promise<MintedGroup[]>
  decidedBetween(
    period: Period,
    agent?: string,
  ): Promise<(Pick<DecisionRow, 'agent' | 'outcome'> & { count: number })[]>
  /** By the moment of opening; `receipts`: those of them whose receipt is signed. */
  openedBetween(
    period: Period,
    agent?: string,
  ): Promise<(Pick<TaskRow, 'agent' | 'end'> & { count: number; receipts: number })[]>
  /** Newest first. The lists throw {@link BadCursor} where `after` is not a `next` of theirs. */
  tasks(filter: TaskFilter, page: { limit: number; after?: string }): Promise<Page<TaskRow>>
  /** Root first, without the task itself. */
  ancestors(task: string): Promise<TaskRow[]>
  asks(task: string): Promise<AskRow[]>
  ask(id: string): Promise<AskRow | undefined>
  decision(id: string): Promise<DecisionRow | undefined>
  approval(id: string): Promise<ApprovalRow | undefined>
  /** The one that was asked for last. */
  approvalOf(ask: string): Promise<ApprovalRow | undefined>
  /** Newest first. */
  approvals(filter: ApprovalFilter, page: { limit: number; after?: string }): Promise<Page<ApprovalRow>>
  /** In the order in which they were given. */
  votes(approval: string): Promise<VoteRow[]>
  /** How many wait for an answer, and since when the one that has waited longest does; null where none waits. */
  waitingApprovals(): Promise<{ count: number; oldest: number | null }>
  preapproval(id: string): Promise<PreapprovalRow | undefined>
  /** Newest first. */
  preapprovals(
    filter: PreapprovalFilter,
    page: { limit: number; after?: string },
  ): Promise<Page<PreapprovalRow>>
  checkIn(task: string): Promise<CheckInRow | undefined>
  /** Active tasks for which a human had to check in by then, and has not; the longest overdue first. */
  tasksUnattended(now: number, limit: number): Promise<string[]>
  /**
   * What was minted after `since`, and before `before` where it is given (epoch ms, by intent), for these agents, or
   * for this task and everything below it, by phase. What its minter knows not to exist is left out.
   */
  minted(
    of: { agents: readonly string[] } | { root: string },
    since: number,
    before?: number,
  ): Promise<{ phase: Phase | null; count: number }[]>
  /** Phases of what was minted, as {@link minted} has it, and the turns that mints took; one snapshot of both. */
  held(of: HeldQuery): Promise<{ turns: ReadonlyMap<string, number>; phases: HeldPhase[] }>
  lease(id: string): Promise<LeaseRow | undefined>
  /** Not an `introspected` one: those name their lease themselves. */
  leaseBySecret(secretSha256: string): Promise<LeaseRow | undefined>
  /**
   * Every lease of a revocation group that was taken back (being revoked, or closed as that) and that its
   * provider may still take for alive at `since`. Those told already first, then the latest issued.
   */
  revokedInGroup(issuer: string, group: string, since: number, limit: number): Promise<LeaseRow[]>
  claim(name: string): Promise<ClaimRow | undefined>
  /** Free claims whose name begins with `prefix` and whose work is due at or before `now`, soonest first. */
  claimsDue(prefix: string, now: number, limit: number): Promise<ClaimRow[]>
  /** Newest first, ids only break ties; `after` is the `next` of the page before. */
  leases(filter: LeaseFilter, page: { limit: number; after?: string }): Promise<Page<LeaseRow>>
  revocation(id: string): Promise<RevocationRow | undefined>
  /** Newest first. `blocking`: those that refuse new tasks and credentials. */
  revocations(
    filter: { blocking?: true },
    page: { limit: number; after?: string },
  ): Promise<Page<RevocationRow>>
  revocationProgress(id: string): Promise<RevocationProgress>
  /** Those of these counters that exist, in no order; past their `until` they count for nothing. */
  budgets(keys: readonly string[]): Promise<BudgetRow[]>
  /** Leases being revoked, and since when the longest of them is. */
  revokingBacklog(): Promise<Backlog[]>
  /** Costs in proportion to the rows counted; no request waits for it. */
  leaseCounts(): Promise<{ state: LeaseState; issuer: string; count: number }[]>
  /** Undefined before anything was registered. */
  registry(): Promise<RegistryRow | undefined>
  /** What is registered now, by kind and name. */
  resources(): Promise<ResourceRow[]>
  /** The latest version; one that was removed, too. */
  resource(kind: ResourceKind, name: string): Promise<ResourceRow | undefined>
  /** Newest first; `after` is the last version of the page before. */
  resourceVersions(
    kind: ResourceKind,
    name: string,
    page: { limit: number; after?: number },
  ): Promise<ResourceRow[]>
  fileSet(digest: string): Promise<FileSetRow | undefined>
  resourceSecrets(): Promise<ResourceSecretRow[]>
  ticket(id: string): Promise<TicketRow | undefined>
  ticketByToken(tokenHash: string): Promise<TicketRow | undefined>
  evidence(id: string): Promise<EvidenceRow | undefined>
  signingKeys(purpose: SigningKeyRow['purpose']): Promise<SigningKeyRow[]>
  operatorByToken(tokenHash: string): Promise<OperatorTokenRow | undefined>
  operatorSession(id: string): Promise<OperatorSessionRow | undefined>
  operatorSessionByToken(tokenHash: string): Promise<OperatorSessionRow | undefined>
  /** Newest first. `open`: those that are good at this moment, epoch ms. */
  operatorSessions(
    filter: { open?: number },
    page: { limit: number; after?: string },
  ): Promise<Page<OperatorSessionRow>>
  change(id: string): Promise<ChangeRow | undefined>
  /** Newest first. */
  changes(filter: { state?: ChangeState }, page: { limit: number; after?: string }): Promise<Page<ChangeRow>>
  /** In the order in which it was written. */
  audit(filter: AuditFilter, page: { limit: number; after?: string }): Promise<Page<AuditRow>>
  meta(key: string): Promise<string | undefined>
  receipt(task: string): Promise<ReceiptRow | undefined>
  /** The task's children and the hash of each one's receipt; null where it is not signed yet. By task id. */
  childReceipts(task: string): Promise<{ task: string; sha256: string | null }[]>
  /** The soonest moment, past or to come, at which a receipt is due; null where none is owed. */
  nextReceiptDue(): Promise<number | null>
  delivery(id: string): Promise<DeliveryRow | undefined>
  /** Newest first. */
  deliveries(
    filter: { state?: DeliveryRow['state']; task?: string },
    page: { limit: number; after?: string },
  ): Promise<Page<DeliveryRow>>
  /** The soonest moment, past or to come, at which a delivery to this webhook is due; null where none waits. */
  nextDeliveryDue(webhook: string): Promise<number | null>
  drill(id: string): Promise<DrillRow | undefined>
  /** Newest first. */
  drills(filter: { issuer?: string }, page: { limit: number; after?: string }): Promise<Page<DrillRow>>
  /** Of one candidate set, newest first. */
  shadowDifferences(
    shadowHash: string,
    page: { limit: number; after?: string },
  ): Promise<Page<ShadowDifferenceRow>>
  /** The newest lease that has a part with this SHA-256 (hex). */
  leaseByPrint(sha256: string): Promise<LeaseRow | undefined>
  /** Of all credentials of the task, whatever became of them; by lease and part. */
  printsOf(task: string): Promise<SecretPrintRow[]>
  leak(subject: string): Promise<LeakRow | undefined>
  /** Newest first. */
  leaks(page: { limit: number; after?: string }): Promise<Page<LeakRow>>
  /** Alerts due at or before `now`, soonest first. */
  alertsDue(now: number, limit: number): Promise<SecretAlertRow[]>
  /** The soonest moment, past or to come, at which an alert is due; null where none waits. */
  nextAlertDue(): Promise<number | null>
  /** The work an active task belongs to; undefined once it ended. */
  taskWork(task: string): Promise<TaskWorkRow | undefined>
  /** Runs that active tasks belong to, each once with the work of one of them, by key from the one after `after`. */
  activeRuns(after: string, limit: number): Promise<Pick<TaskWorkRow, 'run_key' | 'work'>[]>
  /**
   * The active tasks that the end of this job reaches: those bound to it, unless they live as long as the run.
   * The end of the run (an empty `job`) reaches them all.
   */
  tasksOfWork(runKey: string, job: string, limit: number): Promise<TaskWorkRow[]>
  /** Ends whose tasks were perhaps not all ended yet, oldest first. */
  pendingWorkEnds(limit: number): Promise<WorkRow[]>
  /** Active tasks whose deadline is at or before `now`, soonest first. */
  tasksPastDeadline(now: number, limit: number): Promise<string[]>
  /**
   * Active tasks silent for longer than agreed. Silence counts only since `writableSince`, the moment from
   * which the ledger has taken writes without a break.
   */
  tasksLapsed(now: number, writableSince: number, limit: number): Promise<string[]>
  /** Issuers that have a lease due at or before `now`. */
  issuersDue(now: number): Promise<string[]>
  /** The soonest moment after `now` at which a lease, deadline, heartbeat or claim is due; null where nothing waits. */
  nextDue(now: number): Promise<number | null>
}

/** What becomes of an earlier use. */
export type EvidenceTaken = Pick<EvidenceRow, 'task' | 'used_at'> &
  Partial<Pick<EvidenceRow, 'request_digest' | 'until'>>

export interface LedgerWrite {
  /** The ledger's clock at the start of this transaction, epoch ms: deadlines are judged by it. */
  readonly now: number

  /** The registry, locked: registrations come one after another. Undefined before the first. */
  lockRegistry(): Promise<RegistryRow | undefined>
  /** As it was committed when this is called, without a lock; 0 before the first registration. */
  registryGeneration(): Promise<number>
  setRegistry(row: RegistryRow): Promise<void>
  /** A new version; the one before is no longer current. Under {@link lockRegistry}. */
  putResource(row: ResourceRow): Promise<void>
  putFileSet(row: FileSetRow): Promise<void>
  putResourceSecret(row: ResourceSecretRow): Promise<void>
  /** All of one instance's but those in `keep`. */
  deleteResourceSecrets(kind: ResourceKind, resource: string, keep: readonly string[]): Promise<void>
  /** Whether any lease of this issuer is not closed. After {@link awaitMints} the answer stays. */
  hasOutstanding(issuer: string): Promise<boolean>

  /** What its file declares; how it stands is left as it is, and a new one stands as active. */
  putAgent(row: AgentRow): Promise<void>
  lockAgent(name: string, lock: Lock): Promise<KnownAgentRow | undefined>
  /** The same, of what a mint looks at, under the lock that mints share. */
  shareAgent(name: string): Promise<MintingAgentRow | undefined>
  /** False where it did not stand so. */
  moveAgent(
    name: string,
    from: Standing,
    to: Pick<
      AgentStanding,
      'standing' | 'standing_cause' | 'standing_reason' | 'standing_by' | 'standing_run'
    >,
  ): Promise<boolean>
  certifyAgent(
    name: string,
    to: Pick<AgentStanding, 'certified_build' | 'certified_until' | 'certified_by' | 'certified_mac'>,
  ): Promise<void>

  /** Inserts the task and its line of ancestors (root first, without itself). */
  insertTask(row: TaskRow, ancestors: readonly string[]): Promise<void>
  /** The task's ancestors root first, then the task itself, each locked in that order. Empty: no such task. */
  lockLineage(task: string, lock: Lock): Promise<TaskRow[]>
  /** The task and all its descendants, locked for update. */
  lockDescent(task: string): Promise<TaskRow[]>
  /** Ends those still active, and forgets the work they belong to; returns the ones it ended. */
  endTasks(ids: readonly string[], end: TaskEnd, detail: string | null): Promise<TaskRow[]>
  /** ended -> settled for those without an open lease; returns their ids. All but system tasks are owed a receipt from then on. */
  settleTasks(ids: readonly string[]): Promise<string[]>
  markTokenUsed(task: string): Promise<void>
  /** Of an active task; never back: a heartbeat that was held up takes nothing from a later one. */
  setHeartbeat(task: string, due: number): Promise<boolean>
  extendTask(task: string, deadline: number, mac: string): Promise<boolean>

  bindTask(row: TaskWorkRow): Promise<void>
  /**
   * Locks the run and these of its jobs (an empty one is the run) against an end that comes at the same time,
   * until this transaction is over. Returns one that has ended. Call it before other rows are locked.
   */
  enterWork(runKey: string, jobs: readonly string[], until: number): Promise<WorkRow | undefined>
  /** The first end of a job or run is remembered; false: it had ended before. */
  endWork(row: NewWorkEnd): Promise<boolean>
  /** Says that every task which an end reaches was ended. */
  settleWork(runKey: string, job: string): Promise<boolean>

  /** First use: records it and returns undefined. Otherwise returns the earlier use. */
  useEvidence(row: EvidenceRow): Promise<EvidenceRow | undefined>
  /** Points an earlier use at the task that takes its place, unless it was spent; by another request, where it says. */
  reuseEvidence(id: string, from: { task: string }, to: EvidenceTaken): Promise<boolean>
  /** Where this evidence is another task's than `except`, no request is a retry of its use any more. */
  spendEvidence(id: string, except: string): Promise<void>
  insertTicket(row: TicketRow): Promise<void>
  /** open -> redeemed, if not past its time; undefined where another took it or it is past. */
  redeemTicket(tokenHash: string, by: string): Promise<TicketRow | undefined>
  /** A redeemed ticket, from the task that redeemed it to the one that takes its place. */
  passTicket(id: string, by: { from: string; to: string }): Promise<boolean>

  insertDecision(row: DecisionRow): Promise<void>
  insertAsk(row: AskRow): Promise<void>
  lockAsk(id: string): Promise<AskRow | undefined>
  /** False where it was in none of these states. */
  moveAsk(id: string, from: readonly AskState[], to: AskState): Promise<boolean>

  insertApproval(row: ApprovalRow): Promise<void>
  /** For update: whoever adds a vote, or counts them, is alone with it. */
  lockApproval(id: string): Promise<ApprovalRow | undefined>
  /** False where this human has agreed to it before. Call it under {@link lockApproval}. */
  insertVote(row: VoteRow): Promise<boolean>
  /** Those of the approval, in the order in which they were given. */
  votesOf(approval: string): Promise<VoteRow[]>
  /** pending -> approved or denied, while it is not past its time. False: it was over. */
  answerApproval(
    id: string,
    to: { state: 'approved' | 'denied'; by: string; reason: string | null },
  ): Promise<boolean>
  /** pending or approved -> cancelled. False: it was neither. */
  withdrawApproval(id: string, to: { by: string; reason: string }): Promise<boolean>
  /** pending -> cancelled, for all of these tasks; returns the rows as they became. */
  cancelApprovals(tasks: readonly string[], to: { by: string; reason: string }): Promise<ApprovalRow[]>
  /** pending -> expired, for those past their time, the oldest first; returns the rows as they became. */
  expireApprovals(limit: number): Promise<ApprovalRow[]>
  /** Counts one mint of an approved one with this digest. False: it is not approved, is another, or used up. */
  spendApproval(id: string, digest: string): Promise<boolean>
  /** Takes one mint back, on the minter's word that nothing came of it. */
  unspendApproval(id: string): Promise<void>

  insertPreapproval(row: PreapprovalRow): Promise<void>
  /** Counts one use of one that is neither revoked nor past its time nor used up. */
  usePreapproval(id: string): Promise<boolean>
  /** False where it was revoked before. */
  revokePreapproval(id: string, by: string): Promise<boolean>

  insertCheckIn(row: CheckInRow): Promise<void>
  /** A human was there: the next is due one interval from now. Undefined: nobody is waited for. */
  noteCheckIn(task: string, by: string): Promise<CheckInRow | undefined>
  /** Whether a human is waited for, and late. */
  isUnattended(task: string): Promise<boolean>

  insertLease(row: LeaseRow): Promise<void>
  /** intended -> active. False: the lease is no longer intended. */
  activateLease(
    id: string,
    to: Pick<
      LeaseRow,
      | 'granted'
      | 'may_leave_access'
      | 'expires_at'
      | 'provider_expires_at'
      | 'sealed_secret'
      | 'secret_sha256'
    > & { due_at: number },
  ): Promise<boolean>
  /** Puts what the provider returned onto a lease that is already revoking, and makes it due at once. */
  attachSecret(
    id: string,
    secret: Pick<LeaseRow, 'granted' | 'provider_expires_at' | 'sealed_secret' | 'secret_sha256'>,
  ): Promise<boolean>
  /**
   * intended or active -> revoking, for every open lease of these tasks. Due: at `provider_expires_at` where
   * it is `expiry_only`, at `dead_by` where it was intended (the minter may still bring a secret) and has no
   * revocation group (which ends it by name), otherwise now. Returns the rows as they became.
   */
  revokeLeasesOf(tasks: readonly string[]): Promise<LeaseRow[]>
  /** The same for one lease. Undefined: it was not intended or active. */
  revokeLease(id: string): Promise<LeaseRow | undefined>
  /**
   * Up to `limit` leases of one issuer with `due_at` at or before now and no live claim, longest remaining
   * provider life first. Raises each one's fence and holds it until `claimedUntil`.
   */
  claimDue(issuer: string, limit: number, claimedUntil: number): Promise<LeaseRow[]>
  /** To closed, from any open state, if the fence is still ours (`fence` null: the minter's word, no claim). Deletes the sealed secret. */
  closeLease(
    id: string,
    fence: number | null,
    to: {
      closed_as: LeaseClose
      revoked_at?: number
      confirmed_dead_at?: number
      proof?: string
      from?: readonly LeaseState[]
    },
  ): Promise<LeaseRow | undefined>
  /** Gives a claim back with a new due time. */
  retryLease(
    id: string,
    fence: number,
    to: { due_at: number; attempts: number; last_error: string | null; revoked_at?: number; proof?: string },
  ): Promise<boolean>
  /**
   * Notes that the provider was told to end these, whoever holds a claim on them: once, and only while they
   * are being revoked. Returns the rows that it changed.
   */
  noteRevoked(ids: readonly string[], at: number): Promise<LeaseRow[]>
  /** Puts off those of these that are being revoked, that nobody holds and that were not told yet. */
  deferLeases(ids: readonly string[], to: { due_at: number; last_error: string }): Promise<void>

  /**
   * Takes a named claim until then, if it is free; its work is due from now on until it is given back.
   * Undefined: another holds it, or it is paused.
   */
  takeClaim(name: string, until: number): Promise<ClaimRow | undefined>
  /** Gives it back: not to be taken before `pausedUntil`, to be done again at `due_at`. False: it was lost. */
  giveClaim(
    name: string,
    fence: number,
    to: { pausedUntil: number | null; due_at: number | null },
  ): Promise<boolean>
  /** Makes the work of a claim due now, whoever holds it. */
  wakeClaim(name: string): Promise<void>

  /** Takes up to `limit` receipts that are due, until then; returns their tasks. */
  claimReceipts(limit: number, claimedUntil: number): Promise<string[]>
  /** Puts off a receipt that is still owed; false where it is signed. */
  deferReceipt(task: string, until: number): Promise<boolean>
  /** Children whose receipt is not signed yet: what the task's own receipt waits for. */
  childrenWithoutReceipt(task: string): Promise<string[]>
  /** Once: false where it is signed already, or not owed. The parent's receipt, if it is owed, is due at once. */
  signReceipt(receipt: { task: string; jws: string; sha256: string }): Promise<boolean>

  insertDelivery(row: DeliveryRow): Promise<void>
  /** Takes up to `limit` due deliveries of one webhook, until then, and counts an attempt of each. Oldest first. */
  claimDeliveries(webhook: string, limit: number, claimedUntil: number): Promise<DeliveryRow[]>
  /** False where `attempts` is not the claim's own any more. */
  retryDelivery(id: string, attempts: number, to: { due_at: number; last_error: string }): Promise<boolean>
  finishDelivery(
    id: string,
    attempts: number,
    to: { state: 'delivered' | 'dead'; last_error: string | null },
  ): Promise<boolean>

  /** False where a drill of this issuer is running. */
  startDrill(row: DrillRow): Promise<boolean>
  /** running -> its outcome; false where it is not running. */
  finishDrill(
    id: string,
    to: Pick<DrillRow, 'task' | 'lease' | 'proof' | 'mint_ms' | 'revoke_ms' | 'dead_ms' | 'detail'> & {
      state: 'passed' | 'failed' | 'unprovable'
    },
  ): Promise<boolean>
  /** Running drills past their deadline -> failed; returns them. */
  abandonDrills(detail: string): Promise<DrillRow[]>

  insertRevocation(row: RevocationRow): Promise<void>
  /** Those that refuse, oldest first. Read after the locks that {@link awaitMints} waits for. */
  blocks(): Promise<RevocationRow[]>
  /** What a mint that stands on no agent's row holds instead. */
  lockMintGate(): Promise<void>
  /**
   * Waits for every mint and opening under way, by locking all that they stand on: each agent in order of name,
   * then the gate. Whatever comes afterwards sees what was committed before this.
   */
  awaitMints(): Promise<void>
  /** Adds to what a run ended and reached; leases that it had reached already count once. */
  noteReached(
    id: string,
    reached: { tasks: number; leases: readonly string[]; cursor?: string },
  ): Promise<void>
  /** running -> done; it stops refusing unless it holds. */
  finishRevocation(id: string): Promise<boolean>
  /** It stops refusing; false where it did not. */
  unblockRevocation(id: string, by: string): Promise<boolean>

  /** Counts one against a limit; false where the limit is reached. `until`: when the counter may be forgotten. */
  takeBudget(key: string, limit: number, until: number): Promise<boolean>
  /**
   * Counts a turn, for whoever waits or looks: false where it is not what {@link LedgerRead.held} told, or 0 where
   * it told of none. Whoever counts the same one waits until this transaction is over. `until`: as of a counter.
   */
  raiseTurn(key: string, seen: number, until: number): Promise<boolean>
  /**
   * Whether it is still what was told, as committed when this is asked. `isHeld`: and stays so until this
   * transaction is over; not for one that there was none of.
   */
  turnStands(key: string, seen: number, isHeld: boolean): Promise<boolean>
  giveBudget(key: string): Promise<void>
  /**
   * Counts an amount against a limit, for a holder that gives back what it does not use; false, with nothing
   * counted, where it does not fit. A holder holds of each counter once.
   */
  holdBudget(hold: BudgetHoldRow, limit: number, until: number): Promise<boolean>
  /**
   * These hold on until `at` and no longer: of an amount in time the part beyond is given back, and all of any
   * other. Up to now nothing is held any more, whatever was given back. Whoever holds nothing is left alone.
   */
  cutHolds(holders: readonly string[], at: number): Promise<void>

  insertSigningKey(row: SigningKeyRow): Promise<void>
  /** Moves one key from a state to another; false where it was not in `from`. */
  moveSigningKey(
    kid: string,
    from: SigningKeyRow['state'],
    to: Pick<SigningKeyRow, 'state'> &
      Partial<Pick<SigningKeyRow, 'signing_from' | 'superseded_at' | 'retire_at'>>,
  ): Promise<boolean>
  /** Replaces every operator token by this one. */
  replaceOperatorToken(row: OperatorTokenRow): Promise<void>
  /** Forgets the sessions that were past their time before `forgetBefore`. */
  insertOperatorSession(row: OperatorSessionRow, forgetBefore: number): Promise<void>
  /** False where it had ended before. */
  endOperatorSession(id: string, by: string): Promise<boolean>
  insertChange(row: ChangeRow): Promise<void>
  lockChange(id: string): Promise<ChangeRow | undefined>
  /** pending -> decided, while it is not past its time, and without what it held sealed. False: it was over. */
  decideChange(
    id: string,
    to: { state: Exclude<ChangeState, 'pending'>; by: string; detail: string | null },
  ): Promise<boolean>
  setMeta(key: string, value: string): Promise<void>
  /** Sets it only where it is absent; returns what stands there now. */
  initMeta(key: string, value: string): Promise<string>
  /** False where it is not `from`: another was there first. */
  swapMeta(key: string, from: string, to: string): Promise<boolean>

  /**
   * Counts `times` more of a kind of difference. False: there are `most` kinds already, and this is none of them;
   * those of other candidates are forgotten first.
   */
  noteDifference(row: Omit<ShadowDifferenceRow, 'first_at' | 'last_at'>, most: number): Promise<boolean>
  insertPrint(row: SecretPrintRow): Promise<void>
  /** True for the first report of this secret; any other is counted. */
  noteLeak(leak: Omit<LeakRow, 'reported_at' | 'last_at' | 'times'>): Promise<boolean>
  /** False where there is none. */
  forgetOperatorToken(id: string): Promise<boolean>
  /** Due now, whether or not it waits already. False: it does not, and `most` others do. */
  noteAlert(
    alert: Pick<SecretAlertRow, 'id' | 'repository' | 'repository_name' | 'number'>,
    most: number,
  ): Promise<boolean>
  deferAlert(id: string, to: Pick<SecretAlertRow, 'due_at' | 'attempts' | 'last_error'>): Promise<boolean>
  /** False where it does not wait any more. */
  closeAlert(id: string): Promise<boolean>
  appendAudit(row: NewAudit): Promise<void>
  /** Forgets expired evidence, ended work, counters, tickets past their time, and what was delivered a while ago. Bounded per call; returns how many rows went. */
  prune(limit: number): Promise<number>
}

export interface Ledger {
  /** The ledger's clock, epoch ms. */
  now(): Promise<number>
  read: LedgerRead
  /**
   * One transaction. Its statements run in the order in which they are asked for, each after the one before has
   * ended, though several may be asked for at once. What only inserts may fail as late as the commit, and a body
   * may run more than once: it changes nothing but the ledger.
   *
   * @throws LedgerUnavailable; anything the body throws, after rolling its work back.
   */
  write<T>(body: (tx: LedgerWrite) => Promise<T>): Promise<T>
  close(): Promise<void>
}
