/** Schema step 6: what an introspected credential is found by. Released: never changed. */

/** It names its lease, so its hash, a random key and a page of its own at every mint, need not be searchable. */
export function namedLeases(): readonly string[] {
  return [
    'drop index leases_secret',
    `create index leases_secret on leases (secret_sha256)
      where secret_sha256 is not null and revocability <> 'introspected'`,
  ]
}
