import { record } from '../audit/record.ts'
import { canonicalDigest } from '../canonical.ts'
import { judgeAsk } from '../policy/judge-ask.ts'
import type { AskRow, DecisionRow, TaskRow } from '../store/rows.ts'
import { boundsOf } from './bounds.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { type Credential, issueCredential } from './issue-credential.ts'
import { lockMintable } from './lock-mintable.ts'
import { resolveAsks, type WantedAsk } from './resolve-asks.ts'

/** What the task already asked for (by id), or something more, which is a new decision. */
export type CredentialRequest = { ask: string } | { wanted: WantedAsk }

/** A credential for a task that is under way. */
export async function requestCredential(
  broker: Broker,
  task: TaskRow,
  request: CredentialRequest,
): Promise<Credential> {
  const ancestors = await broker.ledger.read.ancestors(task.id)
  const ask =
    'ask' in request
      ? await grantedAsk(broker, task, request.ask, ancestors)
      : await grantAsk(broker, task, request.wanted, ancestors)
  return issueCredential(broker, task, ask, ancestors)
}

/** An ask that was granted is judged again: the ceiling may be narrower by now. */
async function grantedAsk(broker: Broker, task: TaskRow, id: string, ancestors: TaskRow[]): Promise<AskRow> {
  const row = await broker.ledger.read.ask(id)
  if (row === undefined || row.task !== task.id)
    throw new BrokerError('not_found', 'the task has no such ask')
  if (row.state !== 'granted')
    throw new BrokerError('ask_denied', 'the ask is no longer granted', { decision: row.decision })
  await decide(broker, task, { issuer: row.issuer, ask: JSON.parse(row.ask) }, ancestors)
  return row
}

async function grantAsk(
  broker: Broker,
  task: TaskRow,
  wanted: WantedAsk,
  ancestors: TaskRow[],
): Promise<AskRow> {
  if (task.state !== 'active') throw new BrokerError('task_not_active', 'the task has ended')
  const bounds = await boundsOf(broker, [...ancestors, task])
  const [resolved] = await resolveAsks(broker, [wanted], bounds)
  const decision = await decide(broker, task, { issuer: wanted.issuer, ask: resolved!.ask }, ancestors)
  const row: AskRow = {
    id: broker.newId('ask'),
    task: task.id,
    issuer: wanted.issuer,
    ask: JSON.stringify(resolved!.ask),
    digest: canonicalDigest(resolved!.ask),
    state: 'granted',
    decision: decision.id,
    created_at: broker.now(),
  }
  await broker.ledger.write(async tx => {
    await lockMintable(broker, tx, task.id)
    await tx.insertDecision(decision)
    await tx.insertAsk(row)
  })
  return row
}

/** @throws BrokerError `ask_denied`, with the decision that was recorded. */
async function decide(
  broker: Broker,
  task: TaskRow,
  { issuer: name, ask }: { issuer: string; ask: unknown },
  ancestors: TaskRow[],
): Promise<DecisionRow> {
  const issuer = broker.issuers.get(name)
  if (issuer === undefined)
    throw new BrokerError('ask_invalid', `no issuer is called ${JSON.stringify(name)}`)
  const judgement = judgeAsk(name, issuer, ask, await boundsOf(broker, [...ancestors, task]))
  const decision: DecisionRow = {
    id: broker.newId('dec'),
    task: task.id,
    agent: task.agent,
    outcome: judgement.outcome,
    reasons: JSON.stringify(judgement.reasons),
    facts: JSON.stringify({
      identity: JSON.parse(task.identity),
      agent: task.agent,
      asks: [{ issuer: name, ...judgement.facts }],
    }),
    decided_at: broker.now(),
  }
  if (judgement.outcome === 'allow') return decision
  await broker.ledger.write(async tx => {
    await tx.insertDecision(decision)
    await record(
      tx,
      'decision.denied',
      { actor: `task:${task.id}`, task: task.id, agent: task.agent },
      { decision: decision.id },
    )
  })
  throw new BrokerError('ask_denied', 'the task may not have what was asked', { decision: decision.id })
}
