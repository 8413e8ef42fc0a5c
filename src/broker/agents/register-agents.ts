import { record } from '../../audit/record.ts'
import { canonicalJson } from '../../canonical.ts'
import type { Agent } from '../../policy/agent.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { AgentRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { noteChanged } from '../decisions/reassess.ts'
import { agentMac } from '../verified-rows.ts'
import { holdToBuild } from './agent-certification.ts'

/** What must be written so that the ledger has these agents and no others. */
export type AgentChanges = {
  changed: readonly Agent[]
  gone: readonly AgentRow[]
  /** Of both: those whose live tasks are to be looked at again. */
  narrowed: readonly string[]
}

export function agentChanges(rows: readonly AgentRow[], agents: ReadonlyMap<string, Agent>): AgentChanges {
  const standing = new Map(rows.map(row => [row.name, row]))
  const changed = [...agents.values()].filter(agent => {
    const row = standing.get(agent.name)
    return row === undefined || row.status !== 'active' || row.digest !== agent.digest
  })
  const gone = rows.filter(row => row.status === 'active' && !agents.has(row.name))
  const narrowed = changed.filter(agent => mayNarrow(agent, standing.get(agent.name)))
  return { changed, gone, narrowed: [...narrowed, ...gone].map(one => one.name) }
}

/**
 * Mints are judged against these rows, so that a broker on other files mints nothing. What may narrow is noted in the
 * same transaction: `reassess` works that note off, here or after a crash.
 *
 * @param actor whose change it is
 */
export async function putAgents(
  broker: Pick<Broker, 'keyring' | 'log' | 'newId'>,
  tx: LedgerWrite,
  { changed, gone, narrowed }: AgentChanges,
  actor = 'broker',
): Promise<void> {
  for (const agent of changed) {
    const { digest, ...document } = agent
    const unsigned = {
      name: agent.name,
      digest,
      document: canonicalJson(document),
      status: 'active',
      updated_at: tx.now,
    } as const
    await tx.putAgent({ ...unsigned, mac: agentMac(broker, unsigned) })
    await record(tx, 'agent.registered', { actor, agent: agent.name }, { digest })
    await holdToBuild(broker, tx, agent)
  }
  for (const row of gone) {
    await tx.putAgent({ ...row, status: 'removed', updated_at: tx.now } satisfies AgentRow)
    await record(tx, 'agent.removed', { actor, agent: row.name })
  }
  await noteChanged(tx, narrowed)
}

/** Whether anything changed by which a live task or credential was judged; words and owners are not. */
function mayNarrow(agent: Agent, before: AgentRow | undefined): boolean {
  // Nothing of a new agent is alive; one that comes back lost everything when it went.
  if (before?.status !== 'active') return false
  const judgedBy = ({ attest, trust, ceiling, expires_at, may_delegate_to, ...it }: Omit<Agent, 'digest'>) =>
    canonicalJson({
      ...{ attest, ceiling, expires_at, may_delegate_to },
      ...{ trust: trust ?? null, may_act_for: it.may_act_for?.groups ?? [] },
    })
  return judgedBy(agent) !== judgedBy(JSON.parse(before.document) as Omit<Agent, 'digest'>)
}
