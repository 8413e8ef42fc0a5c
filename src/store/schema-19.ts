/** Schema step 19: evidence that is handed out again, and what it is good for. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function reusedEvidence({ integer }: SqlDialect['words']): readonly string[] {
  return [
    'alter table evidence add column bound_key text',
    `alter table tasks add column read_only ${integer} not null default 0`,
  ]
}
