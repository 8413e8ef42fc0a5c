/** Schema step 13: where a candidate set of policies would have decided otherwise. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function shadowSchema({ integer, wide }: SqlDialect['words']): readonly string[] {
  return [
    `create table shadow_differences (
      id text primary key not null, shadow_hash text not null, live_hash text not null, live text not null,
      shadow text not null, agent text not null, issuer text not null, phase text not null,
      live_by text not null, shadow_by text not null, times ${integer} not null,
      first_at ${integer} not null, last_at ${integer} not null, example text not null
    ) ${wide}`,
    'create index shadow_differences_first on shadow_differences (shadow_hash, first_at, id)',
  ]
}
