/**
 * Evidence in, a task out; where asked, with its first credential in the same answer.
 */
import type { Evidence } from '../../attestors/attestor.ts'
import type { Secret } from '../../issuers/shared/secret.ts'
import { record } from '../audit/record.ts'
import { canonicalDigest } from '../canonical.ts'
import type { Agent } from '../policy/agent.ts'
import { type Bounds, judgeAsk } from '../policy/judge-ask.ts'
import { matchAgent } from '../policy/match-agent.ts'
import type { LedgerWrite } from '../store/ledger.ts'
import type { AskRow, DecisionRow, EvidenceRow, Lifetime, TaskRow, TicketRow } from '../store/rows.ts'
import { attest, evidenceRejected } from './attest.ts'
import { type Binding, bindingOf, enterWork, rejectOver, WorkOver, worded } from './bind-work.ts'
import { boundsOf, ticketBound } from './bounds.ts'
import type { Broker, Identity } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { activeTasksBudget, endTask, endWithin } from './end-task.ts'
import {
  type Credential,
  chainOf,
  credentialOf,
  intend,
  mintRemotely,
  signLocally,
} from './issue-credential.ts'
import { planLease } from './lease-plan.ts'
import { lockAgent, lockMintable } from './lock-mintable.ts'
import { refuseBlocked } from './refuse-blocked.ts'
import { type ParsedAsk, resolveAsks, type WantedAsk } from './resolve-asks.ts'
import { taskMac, verifiedTicket } from './verified-rows.ts'
import { demandRunning } from './verify-running.ts'

export type OpenRequest = {
  evidence: Evidence
  /** Chooses among the agents whose rule matches; never adds one. */
  agent?: string
  purpose: string
  minutes?: number
  heartbeatSeconds?: number
  asks: readonly WantedAsk[]
  ticket?: Secret
  /** How long it lives beside its CI job; the job's length where it is not said. */
  lifetime?: Lifetime
  /** Mint the first ask at once and answer with it. */
  mintFirst: boolean
}

export type OpenedTask = {
  task: TaskRow
  token: Secret
  asks: AskRow[]
  decision: string
  credential?: Credential
}

type Parent = { ticket: TicketRow; line: TaskRow[] }
type Judged = { bounds: Bounds; asks: ParsedAsk[]; decision: DecisionRow }

export async function openTask(broker: Broker, request: OpenRequest): Promise<OpenedTask> {
  // 1. Attest, and find the one agent this is.
  const identity = await attest(broker, request.evidence)
  const requestDigest = digestOfRequest(request)
  await refuseSpentEvidence(broker, identity, requestDigest)
  const agent = await identifyAgent(broker, identity, request.agent)

  // 2. What bounds it: its own ceiling, and the ticket's and the ancestors' where it is a child.
  const parent = await parentOf(broker, request.ticket, agent)
  const judged = await judge(broker, agent, identity, parent, request)
  const binding = await bindingOf(broker, identity, request.lifetime)
  await demandRunning(broker, agent, identity)

  // 3. Prepare everything that needs no lock; a local signature is made before it can exist for anybody.
  const token = broker.newToken('task')
  const task = newTask(broker, { agent, identity, parent, request, token })
  const asks = judged.asks.map(ask => newAsk(broker, task, ask, judged.decision.id))
  const first = request.mintFirst ? asks[0] : undefined
  const plan = first === undefined ? undefined : planLease(broker, task, first, chainOf(parent?.line ?? []))
  const local = plan?.issuer.mintsLocally ? await signLocally(broker, plan) : undefined

  // 4. Record: the task, its asks and the first intent are one transaction.
  const recorded = { task, asks, judged, parent, identity, binding, requestDigest, agent }
  let replaced: string | undefined
  try {
    replaced = await broker.ledger.write(async tx => {
      const earlier = await recordTask(broker, tx, recorded)
      if (plan !== undefined) await intend(broker, tx, plan, local)
      return earlier
    })
  } catch (error) {
    if (error instanceof SpentEvidence) throw await replayed(broker, error.earlier)
    if (error instanceof WorkOver) throw await rejectOver(broker, identity.attestor, error)
    throw error
  }
  // The reaper looks at least every backstop: what is due later than that need not wake it.
  if (replaced !== undefined || task.deadline - task.opened_at <= broker.limits.reaperBackstopMs)
    broker.wake()

  // 5. Answer, minting remotely where that was asked.
  const opened = { task, token, asks, decision: judged.decision.id }
  if (plan === undefined) return opened
  if (local !== undefined) return { ...opened, credential: credentialOf(plan, local) }
  const subject = { actor: `task:${task.id}`, task: task.id, agent: task.agent, lease: plan.row.id }
  try {
    return { ...opened, credential: await mintRemotely(broker, plan, subject) }
  } catch (error) {
    // The caller never learns the task's token, so nobody could end it.
    await endTask(broker, task.id, 'failed', {
      actor: 'broker',
      detail: 'its first credential was not minted',
    })
    throw error
  }
}

/** A cheap look before anything is asked of a provider; the ledger's unique key is what decides. */
async function refuseSpentEvidence(broker: Broker, identity: Identity, requestDigest: string): Promise<void> {
  if (!identity.replay.singleUse) return
  const earlier = await broker.ledger.read.evidence(identity.replay.id)
  if (earlier === undefined || earlier.request_digest === requestDigest) return
  throw await replayed(broker, earlier)
}

async function identifyAgent(broker: Broker, identity: Identity, named: string | undefined): Promise<Agent> {
  const match = matchAgent(broker.agents().values(), identity, named, await broker.ledger.now())
  if (match.ok) return match.agent
  const decision = denial(broker, null, [`agent: ${match.why}: ${match.near}`], identityFacts(identity))
  await recordDenial(broker, decision)
  const code = match.why === 'event' ? 'event_not_allowed' : 'agent_unmatched'
  const message =
    code === 'event_not_allowed'
      ? 'no agent of this workload may act on this event'
      : 'no single registered agent matches this workload'
  throw new BrokerError(code, message, { decision: decision.id })
}

async function parentOf(
  broker: Broker,
  ticket: Secret | undefined,
  agent: Agent,
): Promise<Parent | undefined> {
  if (ticket === undefined) return undefined
  const row = await broker.ledger.read.ticketByToken(broker.keyring.tokenHash(ticket.reveal()))
  if (row === undefined || row.state !== 'open' || row.agent !== agent.name) throw ticketRejected()
  verifiedTicket(broker, row)
  const parent = await broker.ledger.read.task(row.parent_task)
  if (parent === undefined || parent.state !== 'active') throw ticketRejected()
  return { ticket: row, line: [...(await broker.ledger.read.ancestors(parent.id)), parent] }
}

/** One message for every cause, a lost race too. */
function ticketRejected(): BrokerError {
  return new BrokerError(
    'ticket_rejected',
    'the ticket is unknown, used, past its time, or for another agent',
  )
}

async function judge(
  broker: Broker,
  agent: Agent,
  identity: Identity,
  parent: Parent | undefined,
  request: OpenRequest,
): Promise<Judged> {
  const bounds = [
    ...(parent === undefined ? [] : [...(await boundsOf(broker, parent.line)), ticketBound(parent.ticket)]),
    ...(await boundsOf(broker, [{ agent: agent.name, ticket: null }])),
  ]
  const asks = await resolveAsks(broker, request.asks, bounds)
  const judgements = asks.map(ask => ({
    ...judgeAsk(ask.issuerName, ask.issuer, ask.ask, bounds),
    issuer: ask.issuerName,
  }))
  const facts = {
    ...identityFacts(identity),
    agent: agent.name,
    asks: judgements.map(({ issuer, facts }) => ({ issuer, ...facts })),
  }
  const denied = judgements.filter(one => one.outcome === 'deny')
  if (denied.length > 0) {
    const decision = denial(
      broker,
      agent.name,
      denied.flatMap(one => one.reasons),
      facts,
    )
    await recordDenial(broker, decision)
    throw new BrokerError('ask_denied', 'the agent may not have what was asked', { decision: decision.id })
  }
  const reasons = judgements.flatMap(one => one.reasons)
  return { bounds, asks, decision: { ...denial(broker, agent.name, reasons, facts), outcome: 'allow' } }
}

type NewTask = {
  agent: Agent
  identity: Identity
  parent: Parent | undefined
  request: OpenRequest
  token: Secret
}

/** The deadline is the nearest of what was asked, the agent's limit, the ticket, every ancestor and the agent's expiry. */
function newTask(broker: Broker, { agent, identity, parent, request, token }: NewTask): TaskRow {
  const now = broker.now()
  const minutes = Math.min(
    request.minutes ?? broker.defaults.taskMinutes,
    agent.limits.task_minutes,
    parent?.ticket.minutes ?? Number.POSITIVE_INFINITY,
  )
  const deadline = Math.min(
    now + minutes * MINUTE_MS,
    agent.expires_at,
    ...(parent?.line ?? []).map(task => task.deadline),
  )
  const heartbeatMs = heartbeat(broker, agent, request)
  const id = broker.newId('tsk')
  const above = parent?.line.at(-1)
  const unsigned: Omit<TaskRow, 'mac'> = {
    id,
    parent: above?.id ?? null,
    root: above?.root ?? id,
    depth: above === undefined ? 0 : above.depth + 1,
    agent: agent.name,
    agent_digest: agent.digest,
    system: 0,
    state: 'active',
    end: null,
    end_detail: null,
    purpose: request.purpose,
    identity: JSON.stringify(identityFacts(identity)),
    evidence: identity.replay.id,
    ticket: parent?.ticket.id ?? null,
    token_hash: broker.keyring.tokenHash(token.reveal()),
    token_used_at: null,
    opened_at: now,
    deadline,
    heartbeat_ms: heartbeatMs,
    heartbeat_due: heartbeatMs === null ? null : now + heartbeatMs,
    ended_at: null,
    settled_at: null,
  }
  return { ...unsigned, mac: taskMac(broker, unsigned) }
}

/** The agent's own demand is the longest silence allowed; the caller may only ask for a shorter one. */
function heartbeat(broker: Broker, agent: Agent, request: OpenRequest): number | null {
  const wished = request.heartbeatSeconds ?? agent.heartbeat_seconds ?? broker.defaults.heartbeatSeconds
  if (wished === undefined) return null
  return Math.min(wished, agent.heartbeat_seconds ?? wished) * 1_000
}

function newAsk(broker: Broker, task: TaskRow, ask: ParsedAsk, decision: string): AskRow {
  return {
    id: broker.newId('ask'),
    task: task.id,
    issuer: ask.issuerName,
    ask: JSON.stringify(ask.ask),
    digest: canonicalDigest(ask.ask),
    state: 'granted',
    decision,
    created_at: task.opened_at,
  }
}

type Recorded = {
  task: TaskRow
  asks: AskRow[]
  judged: Judged
  parent: Parent | undefined
  identity: Identity
  binding: Binding | undefined
  requestDigest: string
  agent: Agent
}

/** @returns the id of the task that this one replaces, where its evidence came again after a lost answer. */
async function recordTask(broker: Broker, tx: LedgerWrite, it: Recorded): Promise<string | undefined> {
  const { task, parent, binding } = it
  if (binding !== undefined) await enterWork(broker, tx, binding)
  const above = parent?.line.at(-1)
  if (above !== undefined) await lockMintable(broker, tx, above.id)
  await lockAgent(broker, tx, task.agent)
  const earlier = await claimEvidence(broker, tx, it)
  if (parent !== undefined && (await tx.redeemTicket(parent.ticket.token_hash, task.id)) === undefined)
    throw ticketRejected()
  await tx.insertTask(task, parent === undefined ? [] : parent.line.map(row => row.id))
  if (binding !== undefined) await tx.bindTask({ ...binding, task: task.id })
  await tx.insertDecision({ ...it.judged.decision, task: task.id })
  for (const ask of it.asks) await tx.insertAsk(ask)
  await refuseBlocked(broker, tx, { task: task.id, agent: task.agent, asks: it.asks })
  await record(
    tx,
    earlier === undefined ? 'task.opened' : 'task.reissued',
    { actor: `agent:${task.agent}`, task: task.id, agent: task.agent },
    {
      decision: it.judged.decision.id,
      ...worded(binding),
      ...(earlier === undefined ? {} : { instead_of: earlier }),
    },
  )
  // Late: every opening of this agent waits for this row until the transaction is over.
  await takeTaskBudget(broker, tx, it.agent)
  return earlier
}

/** One against the agent's limit of active tasks; an end gives it back. */
async function takeTaskBudget(broker: Broker, tx: LedgerWrite, agent: Agent): Promise<void> {
  const limit = agent.limits.active_tasks
  if (await tx.takeBudget(activeTasksBudget(agent.name), limit, Number.MAX_SAFE_INTEGER)) return
  throw new BrokerError('budget_exhausted', `the agent's limit of ${limit} active tasks is reached`, {
    retryAfterMs: broker.limits.budgetRetryAfterMs,
  })
}

/**
 * Single use, by the ledger's unique key. A retry after a lost answer (the same request, the earlier task's
 * token never used, neither a race nor late) ends the earlier task and takes its place.
 *
 * @returns the id of the task that was replaced, if one was.
 */
async function claimEvidence(broker: Broker, tx: LedgerWrite, it: Recorded): Promise<string | undefined> {
  const { replay } = it.identity
  if (!replay.singleUse) return undefined
  const use: EvidenceRow = {
    id: replay.id,
    task: it.task.id,
    request_digest: it.requestDigest,
    used_at: tx.now,
    until: Math.max(replay.until, tx.now) + broker.limits.reissueWindowMs,
  }
  const earlier = await tx.useEvidence(use)
  if (earlier === undefined) return undefined
  const age = tx.now - earlier.used_at
  const [before] = await tx.lockDescent(earlier.task)
  const isRetry =
    earlier.request_digest === it.requestDigest &&
    age >= broker.limits.reissueFloorMs &&
    age <= broker.limits.reissueWindowMs &&
    before !== undefined &&
    before.token_used_at === null
  if (
    !isRetry ||
    !(await tx.reuseEvidence(replay.id, { task: earlier.task }, { task: it.task.id, used_at: tx.now }))
  )
    throw new SpentEvidence(earlier)
  await endWithin(tx, earlier.task, 'cancelled', {
    actor: 'broker',
    detail: 'the answer was lost; opened again',
  })
  return earlier.task
}

/** Rolls the opening back; what is to be said of it is said afterwards. */
class SpentEvidence extends Error {
  readonly earlier: EvidenceRow
  constructor(earlier: EvidenceRow) {
    super('the evidence was used before')
    this.earlier = earlier
  }
}

/** An alarm: evidence that was used already came again, in whatever spelling. */
async function replayed(broker: Broker, earlier: EvidenceRow): Promise<BrokerError> {
  broker.log.warn({ alarm: 'evidence_replayed', task: earlier.task }, 'evidence was presented again')
  await broker.ledger.write(tx => record(tx, 'evidence.replayed', { actor: 'broker', task: earlier.task }))
  return evidenceRejected()
}

function denial(broker: Broker, agent: string | null, reasons: string[], facts: object): DecisionRow {
  return {
    id: broker.newId('dec'),
    task: null,
    agent,
    outcome: 'deny',
    reasons: JSON.stringify(reasons),
    facts: JSON.stringify(facts),
    decided_at: broker.now(),
  }
}

async function recordDenial(broker: Broker, decision: DecisionRow): Promise<void> {
  await broker.ledger.write(async tx => {
    await tx.insertDecision(decision)
    const subject = { actor: 'broker', ...(decision.agent === null ? {} : { agent: decision.agent }) }
    await record(tx, 'decision.denied', subject, { decision: decision.id })
  })
}

function identityFacts({ attestor, issuer, subject, claims }: Identity) {
  return { attestor, issuer, subject, claims }
}

/** What a retry must repeat to be one. The evidence is named by its use, the ticket by its hash. */
function digestOfRequest(request: OpenRequest): string {
  const { agent = null, purpose, minutes = null, heartbeatSeconds = null, asks, mintFirst } = request
  const { lifetime = null } = request
  const ticket = request.ticket === undefined ? null : canonicalDigest(request.ticket.reveal())
  return canonicalDigest({ agent, purpose, minutes, heartbeatSeconds, asks, mintFirst, ticket, lifetime })
}

const MINUTE_MS = 60_000
