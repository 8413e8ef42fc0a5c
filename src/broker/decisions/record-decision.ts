/** A decision as a row, and a denial written down. */
import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { DecisionRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

export function newDecision(
  broker: Broker,
  made: Pick<DecisionRow, 'task' | 'agent' | 'outcome'> & { reasons: readonly string[]; facts: object },
): DecisionRow {
  return {
    ...made,
    id: broker.newId('dec'),
    policy_hash: broker.policy.hash(),
    reasons: JSON.stringify(made.reasons),
    facts: JSON.stringify(made.facts),
    decided_at: broker.now(),
  }
}

/** @throws BrokerError `ask_denied` after recording it, where the decision denies. */
export async function demandAllowed(broker: Broker, decision: DecisionRow, message: string): Promise<void> {
  if (decision.outcome !== 'deny') return
  await broker.ledger.write(tx => recordDenial(tx, decision))
  throw new BrokerError('ask_denied', message, { decision: decision.id })
}

export async function recordDenial(tx: LedgerWrite, decision: DecisionRow): Promise<void> {
  await tx.insertDecision(decision)
  const { task, agent } = decision
  const actor = task === null ? 'broker' : `task:${task}`
  const subject = { actor, ...(task === null ? {} : { task }), ...(agent === null ? {} : { agent }) }
  await record(tx, 'decision.denied', subject, { decision: decision.id })
}
