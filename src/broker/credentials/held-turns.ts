/**
 * Rules over what was given out before ("never write and deploy both within a day") hold against asks that are
 * judged at the same time, by whichever broker (docs/decisions/0031). Whoever judges by such a rule notes a number;
 * a mint after which others would be judged by more counts it up, and only where it still is what was noted. A mint
 * of a phase that everybody sees already changes nothing for anybody: it looks whether the number stands, and makes
 * nobody wait.
 */
import type { Phase } from '../../../issuers/issuer.ts'
import type { HeldFacts, HeldName } from '../../policy/facts.ts'
import type { LedgerRead, LedgerWrite } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import type { Turn } from '../turns.ts'

/** More was given out than this was judged by: it is judged again, and after those that wait for the same. */
export class TurnTaken extends BrokerError {
  readonly turn: string
  constructor(turn: string) {
    super('mint_contended', 'more was given out while this was being judged; try again', {
      retryAfterMs: 1_000,
    })
    this.turn = turn
  }
}

export type TurnKey = { key: string; of: string | null; scopes: readonly Scope[]; isCounted: boolean }
type Scope = keyof HeldFacts['phases']

/** The numbers by which an ask is judged, as far as these names are looked at. @param root null: the line only begins. */
export function turnsOf(
  broker: Pick<Broker, 'agents'>,
  names: ReadonlySet<HeldName>,
  { agent, root }: { agent: string; root: string | null },
): TurnKey[] {
  const owner = broker.agents().get(agent)?.owner.business
  if (owner === undefined) return []
  const keys = [
    { key: teamKey(owner), of: agent, scopes: ['agent', 'owner'] as const },
    // Of a line that only begins with the task there is none: nobody else mints in it yet.
    ...(root === null ? [] : [{ key: `held/line/${root}`, of: null, scopes: ['lineage'] as const }]),
  ]
  return keys.flatMap(key => {
    const scopes = key.scopes.filter(scope => names.has(NAMES[scope].phases))
    const isCounted = key.scopes.some(scope => names.has(NAMES[scope].credentials))
    return scopes.length === 0 && !isCounted ? [] : [{ ...key, scopes, isCounted }]
  })
}

const NAMES = {
  lineage: { phases: 'phases.lineage', credentials: 'credentials.lineage' },
  agent: { phases: 'phases.agent', credentials: 'credentials.agent' },
  owner: { phases: 'phases.owner', credentials: 'credentials.owner' },
} as const satisfies Record<Scope, Record<string, HeldName>>

/** A number as it was read, with what was given in the same snapshot. */
export function turnIn(
  held: Awaited<ReturnType<LedgerRead['held']>>,
  { key, of, scopes, isCounted }: TurnKey,
): Turn {
  const lasting = new Map<Phase, number>()
  // What the agent was given itself is what its owner's agents were given, too.
  const ofWhom = scopes.includes('agent') ? of : undefined
  for (const { agent, phase, lasting: at } of held.phases) {
    const isMeant =
      of === null ? agent === null : agent !== null && (ofWhom === undefined || agent === ofWhom)
    if (isMeant && at !== null) lasting.set(phase, Math.max(at, lasting.get(phase) ?? 0))
  }
  return { seen: held.turns.get(key) ?? 0, of, lasting: isCounted ? null : lasting }
}

/** The least that anything in the same request was judged by, in whatever order it was read. Numbers only rise. */
export function noteTurn({ turns }: Pick<Broker, 'turns'>, key: string, turn: Turn): void {
  const noted = turns?.get(key)
  if (noted === undefined || turn.seen < noted.seen) turns?.set(key, turn)
}

/**
 * Takes a mint's turns, in its own transaction. Where it counts one up, mints that count it come one after another
 * from here on, and those that it does not count stay as they are until it is over.
 *
 * @throws TurnTaken where another came between
 */
export async function takeTurns(
  broker: Broker,
  tx: LedgerWrite,
  mint: { agent: string; phase: Phase | null },
): Promise<void> {
  const owner = broker.agents().get(mint.agent)?.owner.business
  // What the broker mints for itself is no agent's.
  if (owner === undefined) return
  // The same order whoever asks, so that two of them wait for each other and never cross.
  const turns = [...(broker.turns ?? [])]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, turn]) => {
      const isOwn = turn.of === null || key === teamKey(owner)
      return { key, ...turn, isChanged: isOwn && !isSeenAnyway(broker, turn, mint, tx.now) }
    })
  const isAny = turns.some(({ isChanged }) => isChanged)
  const until = tx.now + 2 * broker.limits.policyWindowMs
  for (const { key, seen, isChanged } of turns) {
    // One that there is none of cannot be held: it begins.
    const isRaised = isChanged || (isAny && seen === 0)
    const stood = isRaised ? await tx.raiseTurn(key, seen, until) : await tx.turnStands(key, seen, isAny)
    if (isRaised || !stood) broker.heldMemory.forget(key)
    if (!stood) throw new TurnTaken(key)
  }
}

/**
 * Whether everybody sees one of this phase without this mint, and will for as long as any transaction could last:
 * what is about to leave the window may be gone for whoever is judged before this is committed.
 */
function isSeenAnyway(
  { limits }: Pick<Broker, 'limits'>,
  { lasting, of }: Turn,
  { agent, phase }: { agent: string; phase: Phase | null },
  now: number,
): boolean {
  if (lasting === null || phase === null || (of !== null && of !== agent)) return false
  return (lasting.get(phase) ?? 0) > now - limits.policyWindowMs / 2
}

const teamKey = (owner: string) => `held/team/${owner}`
