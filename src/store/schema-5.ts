/** Schema step 5: what operators revoke, and what is refused meanwhile. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function revocationsSchema({ integer, wide, narrow }: SqlDialect['words']): readonly string[] {
  return [
    `create table revocations (
      id text primary key not null, filter text not null, actor text not null, reason text not null,
      hold ${integer} not null check (hold in (0, 1)),
      state text not null check (state in ('running', 'done')),
      blocking ${integer} not null check (blocking in (0, 1)),
      created_at ${integer} not null, cursor text, tasks_ended ${integer} not null, finished_at ${integer},
      unblocked_at ${integer}, unblocked_by text,
      check ((state = 'running') = (finished_at is null)),
      check ((unblocked_at is null) = (unblocked_by is null))
    ) ${wide}`,
    'create index revocations_created on revocations (created_at, id)',
    'create index revocations_blocking on revocations (created_at, id) where blocking = 1',

    `create table revocation_leases (
      revocation text not null references revocations (id), lease text not null references leases (id),
      primary key (revocation, lease)
    ) ${narrow}`,

    // What ended and is not over yet, and since when: asked for by whoever watches.
    "create index leases_revoking on leases (issuer, revocability, revoking_at) where state = 'revoking'",

    // Locked by mints that stand on no agent, so that a revocation can wait for those under way.
    `insert into meta ("key", value) values ('mint_gate', '')`,
  ]
}
