/** What was given out before, as far as the rules in force look at it. */
import type { Phase } from '../../../issuers/issuer.ts'
import type { HeldFacts, HeldName } from '../../policy/facts.ts'
import type { HeldPhase } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { noteTurn, turnsOf } from '../credentials/held-turns.ts'
import type { Judged } from './judged.ts'

export const NOTHING_HELD: HeldFacts = {
  phases: { lineage: [], agent: [], owner: [] },
  credentials: { lineage: 0, agent: 0, owner: 0 },
}

/** What the line, the agent and its owner's agents were given in the window that ends now. */
export async function heldBy(broker: Broker, { agent, task, line }: Judged): Promise<HeldFacts> {
  const { policy, shadow, limits } = broker
  const { read } = broker.ledger
  const live = new Set(policy.needs().held)
  const names = new Set([...live, ...(shadow?.needs().held ?? [])])
  if (names.size === 0) return NOTHING_HELD
  const since = broker.now() - limits.policyWindowMs
  const reads = (scope: Scope) => isRead(names, scope)
  const mates = reads('owner') ? matesOf(broker, agent) : [agent]
  const root = reads('lineage') ? (line[0]?.id ?? task) : null
  const turns = turnsOf(broker, live, { agent, root })

  // 1. In one snapshot: how often others took their turn, and what they were given.
  const held = await read.held({ agents: mates, root, turns: turns.map(({ key }) => key), since })
  for (const turn of turns) noteTurn(broker, turn, held)

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
  return {
    phases: {
      lineage: phases('lineage', row => row.agent === null),
      agent: phases('agent', row => row.agent === agent),
      owner: phases('owner', row => row.agent !== null),
    },
    credentials: { lineage, agent: own, owner: owned },
  }
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

const isRead = (names: ReadonlySet<HeldName>, scope: Scope) =>
  names.has(`phases.${scope}`) || names.has(`credentials.${scope}`)

function matesOf(broker: Broker, agent: string): string[] {
  const owner = broker.agents().get(agent)?.owner.business
  return [...broker.agents().values()].filter(one => one.owner.business === owner).map(one => one.name)
}

const phasesOf = (rows: readonly HeldPhase[]): Phase[] => [...new Set(rows.map(({ phase }) => phase))].sort()
const countOf = (rows: readonly { count: number }[]) => rows.reduce((sum, { count }) => sum + count, 0)
