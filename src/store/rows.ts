/**
 * The ledger's rows, in the words of the wire and of the tables (snake_case, so that nothing is renamed on
 * the way). Times are epoch milliseconds. JSON is text. Flags are 0 or 1. Portable between SQLite and
 * PostgreSQL.
 */
import type { Phase, Revocability } from '../../issuers/issuer.ts'

export type AgentRow = {
  name: string
  /** SHA-256 (hex) of the canonical document: the generation of this agent. */
  digest: string
  document: string
  status: 'active' | 'removed'
  updated_at: number
  mac: string
}

/** `offboarding` until everything it held is over. */
export type Standing = 'active' | 'suspended' | 'quarantined' | 'offboarding' | 'offboarded'
/** Why it stands so: somebody's word, another build than the certified one, or a certification that ran out. */
export type StandingCause = 'operator' | 'build' | 'certification'

/** How an agent stands. No file says so, and none changes it. */
export type AgentStanding = {
  standing: Standing
  /** Null where it never changed, like the others. */
  standing_cause: StandingCause | null
  standing_reason: string | null
  /** `operator:<name>` or `broker`. */
  standing_by: string | null
  standing_at: number | null
  /** The revocation that carries the change out; null where nothing had to end. */
  standing_run: string | null
  /** What its owner vouched for; null where it declared no build. */
  certified_build: string | null
  /** Until when; null where nobody ever did. */
  certified_until: number | null
  certified_by: string | null
  certified_at: number | null
  certified_mac: string | null
}

/** An agent as the ledger knows it. */
export type KnownAgentRow = AgentRow & AgentStanding

/** What every mint looks at of its agent, whose document has been read before. */
export type MintingAgentRow = Pick<KnownAgentRow, 'name' | 'digest' | 'mac' | 'status' | 'standing'>

/** What an agent has open, and when a task of it was last opened. */
export type AgentUse = {
  agent: string
  active_tasks: number
  /** Not closed. */
  outstanding_leases: number
  last_opened_at: number | null
}

export type TaskState = 'active' | 'ended' | 'settled'
export type TaskEnd = 'completed' | 'failed' | 'cancelled' | 'lapsed' | 'expired' | 'revoked'

export type TaskRow = {
  id: string
  parent: string | null
  /** The topmost ancestor; the task itself where it has no parent. */
  root: string
  depth: number
  agent: string
  agent_digest: string
  /** 1 for the broker's own provider calls (name resolution), which no agent's limits count. */
  system: 0 | 1
  state: TaskState
  end: TaskEnd | null
  end_detail: string | null
  purpose: string
  /** JSON of the attested identity; raw evidence is never stored. */
  identity: string
  /** What the evidence was used as (see EvidenceRow); null for system tasks. */
  evidence: string | null
  ticket: string | null
  /** On whose behalf it runs, `ISSUER#SUBJECT`; null where on nobody's. A child has its parent's. */
  human: string | null
  /** JSON of what that human's ID token said; the token itself is never stored. */
  human_facts: string | null
  /** HMAC of the task token; null for system tasks. */
  token_hash: string | null
  /** JSON of the key that must be shown with the token; null where none was shown when it was opened. */
  bound_key: string | null
  /** 1 where it was opened by evidence that had been used before: nothing but reading is minted below it. */
  read_only: 0 | 1
  token_used_at: number | null
  opened_at: number
  deadline: number
  heartbeat_ms: number | null
  /** When silence becomes a lapse; null where no heartbeat was agreed. */
  heartbeat_due: number | null
  ended_at: number | null
  settled_at: number | null
  mac: string
}

/**
 * - `step`: the client ends the task itself, and the end of its job is the backstop.
 * - `job`: until its job is over.
 * - `run`: until the attempt of the whole run is over.
 */
export type Lifetime = 'step' | 'job' | 'run'

/** The CI work that an active task belongs to. The row goes when the task ends. */
export type TaskWorkRow = {
  task: string
  /** Names one attempt of one run, see broker/work.ts. */
  run_key: string
  /** Empty where the evidence named no job. */
  job: string
  lifetime: Lifetime
  /** JSON of the work as it was attested. */
  work: string
}

/** What became of one job, or, with an empty `job`, of the whole attempt. Without an `end`: only entered so far. */
export type WorkRow = {
  run_key: string
  job: string
  end: TaskEnd | null
  /** Who said so: `github-webhook`, `github-poll`. */
  source: string | null
  ended_at: number | null
  /** 1 until the tasks that the end reaches were ended. */
  pending: 0 | 1
  /** Remembered until then: no evidence of it can be alive afterwards. */
  until: number
}

/** One use of one piece of evidence. The id is the same for every spelling of a token. */
export type EvidenceRow = {
  id: string
  task: string
  /** Digest of the request and proof key it came with: a retry after a lost answer has the same one. */
  request_digest: string
  /** JSON of the key that its first use showed, of what may be used again; null where there was none. */
  bound_key: string | null
  used_at: number
  until: number
}

/** `pending`: it waits for humans. `expired`: none agreed in time. */
export type AskState = 'pending' | 'granted' | 'denied' | 'expired' | 'cancelled'

export type AskRow = {
  id: string
  task: string
  issuer: string
  /** JSON of the resolved ask. */
  ask: string
  digest: string
  state: AskState
  decision: string
  created_at: number
}

export type ApprovalState = 'pending' | 'approved' | 'denied' | 'expired' | 'cancelled'

/** What humans are asked to agree to: exactly one document, and so many mints of it. */
export type ApprovalRow = {
  id: string
  task: string
  ask: string
  agent: string
  issuer: string
  /** Canonical JSON of what would be minted (broker/approval-document.ts). */
  document: string
  /** SHA-256 (hex) of `document`. */
  digest: string
  /** JSON array of the requirements (policy/facts.ts) that were to be met when it was asked for. */
  requires: string
  /** Credentials that may be minted under it. */
  mints: number
  created_at: number
  /** Who does not answer before this answers too late. */
  expires_at: number
  mac: string
  state: ApprovalState
  minted: number
  closed_at: number | null
  /** Who closed it: `operator:<name>`, `task:<id>`, `broker`. */
  closed_by: string | null
  reason: string | null
}

/** One human who agrees, counted once for each approval. */
export type VoteRow = {
  approval: string
  /** `<issuer>#<subject>` of the human: never given to anybody else. */
  human: string
  name: string
  /** JSON array of the groups they were in when they agreed. */
  groups: string
  /** 1: they own the agent, or one above it. */
  owner: 0 | 1
  voted_at: number
  /** The window that it was given by beforehand; null where they answered to this one. */
  preapproval: string | null
  mac: string
}

/** Consent given beforehand by one human: for this agent, what this ask covers, so long and so often. */
export type PreapprovalRow = {
  id: string
  agent: string
  /** Of the agent as it was then: another generation is not what was agreed to. */
  agent_digest: string
  issuer: string
  issuer_digest: string
  /** JSON of the ask that must cover what is asked for. */
  ask: string
  /** SHA-256 (hex) of what was agreed to. */
  digest: string
  human: string
  name: string
  email: string | null
  groups: string
  reason: string
  uses: number
  created_at: number
  expires_at: number
  mac: string
  used: number
  revoked_at: number | null
  revoked_by: string | null
}

/** A task that a human looks after: without a sign of them it ends. */
export type CheckInRow = { task: string; every_ms: number; due_at: number; last_by: string | null }

export type DecisionRow = {
  id: string
  task: string | null
  agent: string | null
  outcome: 'allow' | 'deny' | 'needs_approval'
  /** SHA-256 (hex) of the policies it was made by; `none` where none were in force, null for older rows. */
  policy_hash: string | null
  /** JSON array of reasons, for owners and operators. */
  reasons: string
  /** JSON of the facts judged; no secrets, no raw evidence. */
  facts: string
  decided_at: number
}

export type LeaseState = 'intended' | 'active' | 'revoking' | 'closed'
export type LeaseClose = 'revoked' | 'already_gone' | 'expired' | 'never_minted' | 'expired_unconfirmed'

export type LeaseRow = {
  id: string
  task: string
  ask_id: string
  agent: string
  issuer: string
  state: LeaseState
  closed_as: LeaseClose | null
  revocability: Revocability
  /** What the holder can do, coarsely; null for rows from before this was kept. */
  phase: Phase | null
  /** JSON of the ask as granted: the wanted one until the provider answered. */
  granted: string
  may_leave_access: 0 | 1
  intended_at: number
  mint_not_after: number
  /** After this nothing minted under the intent can be alive. */
  dead_by: number
  active_at: number | null
  /** Mayfly's promise. */
  expires_at: number
  provider_expires_at: number | null
  revoking_at: number | null
  /** The next moment this lease needs the reaper; null when closed. */
  due_at: number | null
  attempts: number
  last_error: string | null
  /** Fence: raised by each claim; a transition with an older fence changes nothing. */
  fence: number
  claimed_until: number | null
  sealed_secret: Uint8Array | null
  /** SHA-256 of the secret, hex: how a presented credential is found again. */
  secret_sha256: string | null
  revoked_at: number | null
  confirmed_dead_at: number | null
  closed_at: number | null
  /** What its issuer ends together with others (an AWS role); null where it is ended alone. */
  revocation_group: string | null
  /** What its issuer remembers of the proof so far, in its own words; null where there is nothing. */
  proof: string | null
}

/** One counter against a limit. */
export type BudgetRow = { key: string; used: number; until: number }

/** What was counted for as long as its holder, a task or a lease, lives. */
export type BudgetHoldRow = {
  holder: string
  /** The counter. */
  key: string
  amount: number
  /** Epoch ms, for an amount in ms: by then all of it is used. Null where every end gives back all. */
  until: number | null
}

/** A named piece of recurring work that one broker at a time may do. */
export type ClaimRow = {
  name: string
  /** Raised by each take: whoever holds an older one has lost the claim. */
  fence: number
  /** Held, or paused, until then; null where it is free. */
  claimed_until: number | null
  /** When the work is to be done again; null where nothing is waiting. */
  due_at: number | null
}

/** The signed statement about one settled task, from the moment it is owed. */
export type ReceiptRow = {
  task: string
  /** When it is next worked on; null once it is signed. */
  due_at: number | null
  /** Compact JWS; null until it is signed. */
  jws: string | null
  /** Of the compact JWS, hex: how a parent's receipt names it. */
  sha256: string | null
  signed_at: number | null
}

/** One message to one webhook. */
export type DeliveryRow = {
  /** Sent as `webhook-id`: the same at every attempt. */
  id: string
  /** The configured name of the webhook. */
  webhook: string
  event: 'task.ending' | 'task.ended' | 'approval.requested' | 'approval.decided'
  task: string
  /** The approval it tells of; null where it is about the task itself. */
  about: string | null
  state: 'due' | 'delivered' | 'dead'
  created_at: number
  due_at: number | null
  /** Raised by each claim: a transition that names an older one changes nothing. */
  attempts: number
  last_error: string | null
  done_at: number | null
}

/** One exercise of one issuer, and what it showed. */
export type DrillRow = {
  id: string
  issuer: string
  /** `operator:<name>` or `schedule`. */
  actor: string
  state: 'running' | 'passed' | 'failed' | 'unprovable'
  revocability: Revocability
  started_at: number
  /** Running beyond this, it was abandoned by the broker that ran it. */
  deadline: number
  finished_at: number | null
  task: string | null
  lease: string | null
  /** Where life and death were looked for: `provider`, `introspection`, or the URL of a resource server. */
  proof: string
  mint_ms: number | null
  /** From the end of the task to the moment the ledger knew of the revocation. */
  revoke_ms: number | null
  /** From the end of the task to the moment it was seen dead. */
  dead_ms: number | null
  detail: string | null
}

/** What an operator revokes: one run over the ledger, and the refusal of new credentials that goes with it. */
export type RevocationRow = {
  id: string
  /** JSON of the filter (policy/revocation-filter.ts); `{}` is everything. */
  filter: string
  actor: string
  reason: string
  /** 1: refuses on when the run is done, until somebody unblocks it. */
  hold: 0 | 1
  state: 'running' | 'done'
  /** 1 while it refuses new tasks and credentials. */
  blocking: 0 | 1
  created_at: number
  /** How far the run has read the leases: the `next` of the last page it is done with. */
  cursor: string | null
  tasks_ended: number
  finished_at: number | null
  unblocked_at: number | null
  unblocked_by: string | null
}

export type TicketRow = {
  id: string
  parent_task: string
  agent: string
  /** JSON array of { issuer, ask } that the child may at most hold. */
  asks: string
  minutes: number
  token_hash: string
  state: 'open' | 'redeemed'
  redeemed_by: string | null
  created_at: number
  expires_at: number
  mac: string
}

export type SigningKeyRow = {
  kid: string
  /** What these keys sign; keys of one purpose never sign or verify for another. */
  purpose: 'task-jwt' | 'receipt' | 'web-identity'
  state: 'next' | 'signing' | 'published' | 'retired'
  public_jwk: string
  sealed_private: Uint8Array
  created_at: number
  signing_from: number | null
  /** When it stopped signing; it stays published until every token it signed is past. */
  superseded_at: number | null
  retire_at: number | null
  mac: string
}

export type OperatorTokenRow = {
  id: string
  name: string
  token_hash: string
  created_at: number
  expires_at: number
  mac: string
}

export type ResourceKind = 'agent' | 'attestor' | 'issuer' | 'resource_server' | 'policy'

/** What is registered, as a whole: one row. Each registration that changes something raises its generation. */
export type RegistryRow = {
  generation: number
  /** SHA-256 (hex) over every resource that is registered: none of them can be put back alone. */
  resources_digest: string
  /** The files in force; null before any were. */
  files_digest: string | null
  changed_at: number
  mac: string
}

/** One version of one resource. All but `current` never changes. */
export type ResourceRow = {
  kind: ResourceKind
  name: string
  /** From 1, for each kind and name. */
  version: number
  /** The team whose it is; null for the operator's own, which stand in files. */
  namespace: string | null
  managed_by: 'file' | 'api'
  state: 'registered' | 'removed'
  /** 1 for the latest version of a kind and name. */
  current: 0 | 1
  /** Canonical JSON; of what was removed, what it was. */
  document: string
  /** SHA-256 (hex) of the document. */
  digest: string
  /** The generation that brought it. */
  generation: number
  /** Who, and why. */
  actor: string
  reason: string
  at: number
  mac: string
}

/** The files of a broker, whole, that were in force once. */
export type FileSetRow = {
  digest: string
  /** `configuration_version` in mayfly.yaml. */
  version: number
  /** The generation in which they were last put in force. */
  generation: number
  at: number
}

/** What a team uploaded for an instance of its own, sealed. */
export type ResourceSecretRow = {
  kind: ResourceKind
  resource: string
  /** As the instance's settings name it: `secret:<name>`. */
  name: string
  sealed: Uint8Array
  at: number
}

/** A human who signed in; what their groups were then is what counts until it ends. All but its end is immutable. */
export type OperatorSessionRow = {
  id: string
  issuer: string
  subject: string
  name: string
  /** JSON array of the groups that the identity provider named. */
  groups: string
  token_hash: string
  created_at: number
  expires_at: number
  mac: string
  ended_at: number | null
  /** Who ended it: `operator:...`. */
  ended_by: string | null
}

export type ChangeState = 'pending' | 'applied' | 'denied' | 'withdrawn'

/** A change that is in force once a second human has agreed to exactly this document. */
export type ChangeRow = {
  id: string
  kind: string
  /** Canonical JSON of the change. */
  document: string
  /** SHA-256 (hex) over the kind and the document. */
  digest: string
  reason: string
  /** Id of the operator: never given to anybody else. */
  proposer: string
  /** The same, as it stands in audit rows. */
  proposed_by: string
  created_at: number
  expires_at: number
  mac: string
  /** A pending one past its time can no longer be decided. */
  state: ChangeState
  decided_at: number | null
  decided_by: string | null
  detail: string | null
  /** What is in the change and shown to nobody, sealed; deleted when it is decided, or past its time. */
  sealed: Uint8Array | null
}

/** One kind of difference between the policies in force and a candidate set, and how often it was met. */
export type ShadowDifferenceRow = {
  /** SHA-256 (hex) of all that makes the kind. */
  id: string
  shadow_hash: string
  live_hash: string
  live: DecisionRow['outcome']
  shadow: DecisionRow['outcome']
  agent: string
  issuer: string
  phase: Phase
  /** JSON arrays of policies. */
  live_by: string
  shadow_by: string
  times: number
  first_at: number
  last_at: number
  /** A decision of this kind. */
  example: string
}

/** One text of a credential, as far as it is known again by: nothing here gives it back. */
export type SecretPrintRow = {
  lease: string
  /** The member of a credential of several parts (`SecretAccessKey`); empty where it is one text. */
  part: string
  /** SHA-256, hex. */
  sha256: string
  /** In UTF-8 bytes. */
  chars: number
  /** Its rolling print (src/scan/rolling-print.ts), by which places are found that are worth a hash. */
  print: number
}

/** What leaked: a credential, or a token of Mayfly's own. */
export type LeakKind = 'credential' | 'task_token' | 'ticket' | 'operator_token' | 'operator_session'

/** One secret that was reported as leaked; reports of the same one are counted. */
export type LeakRow = {
  /** Of the lease, task, ticket, operator token or session. */
  subject: string
  kind: LeakKind
  /** What was ended; null for an operator's own. */
  task: string | null
  agent: string | null
  /** Who said so first: `operator`, `holder`, `github`. */
  source: string
  /** As audit rows name them. */
  reported_by: string
  reason: string
  /** 1: the agent was to be put into quarantine by rule. */
  quarantined: 0 | 1
  reported_at: number
  last_at: number
  times: number
}

/** An alert of a provider's secret scanning that is still to be looked at. Holds no secret. */
export type SecretAlertRow = {
  /** Repository id and alert number. */
  id: string
  repository: string
  /** `owner/name`, to find it by. */
  repository_name: string
  number: number
  created_at: number
  due_at: number
  attempts: number
  last_error: string | null
}

export type AuditRow = {
  seq: number
  at: number
  event: string
  /** Who caused it: `task:<id>`, `operator:<name>`, `broker`. */
  actor: string
  task: string | null
  agent: string | null
  lease: string | null
  /** JSON; ids, codes and digests only. */
  data: string
}
