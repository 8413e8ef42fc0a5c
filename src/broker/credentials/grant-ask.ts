import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import type { Declared } from '../../policy/facts.ts'
import type { AskRow, TaskRow } from '../../store/rows.ts'
import { approvalOver } from '../approvals/approval-over.ts'
import {
  ApprovalPending,
  type ApprovalWish,
  planApprovals,
  requestApprovals,
} from '../approvals/ask-approval.ts'
import { ApprovalDrifted } from '../approvals/spend-approval.ts'
import { approvalFor, drifted } from '../approvals/use-approval.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { decide } from '../decisions/decide.ts'
import { declaredIn, judgedTask } from '../decisions/judged.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { demandAllowed } from '../decisions/record-decision.ts'
import { lockMintable } from '../lock-mintable.ts'
import { boundsOf } from '../tasks/bounds.ts'
import { type Allowed, type Credential, issueCredential } from './issue-credential.ts'
import { issuerOf } from './lease-plan.ts'
import { resolveAsks, type WantedAsk } from './resolve-asks.ts'

/** What the task already asked for (by id), or something more, which is a new decision. */
export type CredentialRequest =
  | { ask: string }
  | { wanted: WantedAsk; declared?: Declared; wish?: ApprovalWish }

const DENIED = 'the task may not have what was asked'

/**
 * A credential for a task that is under way.
 *
 * @throws ApprovalPending where humans are asked first: the ask is there, and its id is in the error
 */
export async function requestCredential(
  broker: Broker,
  task: TaskRow,
  request: CredentialRequest,
): Promise<Credential> {
  if (task.state !== 'active') throw new BrokerError('task_not_active', 'the task has ended')
  const ancestors = await broker.ledger.read.ancestors(task.id)
  const allowed =
    'ask' in request
      ? await grantedAsk(broker, task, request.ask, ancestors)
      : await grantAsk(broker, task, request, ancestors)
  try {
    return await issueCredential(broker, task, allowed, ancestors)
  } catch (error) {
    if (!(error instanceof ApprovalDrifted)) throw error
    throw await drifted(broker, { task, above: ancestors, ask: allowed.ask }, error)
  }
}

/** An ask that was granted is judged again: the ceiling may be narrower by now. */
async function grantedAsk(broker: Broker, task: TaskRow, id: string, ancestors: TaskRow[]): Promise<Allowed> {
  const row = await broker.ledger.read.ask(id)
  if (row === undefined || row.task !== task.id)
    throw new BrokerError('not_found', 'the task has no such ask')
  if (row.state !== 'granted') throw await notGranted(broker, row)
  const bounds = await boundsOf(broker, [...ancestors, task])
  const asked = { issuerName: row.issuer, issuer: issuerOf(broker, row.issuer), ask: JSON.parse(row.ask) }
  const first = await broker.ledger.read.decision(row.decision)
  const about = { ...judgedTask(task, ancestors), ...(first === undefined ? {} : declaredIn(first)) }
  const decision = await decide(broker, { ...about, mayRecall: true }, [asked], bounds)
  await demandAllowed(broker, decision.row, DENIED)
  const [verdict] = decision.asks
  if (verdict?.outcome === 'allow') return { ask: row, decision: decision.row, isKept: false }
  const requires = verdict?.requires ?? []
  const it = { task, above: ancestors, ask: row, about, asked, bounds, requires }
  return { ask: row, ...(await approvalFor(broker, it)), isKept: false }
}

async function notGranted(broker: Broker, ask: AskRow): Promise<BrokerError> {
  const approval = await broker.ledger.read.approvalOf(ask.id)
  if (approval === undefined)
    return new BrokerError('ask_denied', 'the ask is no longer granted', { decision: ask.decision })
  return approval.state === 'pending' ? new ApprovalPending(broker, approval) : approvalOver(approval)
}

async function grantAsk(
  broker: Broker,
  task: TaskRow,
  { wanted, declared, wish }: { wanted: WantedAsk; declared?: Declared; wish?: ApprovalWish },
  ancestors: TaskRow[],
): Promise<Allowed> {
  const bounds = await boundsOf(broker, [...ancestors, task])
  const resolved = await resolveAsks(broker, [wanted], { bounds, agent: task.agent })
  const about = { ...judgedTask(task, ancestors), ...(declared === undefined ? {} : { declared }) }
  const { row: decision, asks: verdicts } = await decide(broker, about, resolved, bounds)
  await demandAllowed(broker, decision, DENIED)
  const { ask, issuer } = resolved[0]!
  const row: AskRow = {
    id: broker.newId('ask'),
    task: task.id,
    issuer: wanted.issuer,
    ask: JSON.stringify(ask),
    digest: canonicalDigest(ask),
    state: verdicts[0]?.outcome === 'allow' ? 'granted' : 'pending',
    decision: decision.id,
    created_at: broker.now(),
  }
  const approvals = await planApprovals(broker, { task, above: ancestors, asks: [row] }, verdicts, wish)
  await keepRefusal(broker, { ...decision, agent: task.agent }, () =>
    broker.ledger.write(async tx => {
      // Nobody is asked about what would not be minted anyway.
      await lockMintable(broker, tx, task.id, [issuer.facts(ask).phase])
      await tx.insertDecision(decision)
      await tx.insertAsk(row)
      await requestApprovals(broker, tx, approvals)
      if (row.state === 'pending') return
      const subject = { actor: `task:${task.id}`, task: task.id, agent: task.agent }
      await record(tx, 'ask.granted', subject, { ask: row.id, issuer: row.issuer, decision: decision.id })
    }),
  )
  const [asked] = approvals
  if (asked === undefined) return { ask: row, decision, isKept: true }
  broker.outbox.wake()
  // Somebody may have agreed to it beforehand.
  const granted = await broker.ledger.read.ask(row.id)
  if (granted?.state !== 'granted') throw new ApprovalPending(broker, asked.row)
  return grantedAsk(broker, task, row.id, ancestors)
}
