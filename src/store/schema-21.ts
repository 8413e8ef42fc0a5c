/** Schema step 21: what a change that waits for a second human holds sealed. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function changeSecrets({ bytes }: SqlDialect['words']): readonly string[] {
  return [
    `alter table changes add column sealed ${bytes}`,
    'create index changes_sealed on changes (expires_at) where sealed is not null',
  ]
}
