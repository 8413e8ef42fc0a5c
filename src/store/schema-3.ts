/** Schema step 3: receipts, what is sent to webhooks, drills. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function proofSchema({ integer, wide }: SqlDialect['words']): readonly string[] {
  return [
    `create table receipts (
      task text primary key not null references tasks (id), due_at ${integer}, jws text, sha256 text,
      signed_at ${integer}, check ((jws is null) = (due_at is not null)),
      check ((jws is null) = (sha256 is null)), check ((jws is null) = (signed_at is null))
    ) ${wide}`,
    'create index receipts_due on receipts (due_at) where due_at is not null',
    // Whatever settled before there were receipts gets one, too.
    `insert into receipts (task, due_at)
      select id, coalesce(settled_at, 0) from tasks where state = 'settled' and system = 0`,

    `create table deliveries (
      id text primary key not null, webhook text not null, event text not null,
      task text not null references tasks (id),
      state text not null check (state in ('due', 'delivered', 'dead')),
      created_at ${integer} not null, due_at ${integer}, attempts ${integer} not null, last_error text,
      done_at ${integer}, check ((state = 'due') = (due_at is not null)),
      check ((state = 'due') = (done_at is null))
    ) ${wide}`,
    "create index deliveries_due on deliveries (webhook, due_at) where state = 'due'",
    'create index deliveries_created on deliveries (created_at, id)',
    "create index deliveries_dead on deliveries (created_at, id) where state = 'dead'",
    'create index deliveries_task on deliveries (task)',
    "create index deliveries_done on deliveries (done_at) where state = 'delivered'",

    `create table drills (
      id text primary key not null, issuer text not null, actor text not null,
      state text not null check (state in ('running', 'passed', 'failed', 'unprovable')),
      revocability text not null, started_at ${integer} not null, deadline ${integer} not null,
      finished_at ${integer}, task text, lease text, proof text not null, mint_ms ${integer},
      revoke_ms ${integer}, dead_ms ${integer}, detail text,
      check ((state = 'running') = (finished_at is null))
    ) ${wide}`,
    "create unique index drills_running on drills (issuer) where state = 'running'",
    'create index drills_issuer on drills (issuer, started_at, id)',
    'create index drills_started on drills (started_at, id)',
  ]
}
