/** Humans are asked: the approval is in the ledger from the transaction on that makes the ask wait. */
import { record } from '../../audit/record.ts'
import type { ApprovalRequirement } from '../../policy/facts.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { ApprovalRow, AskRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import type { AskVerdict } from '../decisions/decide.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { lockMintable } from '../lock-mintable.ts'
import { tellWebhooks } from '../proof/tell-webhooks.ts'
import { approvalDocument, sealed, type Wish } from './approval-document.ts'
import { useWindows, type Window, windowsFor } from './preapproval-windows.ts'
import { approvalMac } from './verified-approvals.ts'

/** What the caller may say as it asks. */
export type ApprovalWish = { justification?: string; mints?: number }

/** An approval that is about to be asked for; everything that needs no lock is done. */
export type PlannedApproval = { row: ApprovalRow; windows: readonly Window[] }

/** The ask is there, and nothing is minted for it before humans agree. */
export class ApprovalPending extends BrokerError {
  readonly task: string
  readonly ask: string
  readonly approval: string
  constructor(
    broker: Broker,
    { task, ask, id, reason }: Pick<ApprovalRow, 'task' | 'ask' | 'id' | 'reason'>,
  ) {
    super('approval_pending', reason ?? `humans are asked (${id}); come back with the task token`, {
      retryAfterMs: broker.limits.approvalPollMs,
    })
    this.task = task
    this.ask = ask
    this.approval = id
  }
}

export const wishOf = ({ justification, mints }: ApprovalWish): Wish => ({
  justification: justification ?? null,
  mints: mints ?? 1,
})

/** @param above the tasks above, root first */
export async function planApproval(
  broker: Broker,
  { task, above, ask }: { task: TaskRow; above: readonly TaskRow[]; ask: AskRow },
  requires: readonly ApprovalRequirement[],
  wish: Wish,
): Promise<PlannedApproval> {
  const now = broker.now()
  const subject = { task, above, ask, deadline: task.deadline }
  const unsigned = {
    id: broker.newId('apr'),
    task: task.id,
    ask: ask.id,
    agent: task.agent,
    issuer: ask.issuer,
    ...sealed(approvalDocument(broker, subject, wish)),
    requires: JSON.stringify(requires),
    mints: wish.mints,
    created_at: now,
    expires_at: Math.min(now + broker.limits.approvalMs, task.deadline),
  }
  const row: ApprovalRow = {
    ...unsigned,
    mac: approvalMac(broker, unsigned),
    ...{ state: 'pending', minted: 0, closed_at: null, closed_by: null, reason: null },
  }
  return { row, windows: await windowsFor(broker, row, ask, [task, ...above]) }
}

/** For those of these asks that wait: none where policy allows them all. */
export async function planApprovals(
  broker: Broker,
  { asks, ...of }: { task: TaskRow; above: readonly TaskRow[]; asks: readonly AskRow[] },
  verdicts: readonly AskVerdict[],
  wish: ApprovalWish = {},
): Promise<PlannedApproval[]> {
  const planned: PlannedApproval[] = []
  for (const [index, ask] of asks.entries())
    if (ask.state === 'pending')
      planned.push(await planApproval(broker, { ...of, ask }, verdicts[index]?.requires ?? [], wishOf(wish)))
  return planned
}

/** The asks after that: somebody may have agreed to one beforehand. */
export async function asTheyStand(broker: Broker, asks: readonly AskRow[]): Promise<AskRow[]> {
  return Promise.all(asks.map(async ask => (await broker.ledger.read.ask(ask.id)) ?? ask))
}

/** Asks for each, in the transaction that inserts the asks. @returns how many wait for somebody after it. */
export async function requestApprovals(
  broker: Broker,
  tx: LedgerWrite,
  planned: readonly PlannedApproval[],
): Promise<number> {
  let waiting = 0
  for (const one of planned) {
    if (await requestApproval(broker, tx, one)) await tx.moveAsk(one.row.ask, ['pending'], 'granted')
    else waiting += 1
  }
  return waiting
}

/**
 * The ask must be in the ledger. What humans agreed to beforehand counts at once.
 *
 * @returns whether nobody needs to be asked any more.
 * @throws BrokerError `budget_exhausted` where the agent asks too often: people are not to be worn down.
 */
export async function requestApproval(
  broker: Broker,
  tx: LedgerWrite,
  { row, windows }: PlannedApproval,
): Promise<boolean> {
  await takeApprovalBudget(broker, tx, row.agent)
  await tx.insertApproval(row)
  const subject = { actor: `task:${row.task}`, task: row.task, agent: row.agent }
  await record(tx, 'approval.requested', subject, { approval: row.id, ask: row.ask, digest: row.digest })
  if (await useWindows(broker, tx, row, windows)) return true
  await tellWebhooks(broker, tx, 'approval.requested', row)
  return false
}

async function takeApprovalBudget({ limits }: Broker, tx: LedgerWrite, agent: string): Promise<void> {
  const hour = Math.floor(tx.now / HOUR_MS)
  const until = (hour + 1) * HOUR_MS
  const most = limits.approvalsPerHourPerAgent
  if (await tx.takeBudget(`approvals/${agent}/${hour}`, most, until + HOUR_MS)) return
  throw new BrokerError('budget_exhausted', `an agent may ask for ${most} approvals per hour`, {
    ...{ retryAfterMs: until - tx.now, bound: 'approvals' },
  })
}

const HOUR_MS = 3_600_000

export type AskedAgain = {
  task: TaskRow
  above: readonly TaskRow[]
  ask: AskRow
  requires: readonly ApprovalRequirement[]
  /** What was asked for before; absent where nobody was asked yet. */
  earlier: ApprovalRow | undefined
  wish: Wish
  why: string
}

/**
 * What was approved is not what would be minted: it is cancelled, and humans are asked for what it is now.
 *
 * @returns what to throw: the ask waits, or (where somebody had agreed to that beforehand) is to be tried again.
 */
export async function askAgain(broker: Broker, it: AskedAgain): Promise<ApprovalPending> {
  const planned = await planApproval(broker, it, it.requires, it.wish)
  const { row } = planned
  const { id: task, agent, purpose } = it.task
  const facts = JSON.stringify({ agent, purpose, ask: it.ask.id })
  const asked = await keepRefusal(broker, { task, agent, facts }, () =>
    broker.ledger.write(tx => askAgainWithin(broker, tx, it, planned)),
  )
  broker.outbox.wake()
  broker.waits.wake(row.task)
  const standing = asked ? row : ((await broker.ledger.read.approvalOf(it.ask.id)) ?? row)
  return new ApprovalPending(broker, {
    ...standing,
    reason: `${it.why}: humans are asked again (${standing.id})`,
  })
}

/** @returns whether it was asked: of two who notice it at once one asks. */
async function askAgainWithin(
  broker: Broker,
  tx: LedgerWrite,
  { task, ask, earlier, why }: AskedAgain,
  planned: PlannedApproval,
): Promise<boolean> {
  await lockMintable(broker, tx, task.id)
  if (earlier === undefined) {
    if ((await tx.lockAsk(ask.id))?.state !== 'granted') return false
  } else {
    if (!(await tx.withdrawApproval(earlier.id, { by: 'broker', reason: why }))) return false
    const subject = { actor: 'broker', task: task.id, agent: task.agent }
    await record(tx, 'approval.cancelled', subject, { approval: earlier.id, reason: why })
    await tellWebhooks(broker, tx, 'approval.decided', earlier)
  }
  const agreed = await requestApproval(broker, tx, planned)
  await tx.moveAsk(ask.id, ['granted', 'pending'], agreed ? 'granted' : 'pending')
  return true
}
