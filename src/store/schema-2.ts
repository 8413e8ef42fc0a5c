/** Schema step 2: leases that are ended together, what is remembered of proof, named claims. Released: never changed. */
import type { SqlDialect } from './dialect.ts'

export function revocationGroups({ integer, narrow }: SqlDialect['words']): readonly string[] {
  return [
    'alter table leases add column revocation_group text',
    'alter table leases add column proof text',
    // A group's members are found among those whose life is not over, however many have ended before them.
    `create index leases_group on leases (issuer, revocation_group, (coalesce(provider_expires_at, dead_by)))
      where revocation_group is not null`,
    `create table claims (
      name text primary key not null, fence ${integer} not null, claimed_until ${integer}, due_at ${integer}
    ) ${narrow}`,
    'create index claims_due on claims (due_at) where due_at is not null',
  ]
}
