/** Agents as operators see them: what is declared, how each stands, what it has open, and what is to be looked at. */
import type { AgentDocument } from '../../policy/agent.ts'
import { FLAGS, type Flag, flagsOf } from '../../policy/life-cycle.ts'
import type { AgentUse, KnownAgentRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type ShownStatus, shownStatus } from './agent-transitions.ts'

export type AgentView = {
  row: KnownAgentRow
  document: AgentDocument
  status: ShownStatus
  use: AgentUse
  flags: Flag[]
}

export async function viewAgents(broker: Broker, flag?: Flag): Promise<AgentView[]> {
  const { read } = broker.ledger
  const [rows, uses, now] = await Promise.all([read.agents(), read.agentUse(), broker.ledger.now()])
  const byName = new Map(uses.map(use => [use.agent, use]))
  const views = rows.map(row => viewOf(broker, row, byName.get(row.name), now))
  return flag === undefined ? views : views.filter(view => view.flags.includes(flag))
}

/** @throws BrokerError `not_found` */
export async function viewAgent(broker: Broker, name: string): Promise<AgentView> {
  const { read } = broker.ledger
  const [row, [use], now] = await Promise.all([read.agent(name), read.agentUse(name), broker.ledger.now()])
  if (row === undefined) throw new BrokerError('not_found', 'no such agent')
  return viewOf(broker, row, use, now)
}

function viewOf(
  { lifeCycle }: Broker,
  row: KnownAgentRow,
  used: AgentUse | undefined,
  now: number,
): AgentView {
  const document = JSON.parse(row.document) as AgentDocument
  const nothing = { agent: row.name, active_tasks: 0, outstanding_leases: 0, last_opened_at: null }
  const use = used ?? nothing
  const facts = {
    document,
    lastSignAt: use.last_opened_at ?? row.updated_at,
    certifiedBuild: row.certified_build,
    certifiedUntil: row.certified_until,
  }
  const status = shownStatus(row, document.expires_at, now)
  // Nobody has anything to do about what is gone.
  const isGone = status === 'removed' || status === 'offboarding' || status === 'offboarded'
  return { row, document, status, use, flags: isGone ? [] : flagsOf(facts, lifeCycle, now) }
}

/** How many agents have each flag, none left out. */
export function countFlags(views: readonly AgentView[]): Map<Flag, AgentView[]> {
  return new Map(FLAGS.map(flag => [flag, views.filter(view => view.flags.includes(flag))]))
}
