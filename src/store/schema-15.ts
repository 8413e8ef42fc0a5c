/** Schema step 15: what is due is chosen without reading its rows. Released: never changed. */

/** A claim sorts all that its issuer has due; with `id` in the index it reads the rows of what it takes alone. */
export function dueIds(): readonly string[] {
  return [
    'drop index leases_due',
    `create index leases_due on leases (issuer, due_at, claimed_until, provider_expires_at, dead_by, state, id)
      where state <> 'closed'`,
  ]
}
