/** What happened, counted: a fault that never struck, or an edge that nobody went, shows nothing. */
import type { ErrorCode } from '../../src/broker/broker-error.ts'

export const faultKinds = [
  'broker crashed',
  'broker paused',
  'broker paused past its claim',
  'broker clock jumped',
  'ledger call lost',
  'ledger commit refused',
  'ledger commit not told',
  'ledger connection cut',
  'ledger outage',
  'ledger transaction taken back',
  'provider down',
  'provider slow',
  'provider call lost',
  'provider reply lost',
  'provider failed, nothing done',
  'provider failed, all done',
  'provider limits the rate',
  'provider call doubled',
  'provider revokes nothing and says it did',
  'provider answers wider',
  'webhook down',
  'webhook slow',
  'webhook call lost',
  'webhook reply lost',
  'webhook failed, nothing done',
  'webhook failed, all done',
  'webhook limits the rate',
  'webhook call doubled',
  'webhook says that it is gone',
  'webhook finds a message too old',
  'answer to a client lost',
  'client asks twice at once',
  'a drill is asked for twice',
  'end of a job told late',
  'end of a job told twice',
  'agents narrowed',
  'policies changed',
  'files never come',
  'nobody tells a broker of its files',
  'files are left behind',
  'a team registered a policy',
  'policy cannot be judged',
  'a human answers late',
  'a human answers twice',
] as const
export type FaultKind = (typeof faultKinds)[number]

export const edges = [
  'lease new > intended',
  'lease new > active',
  'lease intended > active',
  'lease intended > revoking',
  'lease intended > closed never_minted',
  'lease intended > closed revoked',
  'lease intended > closed expired_unconfirmed',
  'lease active > revoking',
  'lease active > closed expired',
  'lease active > closed revoked',
  'lease revoking > closed revoked',
  'lease revoking > closed already_gone',
  'lease revoking > closed expired',
  'lease revoking > closed never_minted',
  'lease revoking > closed expired_unconfirmed',
  'task new > active',
  'task active > ended completed',
  'task active > ended failed',
  'task active > ended cancelled',
  'task active > ended lapsed',
  'task active > ended expired',
  'task active > ended revoked',
  'task ended > settled',
  'ticket new > open',
  'ticket open > redeemed',
  'receipt owed > signed',
  'delivery new > due',
  'delivery due > claimed',
  'delivery claimed > due',
  'delivery claimed > claimed',
  'delivery claimed > delivered',
  'delivery claimed > dead, told that it is gone',
  'delivery claimed > dead, tried often enough',
  'message taken',
  'message taken again',
  'drill new > running',
  'drill running > passed',
  'drill running > failed',
  'drill running > unprovable',
  'drill running > abandoned',
  'agent active > suspended',
  'agent active > quarantined',
  'agent active > offboarding',
  'agent quarantined > active',
  'agent quarantined > suspended',
  'agent quarantined > offboarding',
  'agent suspended > active',
  'agent suspended > quarantined',
  'agent suspended > offboarding',
  'agent offboarding > offboarded',
  'ask new > granted',
  'ask new > pending',
  'ask pending > granted',
  'ask pending > denied',
  'ask pending > expired',
  'ask pending > cancelled',
  'ask granted > pending',
  'approval new > pending',
  'approval new > approved',
  'approval pending > approved',
  'approval pending > denied',
  'approval pending > expired',
  'approval pending > cancelled',
  'approval approved > cancelled',
  'approval one mint more',
  'approval one mint back',
  'vote by a human',
  'vote by a window',
  'window new > open',
  'window open > taken back',
  'check-in noted',
  'check-in missed',
  'registry next generation',
] as const
/** What somebody must have been told at least once. */
export const refusals = [
  'agent_not_active',
  'approval_over',
  'approval_pending',
  'approved_already',
  'ask_denied',
  'budget_exhausted',
  'configuration_stale',
  'drill_running',
  'evidence_rejected',
  'forbidden',
  'ledger_unavailable',
  'policy_unavailable',
  'provider_answered_wider',
  'provider_refused',
  'provider_unavailable',
  'registry_moved',
  'task_not_active',
  'ticket_rejected',
  'transition_refused',
] as const satisfies readonly ErrorCode[]

export type Edge = (typeof edges)[number]

/** All that must happen in many histories. */
export const everything: readonly string[] = [
  ...faultKinds,
  ...edges,
  ...refusals.map(code => `refused ${code}`),
]

export type Tally = ReturnType<typeof createTally>

export function createTally() {
  const counts = new Map<string, number>(everything.map(name => [name, 0]))
  const add = (name: string, count = 1) => {
    counts.set(name, (counts.get(name) ?? 0) + count)
  }
  return {
    fault: (kind: FaultKind) => add(kind),
    /** @returns whether there is such an edge. */
    edge(name: string): boolean {
      add(name)
      return (edges as readonly string[]).includes(name)
    },
    refusal: (code: ErrorCode) => add(`refused ${code}`),
    counts: counts as ReadonlyMap<string, number>,
    addAll(other: { counts: ReadonlyMap<string, number> }) {
      for (const [name, count] of other.counts) add(name, count)
    },
  }
}
