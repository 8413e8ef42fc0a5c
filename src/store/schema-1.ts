/** Schema step 1: all tables of the ledger. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function ledgerSchema(words: SqlDialect['words']): readonly string[] {
  return [...accessTables(words), ...taskTables(words), ...leaseTables(words), ...auditTables(words)]
}

function accessTables({ integer, bytes, wide, narrow }: SqlDialect['words']): string[] {
  return [
    `create table agents (
      name text primary key not null, digest text not null, document text not null,
      status text not null check (status in ('active', 'removed')),
      updated_at ${integer} not null, mac text not null
    ) ${wide}`,

    // Its key is random: rows kept in its order would be written all over the file, twice the pages of an index.
    `create table evidence (
      id text primary key not null, task text not null, request_digest text not null,
      used_at ${integer} not null, "until" ${integer} not null
    ) ${wide}`,
    'create index evidence_until on evidence ("until")',

    `create table budgets ("key" text primary key not null, used ${integer} not null, "until" ${integer} not null) ${narrow}`,
    'create index budgets_until on budgets ("until")',

    `create table signing_keys (
      kid text primary key not null, purpose text not null,
      state text not null check (state in ('next', 'signing', 'published', 'retired')),
      public_jwk text not null, sealed_private ${bytes} not null, created_at ${integer} not null,
      signing_from ${integer}, superseded_at ${integer}, retire_at ${integer}, mac text not null
    ) ${wide}`,

    `create table operator_tokens (
      id text primary key not null, name text not null, token_hash text not null unique,
      created_at ${integer} not null, expires_at ${integer} not null, mac text not null
    ) ${wide}`,

    `create table meta ("key" text primary key not null, value text not null) ${wide}`,
  ]
}

function taskTables({ integer, wide, narrow }: SqlDialect['words']): string[] {
  return [
    `create table tasks (
      id text primary key not null, parent text references tasks (id), root text not null,
      depth ${integer} not null, agent text not null, agent_digest text not null,
      system ${integer} not null, state text not null check (state in ('active', 'ended', 'settled')),
      "end" text, end_detail text, purpose text not null, identity text not null, evidence text, ticket text,
      token_hash text, token_used_at ${integer}, opened_at ${integer} not null, deadline ${integer} not null,
      heartbeat_ms ${integer}, heartbeat_due ${integer}, ended_at ${integer}, settled_at ${integer},
      mac text not null, check ((state = 'active') = ("end" is null))
    ) ${wide}`,
    'create unique index tasks_token on tasks (token_hash) where token_hash is not null',
    "create index tasks_deadline on tasks (deadline) where state = 'active'",
    `create index tasks_heartbeat on tasks (heartbeat_due)
      where state = 'active' and heartbeat_due is not null`,
    'create index tasks_opened on tasks (opened_at, id)',
    "create index tasks_open on tasks (opened_at, id) where state <> 'settled'",
    'create index tasks_agent on tasks (agent, opened_at, id)',

    `create table task_ancestors (
      task text not null references tasks (id), ancestor text not null references tasks (id),
      distance ${integer} not null check (distance > 0), primary key (task, ancestor)
    ) ${narrow}`,
    'create index task_descendants on task_ancestors (ancestor, distance)',

    `create table tickets (
      id text primary key not null, parent_task text not null, agent text not null, asks text not null,
      minutes ${integer} not null, token_hash text not null unique,
      state text not null check (state in ('open', 'redeemed')), redeemed_by text,
      created_at ${integer} not null, expires_at ${integer} not null, mac text not null
    ) ${wide}`,
    'create index tickets_expires on tickets (expires_at)',

    `create table decisions (
      id text primary key not null, task text, agent text, outcome text not null, reasons text not null,
      facts text not null, decided_at ${integer} not null
    ) ${wide}`,

    `create table asks (
      id text primary key not null, task text not null references tasks (id), issuer text not null,
      ask text not null, digest text not null, state text not null, decision text not null,
      created_at ${integer} not null
    ) ${wide}`,
    'create index asks_task on asks (task)',
  ]
}

function leaseTables({ integer, bytes, wide }: SqlDialect['words']): string[] {
  return [
    `create table leases (
      id text primary key not null, task text not null references tasks (id), ask_id text not null,
      agent text not null, issuer text not null,
      state text not null check (state in ('intended', 'active', 'revoking', 'closed')),
      closed_as text, revocability text not null, granted text not null, may_leave_access ${integer} not null,
      intended_at ${integer} not null, mint_not_after ${integer} not null, dead_by ${integer} not null,
      active_at ${integer}, expires_at ${integer} not null, provider_expires_at ${integer},
      revoking_at ${integer}, due_at ${integer}, attempts ${integer} not null, last_error text,
      fence ${integer} not null, claimed_until ${integer}, sealed_secret ${bytes}, secret_sha256 text,
      revoked_at ${integer}, confirmed_dead_at ${integer}, closed_at ${integer},
      check ((state = 'closed') = (closed_as is not null)), check ((state = 'closed') = (due_at is null)),
      check (state <> 'closed' or sealed_secret is null)
    ) ${wide}`,
    'create index leases_task on leases (task)',
    // Due work. The columns after due_at let a claim be sorted, and states be counted, without reading rows.
    `create index leases_due on leases (issuer, due_at, claimed_until, provider_expires_at, dead_by, state)
      where state <> 'closed'`,
    'create index leases_claimed on leases (claimed_until) where claimed_until is not null',
    "create index leases_closed on leases (issuer) where state = 'closed'",
    'create index leases_secret on leases (secret_sha256) where secret_sha256 is not null',
    'create index leases_intended on leases (intended_at, id)',
    "create index leases_open on leases (intended_at, id) where state <> 'closed'",
    'create index leases_agent on leases (agent, intended_at, id)',
  ]
}

function auditTables({ integer, serial, wide }: SqlDialect['words']): string[] {
  return [
    `create table audit (
      seq ${serial}, at ${integer} not null, event text not null, actor text not null, task text, agent text,
      lease text, data text not null
    ) ${wide}`,
    'create index audit_task on audit (task, seq) where task is not null',
    'create index audit_agent on audit (agent, seq) where agent is not null',
    'create index audit_lease on audit (lease, seq) where lease is not null',
  ]
}
