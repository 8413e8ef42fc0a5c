/** What happened, counted: a fault that never struck, or an edge that nobody went, shows nothing. */

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
  'answer to a client lost',
  'client asks twice at once',
  'end of a job told late',
  'end of a job told twice',
  'agents narrowed',
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
] as const
export type Edge = (typeof edges)[number]

export type Tally = ReturnType<typeof createTally>

export function createTally() {
  const counts = new Map<string, number>([...faultKinds, ...edges].map(name => [name, 0]))
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
    counts: counts as ReadonlyMap<string, number>,
    addAll(other: { counts: ReadonlyMap<string, number> }) {
      for (const [name, count] of other.counts) add(name, count)
    },
  }
}
