/** Schema step 20: one index less that every mint writes a page of its own for. Released: never changed. */

/** An agent's leases are read phase by phase: with `id`, that index has the order that lists are in. */
export function leasesByPhase(): readonly string[] {
  return [
    'drop index leases_agent',
    'drop index leases_phase',
    'create index leases_phase on leases (agent, phase, intended_at, id)',
  ]
}
