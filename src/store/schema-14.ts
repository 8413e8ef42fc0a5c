/** Schema step 14: on whose behalf a task runs. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function onBehalfOf(_: SqlDialect['words']): readonly string[] {
  return [
    'alter table tasks add column human text',
    'alter table tasks add column human_facts text check ((human is null) = (human_facts is null))',
    'create index tasks_human on tasks (human, opened_at, id) where human is not null',
  ]
}
