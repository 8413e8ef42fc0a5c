import { record } from '../../audit/record.ts'
import { MINUTE_MS } from '../../limits.ts'
import type { Agent } from '../../policy/agent.ts'
import { lacking } from '../../policy/approvers.ts'
import type { ApprovalFacts } from '../../policy/facts.ts'
import { matchAgent } from '../../policy/match-agent.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { AskRow, DecisionRow, TaskRow } from '../../store/rows.ts'
import { agreedBy, approvalFacts, verifiedVotes } from '../approvals/approval-votes.ts'
import { verifiedApproval } from '../approvals/verified-approvals.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { issuerOf } from '../credentials/lease-plan.ts'
import { type AskVerdict, decide } from '../decisions/decide.ts'
import { judgedTask } from '../decisions/judged.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { demandAllowed, newDecision } from '../decisions/record-decision.ts'
import { lockMintable } from '../lock-mintable.ts'
import { taskMac, verifiedTask } from '../verified-rows.ts'
import { boundsOf } from './bounds.ts'

/**
 * More time, for a reason, judged again as if the task were opened now for as long: the workload must still be the
 * agent, every ask still within its bounds and what policy allows for that time, and neither the agent's limit and expiry, the ticket's minutes, nor any
 * ancestor's deadline may be passed.
 *
 * @returns the new deadline, epoch ms. Credentials already given keep theirs.
 */
export async function extendTask(
  broker: Broker,
  task: TaskRow,
  { minutes, reason }: { minutes: number; reason: string },
): Promise<number> {
  if (task.state !== 'active') throw new BrokerError('task_not_active', 'the task has ended')
  const agent = broker.agents().get(task.agent)
  if (agent === undefined) throw new BrokerError('ask_denied', 'the agent is no longer registered')
  const wished = Math.max(task.deadline, broker.now() + minutes * MINUTE_MS)
  const decision = await judgeAgain(broker, task, agent, wished)
  const ticketEnds = await endOfTicket(broker, task)
  const extend = async (tx: LedgerWrite) => {
    const line = await lockMintable(broker, tx, task.id)
    const now = verifiedTask(broker, line.at(-1)!)
    const deadline = tx.now + minutes * MINUTE_MS
    const latest = Math.min(
      now.opened_at + agent.limits.task_minutes * MINUTE_MS,
      agent.expires_at,
      ticketEnds,
      ...line.slice(0, -1).map(above => above.deadline),
    )
    if (deadline > latest) {
      const most = Math.max(0, Math.floor((latest - tx.now) / MINUTE_MS))
      throw new BrokerError('ask_denied', `the task may be given at most ${most} more minutes from now`)
    }
    if (deadline <= now.deadline) return now.deadline
    if (!(await tx.extendTask(task.id, deadline, taskMac(broker, { ...now, deadline }))))
      throw new BrokerError('task_not_active', 'the task has ended')
    await tx.insertDecision(decision)
    await record(
      tx,
      'task.extended',
      { actor: `task:${task.id}`, task: task.id, agent: task.agent },
      { from: now.deadline, to: deadline, reason, decision: decision.id },
    )
    return deadline
  }
  return keepRefusal(broker, { ...decision, agent: task.agent }, () => broker.ledger.write(extend))
}

/**
 * The identity against the agent of today, and every ask against the bounds of today.
 * @param deadline as it would be, epoch ms; the tasks above are judged with their own.
 */
async function judgeAgain(broker: Broker, task: TaskRow, agent: Agent, deadline: number) {
  const line = await broker.ledger.read.ancestors(task.id)
  const about = judgedTask({ ...task, deadline }, line)
  const match = matchAgent([agent], about.identity, agent.name, await broker.ledger.now())
  const message = 'the task may not be given more time'
  if (!match.ok) {
    const reasons = [`agent: ${match.why}: ${match.near}`]
    const denied = {
      task: task.id,
      agent: agent.name,
      outcome: 'deny',
      reasons,
      facts: { identity: about.identity, agent: agent.name },
    } as const
    await demandAllowed(broker, newDecision(broker, denied), message)
  }
  const bounds = await boundsOf(broker, [...line, task])
  const rows = (await broker.ledger.read.asks(task.id)).filter(ask => ask.state === 'granted')
  const asks = rows.map(row => ({
    issuerName: row.issuer,
    issuer: issuerOf(broker, row.issuer),
    ask: JSON.parse(row.ask) as unknown,
  }))
  let decided = await decide(broker, about, asks, bounds)
  if (decided.row.outcome === 'needs_approval') {
    // As at the mint: once more, with what humans agreed to.
    const { asks: verdicts } = decided
    const approved = await Promise.all(
      asks.map(async (ask, at) => ({ ...ask, ...(await agreedTo(broker, rows[at]!, verdicts[at]!)) })),
    )
    decided = await decide(broker, about, approved, bounds)
  }
  const { row } = decided
  const isLacking = row.outcome === 'needs_approval'
  const why = isLacking ? `${message}: what it was granted needs approval now` : message
  const decision: DecisionRow = isLacking ? { ...row, outcome: 'deny' } : row
  await demandAllowed(broker, decision, why)
  return decision
}

/** What was agreed to for this ask, where it is as much as policy demands now; nothing otherwise. */
async function agreedTo(
  broker: Broker,
  ask: AskRow,
  { outcome, requires }: AskVerdict,
): Promise<{ approval?: ApprovalFacts }> {
  if (outcome !== 'needs_approval') return {}
  const row = await broker.ledger.read.approvalOf(ask.id)
  if (row === undefined || verifiedApproval(broker, row).state !== 'approved') return {}
  const votes = agreedBy(await verifiedVotes(broker, row))
  return lacking(requires, votes).length > 0 ? {} : { approval: approvalFacts(row, votes) }
}

/** A ticket's minutes count from the child's opening, however often it is extended. */
async function endOfTicket(broker: Broker, task: TaskRow): Promise<number> {
  if (task.ticket === null) return Number.POSITIVE_INFINITY
  const ticket = await broker.ledger.read.ticket(task.ticket)
  return ticket === undefined ? task.deadline : task.opened_at + ticket.minutes * MINUTE_MS
}
