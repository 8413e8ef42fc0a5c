/** One decision for whoever answers for the agent: what was decided, by which rules, and what stands of it today. */
import type { Agent } from '../../policy/agent.ts'
import type { PolicyText } from '../../policy/facts.ts'
import type { AskRow, DecisionRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

export type Explained = {
  decision: DecisionRow
  /** Whether the set of policies that it was decided by is the one that decides now. */
  inForce: boolean
  hashInForce: string
  /** Whom to ask; absent where no agent matched, or where it is registered no more. */
  agent?: Pick<Agent, 'name' | 'owner' | 'risk_tier' | 'purpose'>
  task?: Pick<TaskRow, 'id' | 'state' | 'end' | 'parent'>
  /** What was asked by it, as far as it was written down: a denial leaves none. */
  asks: readonly Pick<AskRow, 'id' | 'issuer' | 'state'>[]
  /** The rules that determined it, or stood nearest, as they read now; those of a former set are not shown. */
  policies: readonly PolicyText[]
}

/** @throws BrokerError `not_found` */
export async function explainDecision(broker: Broker, id: string): Promise<Explained> {
  const { read } = broker.ledger
  const decision = await read.decision(id)
  if (decision === undefined) throw new BrokerError('not_found', 'no such decision')
  const task = decision.task === null ? undefined : await read.task(decision.task)
  const asks = task === undefined ? [] : await read.asks(task.id)
  const agent = decision.agent === null ? undefined : broker.agents().get(decision.agent)
  const hashInForce = broker.policy.hash()
  const inForce = (decision.policy_hash ?? 'none') === hashInForce
  return {
    ...{ decision, inForce, hashInForce },
    asks: asks.filter(ask => ask.decision === id),
    policies: inForce ? policiesOf(decision).flatMap(policy => broker.policy.textOf?.(policy) ?? []) : [],
    ...(agent === undefined ? {} : { agent }),
    ...(task === undefined ? {} : { task }),
  }
}

function policiesOf({ facts }: DecisionRow): string[] {
  const { asks = [] } = JSON.parse(facts) as { asks?: { determining?: string[]; nearest?: string[] }[] }
  const ids = asks.flatMap(({ determining = [], nearest = [] }) => [
    ...determining,
    // `id: what it missed`
    ...nearest.map(miss => miss.slice(0, miss.indexOf(':'))),
  ])
  return [...new Set(ids)]
}
