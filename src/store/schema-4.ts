/** Schema step 4: the CI work that tasks belong to, and the ends of it. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function worksSchema({ integer, narrow }: SqlDialect['words']): readonly string[] {
  return [
    `create table task_works (
      task text primary key not null references tasks (id), run_key text not null, job text not null,
      lifetime text not null check (lifetime in ('step', 'job', 'run')), work text not null
    ) ${narrow}`,
    'create index task_works_run on task_works (run_key, job)',

    `create table works (
      run_key text not null, job text not null, "end" text, source text, ended_at ${integer},
      pending ${integer} not null check (pending in (0, 1)), "until" ${integer} not null,
      primary key (run_key, job), check (("end" is null) = (ended_at is null)),
      check (pending = 0 or "end" is not null)
    ) ${narrow}`,
    'create index works_pending on works (ended_at) where pending = 1',
    'create index works_until on works ("until")',
  ]
}
