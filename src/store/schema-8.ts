/** Schema step 8: what humans are asked, what they said, and what they look after. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function approvalsSchema({ integer, wide, narrow }: SqlDialect['words']): readonly string[] {
  return [
    `create table approvals (
      id text primary key not null, task text not null references tasks (id),
      ask text not null references asks (id), agent text not null, issuer text not null,
      document text not null, digest text not null, requires text not null,
      mints ${integer} not null check (mints > 0), created_at ${integer} not null,
      expires_at ${integer} not null, mac text not null,
      state text not null check (state in ('pending', 'approved', 'denied', 'expired', 'cancelled')),
      minted ${integer} not null check (minted >= 0 and minted <= mints),
      closed_at ${integer}, closed_by text, reason text,
      check ((state = 'pending') = (closed_at is null))
    ) ${wide}`,
    'create index approvals_ask on approvals (ask, created_at, id)',
    'create index approvals_created on approvals (created_at, id)',
    'create index approvals_agent on approvals (agent, created_at, id)',
    "create index approvals_due on approvals (expires_at) where state = 'pending'",
    "create index approvals_pending on approvals (task) where state = 'pending'",

    `create table approval_votes (
      approval text not null references approvals (id), human text not null, name text not null,
      "groups" text not null, owner ${integer} not null, voted_at ${integer} not null, preapproval text,
      mac text not null, primary key (approval, human)
    ) ${narrow}`,

    `create table preapprovals (
      id text primary key not null, agent text not null, agent_digest text not null, issuer text not null,
      issuer_digest text not null, ask text not null, digest text not null, human text not null,
      name text not null, email text, "groups" text not null, reason text not null,
      uses ${integer} not null check (uses > 0), created_at ${integer} not null,
      expires_at ${integer} not null, mac text not null,
      used ${integer} not null check (used >= 0 and used <= uses), revoked_at ${integer}, revoked_by text,
      check ((revoked_at is null) = (revoked_by is null))
    ) ${wide}`,
    'create index preapprovals_created on preapprovals (created_at, id)',
    'create index preapprovals_agent on preapprovals (agent, expires_at)',

    `create table check_ins (
      task text primary key not null references tasks (id), every_ms ${integer} not null,
      due_at ${integer} not null, last_by text
    ) ${narrow}`,
    'create index check_ins_due on check_ins (due_at)',

    // What a message is about, where that is not the task's receipt.
    'alter table deliveries add column about text',
  ]
}
