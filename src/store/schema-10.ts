/** Schema step 10: how an agent stands, and what of it was certified. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

/**
 * Beside what its file declares, in the same row: whoever mints locks it and reads both in one statement, so that
 * a mint which waited for a suspension sees it.
 */
export function agentStanding({ integer }: SqlDialect['words']): readonly string[] {
  return [
    `alter table agents add column standing text not null default 'active'
      check (standing in ('active', 'suspended', 'quarantined', 'offboarding', 'offboarded'))`,
    `alter table agents add column standing_cause text
      check (standing_cause in ('operator', 'build', 'certification'))`,
    'alter table agents add column standing_reason text',
    'alter table agents add column standing_by text',
    `alter table agents add column standing_at ${integer}`,
    'alter table agents add column standing_run text',
    'alter table agents add column certified_build text',
    `alter table agents add column certified_until ${integer}`,
    'alter table agents add column certified_by text',
    `alter table agents add column certified_at ${integer}`,
    'alter table agents add column certified_mac text',
  ]
}
