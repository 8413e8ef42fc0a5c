/** Schema step 16: what an agent was given last is found by its phase. Released: never changed. */

/** Rules look at whether there was any of a phase; without it the agent's credentials of a whole window are read. */
export function leasePhases(): readonly string[] {
  return ['create index leases_phase on leases (agent, phase, intended_at)']
}
