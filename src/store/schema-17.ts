/** Schema step 17: by what a secret that turns up somewhere is known again. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function leaksSchema({ integer, wide }: SqlDialect['words']): readonly string[] {
  return [
    `create table secret_prints (
      lease text not null, part text not null, sha256 text not null, chars ${integer} not null,
      print ${integer} not null, primary key (lease, part)
    ) ${wide}`,
    'create index secret_prints_sha256 on secret_prints (sha256)',
    `create table leaks (
      subject text primary key not null, kind text not null, task text, agent text, source text not null,
      reported_by text not null, reason text not null, quarantined ${integer} not null,
      reported_at ${integer} not null, last_at ${integer} not null, times ${integer} not null
    ) ${wide}`,
    'create index leaks_reported on leaks (reported_at, subject)',
    `create table secret_alerts (
      id text primary key not null, repository text not null, repository_name text not null,
      number ${integer} not null, created_at ${integer} not null, due_at ${integer} not null,
      attempts ${integer} not null, last_error text
    ) ${wide}`,
    'create index secret_alerts_due on secret_alerts (due_at, id)',
  ]
}
