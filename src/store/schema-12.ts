/** Schema step 12: sessions of humans, and changes that wait for a second one. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function peopleSchema({ integer, wide }: SqlDialect['words']): readonly string[] {
  return [
    `create table operator_sessions (
      id text primary key not null, issuer text not null, subject text not null, name text not null,
      "groups" text not null, token_hash text not null, created_at ${integer} not null,
      expires_at ${integer} not null, mac text not null, ended_at ${integer}, ended_by text,
      check ((ended_at is null) = (ended_by is null))
    ) ${wide}`,
    'create unique index operator_sessions_token on operator_sessions (token_hash)',
    'create index operator_sessions_created on operator_sessions (created_at, id)',
    'create index operator_sessions_expires on operator_sessions (expires_at)',

    `create table changes (
      id text primary key not null, kind text not null, document text not null, digest text not null,
      reason text not null, proposer text not null, proposed_by text not null, created_at ${integer} not null,
      expires_at ${integer} not null, mac text not null,
      state text not null check (state in ('pending', 'applied', 'denied', 'withdrawn')),
      decided_at ${integer}, decided_by text, detail text,
      check ((state = 'pending') = (decided_at is null))
    ) ${wide}`,
    'create index changes_created on changes (created_at, id)',
    'create index changes_state on changes (state, created_at, id)',
  ]
}
