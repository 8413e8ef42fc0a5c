import type { Issuer } from '../../issuers/issuer.ts'
import { record } from '../audit/record.ts'
import { type Bounds, judgeAsk } from '../policy/judge-ask.ts'
import type { LedgerWrite } from '../store/ledger.ts'
import type { DecisionRow } from '../store/rows.ts'
import type { Broker, Identity } from './broker.ts'
import { BrokerError } from './broker-error.ts'

/** The part of an identity that is kept: what was proven, never the evidence. */
export type IdentityFacts = Pick<Identity, 'attestor' | 'issuer' | 'subject' | 'claims' | 'mustName'>

export function identityFacts({ attestor, issuer, subject, claims, mustName }: Identity): IdentityFacts {
  return { attestor, issuer, subject, claims, ...(mustName === undefined ? {} : { mustName }) }
}

/** Whom a decision is about. */
export type Judged = { task: string | null; agent: string; identity: IdentityFacts }

/** All of these asks within all of these bounds, or none. Made, not yet recorded. */
export function decide(
  broker: Broker,
  { task, agent, identity }: Judged,
  asks: readonly { issuerName: string; issuer: Issuer; ask: unknown }[],
  bounds: Bounds,
): DecisionRow {
  const judgements = asks.map(({ issuerName, issuer, ask }) => ({
    issuerName,
    ...judgeAsk(issuerName, issuer, ask, bounds),
  }))
  const denied = judgements.filter(one => one.outcome === 'deny')
  const facts = { identity, agent, asks: judgements.map(one => ({ issuer: one.issuerName, ...one.facts })) }
  return newDecision(broker, {
    task,
    agent,
    outcome: denied.length > 0 ? 'deny' : 'allow',
    reasons: (denied.length > 0 ? denied : judgements).flatMap(one => one.reasons),
    facts,
  })
}

export function newDecision(
  broker: Broker,
  made: Pick<DecisionRow, 'task' | 'agent' | 'outcome'> & { reasons: readonly string[]; facts: object },
): DecisionRow {
  return {
    ...made,
    id: broker.newId('dec'),
    reasons: JSON.stringify(made.reasons),
    facts: JSON.stringify(made.facts),
    decided_at: broker.now(),
  }
}

/** @throws BrokerError `ask_denied` after recording it, unless the decision allows. */
export async function demandAllowed(broker: Broker, decision: DecisionRow, message: string): Promise<void> {
  if (decision.outcome === 'allow') return
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
