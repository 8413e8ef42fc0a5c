import { record } from '../audit/record.ts'
import { canonicalDigest } from '../canonical.ts'
import type { Declared } from '../policy/facts.ts'
import type { AskRow, TaskRow } from '../store/rows.ts'
import { boundsOf } from './bounds.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { decide, demandAllowed } from './decide.ts'
import { type Credential, issueCredential } from './issue-credential.ts'
import { declaredIn, judgedTask } from './judged.ts'
import { issuerOf } from './lease-plan.ts'
import { lockMintable } from './lock-mintable.ts'
import { resolveAsks, type WantedAsk } from './resolve-asks.ts'

/** What the task already asked for (by id), or something more, which is a new decision. */
export type CredentialRequest = { ask: string } | { wanted: WantedAsk; declared?: Declared }

const DENIED = 'the task may not have what was asked'

/** A credential for a task that is under way. */
export async function requestCredential(
  broker: Broker,
  task: TaskRow,
  request: CredentialRequest,
): Promise<Credential> {
  if (task.state !== 'active') throw new BrokerError('task_not_active', 'the task has ended')
  const ancestors = await broker.ledger.read.ancestors(task.id)
  const ask =
    'ask' in request
      ? await grantedAsk(broker, task, request.ask, ancestors)
      : await grantAsk(broker, task, request, ancestors)
  return issueCredential(broker, task, ask, ancestors)
}

/** An ask that was granted is judged again: the ceiling may be narrower by now. */
async function grantedAsk(broker: Broker, task: TaskRow, id: string, ancestors: TaskRow[]): Promise<AskRow> {
  const row = await broker.ledger.read.ask(id)
  if (row === undefined || row.task !== task.id)
    throw new BrokerError('not_found', 'the task has no such ask')
  if (row.state !== 'granted')
    throw new BrokerError('ask_denied', 'the ask is no longer granted', { decision: row.decision })
  const bounds = await boundsOf(broker, [...ancestors, task])
  const asked = { issuerName: row.issuer, issuer: issuerOf(broker, row.issuer), ask: JSON.parse(row.ask) }
  const first = await broker.ledger.read.decision(row.decision)
  const about = { ...judgedTask(task, ancestors), ...(first === undefined ? {} : declaredIn(first)) }
  const decision = await decide(broker, about, [asked], bounds)
  await demandAllowed(broker, decision.row, DENIED)
  return row
}

async function grantAsk(
  broker: Broker,
  task: TaskRow,
  { wanted, declared }: { wanted: WantedAsk; declared?: Declared },
  ancestors: TaskRow[],
): Promise<AskRow> {
  const bounds = await boundsOf(broker, [...ancestors, task])
  const resolved = await resolveAsks(broker, [wanted], { bounds, agent: task.agent })
  const about = { ...judgedTask(task, ancestors), ...(declared === undefined ? {} : { declared }) }
  const { row: decision } = await decide(broker, about, resolved, bounds)
  await demandAllowed(broker, decision, DENIED)
  const ask = resolved[0]!.ask
  const row: AskRow = {
    id: broker.newId('ask'),
    task: task.id,
    issuer: wanted.issuer,
    ask: JSON.stringify(ask),
    digest: canonicalDigest(ask),
    state: 'granted',
    decision: decision.id,
    created_at: broker.now(),
  }
  await broker.ledger.write(async tx => {
    await lockMintable(broker, tx, task.id)
    await tx.insertDecision(decision)
    await tx.insertAsk(row)
    const subject = { actor: `task:${task.id}`, task: task.id, agent: task.agent }
    await record(tx, 'ask.granted', subject, { ask: row.id, issuer: row.issuer, decision: decision.id })
  })
  return row
}
