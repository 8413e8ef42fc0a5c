/** What was given out before, as far as the rules in force look at it. */
import type { Phase } from '../../../issuers/issuer.ts'
import type { HeldFacts, HeldName } from '../../policy/facts.ts'
import type { HeldPhase, LedgerRead } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { noteTurn, type TurnKey, turnIn, turnsOf } from '../credentials/held-turns.ts'
import type { ReadBy } from '../held-memory.ts'
import type { Judged } from './judged.ts'

export const NOTHING_HELD: HeldFacts = {
  phases: { lineage: [], agent: [], owner: [] },
  credentials: { lineage: 0, agent: 0, owner: 0 },
}

/** What the line, the agent and its owner's agents were given in the window that ends now. */
export async function heldBy(broker: Broker, about: Judged): Promise<HeldFacts> {
  const look = lookOf(broker, about)
  if (look.names.size === 0) return NOTHING_HELD
  return recalled(broker, about, look) ?? (await readHeld(broker, about, look))
}

/** What there is to look at. `root`: of the line, where there is one to look at. */
type Look = { now: number; names: ReadonlySet<HeldName>; root: string | null; turns: readonly TurnKey[] }

function lookOf(broker: Broker, { agent, task, line }: Judged): Look {
  const live = new Set(broker.policy.needs().held)
  const names = new Set([...live, ...(broker.shadow?.needs().held ?? [])])
  const root = isRead(names, 'lineage') ? (line[0]?.id ?? task) : null
  return { now: broker.now(), names, root, turns: turnsOf(broker, live, { agent, root }) }
}

/** As it was read last, where its number alone says whether it still is so, and a mint is to look at that. */
function recalled(broker: Broker, { agent, mayRecall }: Judged, look: Look): HeldFacts | undefined {
  const key = mayRecall && broker.turns !== undefined ? soleTurn(look) : undefined
  if (key === undefined) return undefined
  const before = broker.heldMemory.recall(readBy(broker, look), key, agent, look.now)
  if (before !== undefined) noteTurn(broker, key, before.turn)
  return before?.facts
}

async function readHeld(broker: Broker, { agent }: Judged, look: Look): Promise<HeldFacts> {
  const { names, root, turns, now } = look
  const { read } = broker.ledger
  const mates = isRead(names, 'owner') ? matesOf(broker, agent) : [agent]
  const since = now - broker.limits.policyWindowMs

  // 1. In one snapshot: how often others took their turn, and what they were given.
  const held = await read.held({ agents: mates, root, turns: turns.map(({ key }) => key), since })
  for (const turn of turns) noteTurn(broker, turn.key, turnIn(held, turn))

  // 2. Counts no earlier than that, and only where a rule counts.
  const counted = async (name: HeldName, of: Parameters<typeof read.minted>[0]) =>
    names.has(name) ? countOf(await read.minted(of, since)) : 0
  const [lineage, own, owned] = await Promise.all([
    root === null ? 0 : counted('credentials.lineage', { root }),
    counted('credentials.agent', { agents: [agent] }),
    counted('credentials.owner', { agents: mates }),
  ])
  const phases = (scope: Scope, match: (row: HeldPhase) => boolean) =>
    names.has(`phases.${scope}`) ? phasesOf(held.phases.filter(match)) : []
  const facts = {
    phases: {
      lineage: phases('lineage', row => row.agent === null),
      agent: phases('agent', row => row.agent === agent),
      owner: phases('owner', row => row.agent !== null),
    },
    credentials: { lineage, agent: own, owner: owned },
  }
  keep(broker, agent, look, { facts, held })
  return facts
}

type Read = { facts: HeldFacts; held: Awaited<ReturnType<LedgerRead['held']>> }

/** Not what may yet turn out never to have been minted: no number says so. */
function keep(broker: Broker, agent: string, look: Look, { facts, held }: Read): void {
  const [turn] = look.turns
  if (turn === undefined || turn.key !== soleTurn(look)) return
  const { heldRecallMs, policyWindowMs } = broker.limits
  let until = look.now + heldRecallMs
  for (const { lasting } of held.phases) {
    if (lasting === null) return
    until = Math.min(until, lasting + policyWindowMs)
  }
  broker.heldMemory.keep(readBy(broker, look), turn.key, agent, { facts, turn: turnIn(held, turn), until })
}

/** The one number that stands for all that is looked at. Undefined: there are more, or something is counted besides. */
function soleTurn({ names, root, turns: [turn, ...more] }: Look): string | undefined {
  if (turn === undefined || more.length > 0 || root !== null || turn.isCounted) return undefined
  return [...names].every(name => turn.scopes.some(scope => name === `phases.${scope}`) || isOfLine(name))
    ? turn.key
    : undefined
}

/** Only what is looked at: the rest was not read, and nothing of it is to be told. */
export function heldAsTold(
  { phases, credentials }: HeldFacts,
  names: readonly HeldName[],
): { phases: Partial<HeldFacts['phases']>; credentials: Partial<HeldFacts['credentials']> } {
  const told = <Facts extends object>(of: 'phases' | 'credentials', facts: Facts): Partial<Facts> =>
    Object.fromEntries(
      Object.entries(facts).filter(([scope]) => names.includes(`${of}.${scope as Scope}`)),
    ) as Partial<Facts>
  return { phases: told('phases', phases), credentials: told('credentials', credentials) }
}

type Scope = keyof HeldFacts['phases']

const readBy = ({ agents }: Broker, { names }: Look): ReadBy => ({
  agents: agents(),
  names: [...names].join(),
})

/** There is nothing of a line that only begins. */
const isOfLine = (name: HeldName) => name.endsWith('.lineage')

const isRead = (names: ReadonlySet<HeldName>, scope: Scope) =>
  names.has(`phases.${scope}`) || names.has(`credentials.${scope}`)

function matesOf(broker: Broker, agent: string): string[] {
  const owner = broker.agents().get(agent)?.owner.business
  return [...broker.agents().values()].filter(one => one.owner.business === owner).map(one => one.name)
}

const phasesOf = (rows: readonly HeldPhase[]): Phase[] => [...new Set(rows.map(({ phase }) => phase))].sort()
const countOf = (rows: readonly { count: number }[]) => rows.reduce((sum, { count }) => sum + count, 0)
