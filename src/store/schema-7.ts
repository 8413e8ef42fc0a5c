/** Schema step 7: what policy looks back at. Released: never changed. */

/** `phase` is null, and `policy_hash` too, for what was written before. */
export function policyFacts(): readonly string[] {
  return ['alter table leases add column phase text', 'alter table decisions add column policy_hash text']
}
