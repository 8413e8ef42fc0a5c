/**
 * Evidence in, a task out; where asked, with its first credential in the same answer.
 */
import type { Evidence, JwtEvidence } from '../../../attestors/attestor.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import type { Agent } from '../../policy/agent.ts'
import type { Declared } from '../../policy/facts.ts'
import { matchAgent, matchTrusted } from '../../policy/match-agent.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { AskRow, DecisionRow, Lifetime, TaskRow } from '../../store/rows.ts'
import { holdEvidenceToBuild } from '../agents/agent-certification.ts'
import {
  type ApprovalWish,
  asTheyStand,
  type PlannedApproval,
  planApprovals,
  requestApprovals,
} from '../approvals/ask-approval.ts'
import { type HeldKeys, isHeld, keyToBind } from '../bound/held-keys.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { takeTask } from '../budgets/budgets.ts'
import {
  type Credential,
  chainOf,
  credentialOf,
  intend,
  mintRemotely,
  signLocally,
} from '../credentials/issue-credential.ts'
import { planLease } from '../credentials/lease-plan.ts'
import { type ParsedAsk, resolveAsks, type WantedAsk } from '../credentials/resolve-asks.ts'
import { type AskVerdict, decide, demandAllowed, recordDenial } from '../decisions/decide.ts'
import { identityFacts } from '../decisions/judged.ts'
import { demandGeneration, lockAgent, lockMintable } from '../lock-mintable.ts'
import type { Human } from '../people/human.ts'
import type { PresentedHuman } from '../people/human-token.ts'
import { behalfOf, claimsOf, humanFor, presentedHuman } from '../people/on-behalf-of.ts'
import { signedForDigest } from '../people/signed-for.ts'
import { refuseBlocked } from '../revocations/refuse-blocked.ts'
import { verifiedTicket } from '../verified-rows.ts'
import { attest, rejectEvidence } from './attest.ts'
import { type Binding, bindingOf, enterWork, rejectOver, WorkOver, worded } from './bind-work.ts'
import { boundsOf, ticketBound } from './bounds.ts'
import { requireCheckIns } from './check-in.ts'
import {
  type Claim,
  claimBeside,
  claimEvidence,
  FIRST_CREDENTIAL_FAILED,
  refuseAgain,
  refuseSpent,
  reissued,
  SpentEvidence,
  ticketRejected,
} from './claim-evidence.ts'
import { denyUnmatched } from './deny-unmatched.ts'
import { endTask } from './end-task.ts'
import { deadlineOf, newAsk, newTask, type Parent } from './new-task.ts'
import { demandPosture, postureOf, withPosture } from './posture.ts'
import { demandNewer } from './restored.ts'
import { type Reuse, reuseEvidence, reuseOf } from './reused-evidence.ts'
import { demandRunning } from './verify-running.ts'

export type OpenRequest = {
  evidence: Evidence
  /** Who the caller says that it is, where the protocol has it say so. */
  subject?: string
  /** The ID token of the human on whose behalf. */
  onBehalfOf?: JwtEvidence
  /** Chooses among the agents whose rule matches; never adds one. */
  agent?: string
  /** `agent` is one that a trust policy made, and these are the audiences of the evidence: its rule is what counts. */
  trusted?: { audiences: readonly string[] }
  purpose: string
  minutes?: number
  heartbeatSeconds?: number
  asks: readonly WantedAsk[]
  ticket?: Secret
  /** How long it lives beside its CI job; the job's length where it is not said. */
  lifetime?: Lifetime
  /** What it says of itself; may only narrow. */
  declared?: Declared
  /** What humans are told, where they are asked. */
  wish?: ApprovalWish
  /** About where it runs. */
  statements?: readonly Evidence[]
  /** Keys that were shown with the request: the task's token is bound to one of them. */
  held?: HeldKeys
  /** Mint the first ask at once and answer with it. */
  mintFirst: boolean
  /** Nobody could come back for what humans agree to later: that is refused, and nothing is opened. */
  cannotWait?: true
}

export type OpenedTask = {
  task: TaskRow
  token: Secret
  asks: AskRow[]
  decision: string
  credential?: Credential
}

type Judged = { asks: ParsedAsk[]; decision: DecisionRow; verdicts: readonly AskVerdict[] }

export async function openTask(broker: Broker, request: OpenRequest): Promise<OpenedTask> {
  // 1. Attest the workload, and the human on whose behalf it comes.
  const attested = await attest(broker, request.evidence)
  const mismatch = mismatchOf(request, attested)
  if (mismatch !== undefined) throw await rejectEvidence(broker, attested.attestor, ...mismatch)
  const [now] = await Promise.all([broker.ledger.now(), demandNewer(broker, attested)])
  const identity = await withPosture(broker, attested, request.statements ?? [], request.held ?? {})
  const presented = await presentedHuman(broker, request, identity)

  // 2. Find the one agent this is, and judge what it asks for.
  const found = await judgeRequest(broker, request, { identity, presented, now })
  const { agent, parent, human, claim, beside, reuse, judged, binding } = found

  // 3. Prepare everything that needs no lock; a local signature is made before it can exist for anybody.
  const token = broker.newToken('task')
  const mustBind = agent.bound_key_required === true || identity.human !== undefined
  const key = keyToBind(mustBind, request.held ?? {})
  const task = newTask(broker, { agent, identity, parent, human, request, token, key })
  const asks = judged.asks.map((ask, index) =>
    newAsk(broker, task, ask, { decision: judged.decision.id, verdict: judged.verdicts[index] }),
  )
  const approvals = await planApprovals(
    broker,
    { task, above: parent?.line ?? [], asks },
    judged.verdicts,
    request.wish,
  )
  const first = request.mintFirst && asks[0]?.state === 'granted' ? asks[0] : undefined
  const plan = first === undefined ? undefined : planLease(broker, task, first, chainOf(parent?.line ?? []))
  const local = plan?.issuer.mintsLocally ? await signLocally(broker, plan) : undefined

  // 4. Record: the task, its asks and the first intent are one transaction.
  const { cannotWait } = request
  const recorded = { task, asks, approvals, judged, parent, binding, claim, beside, reuse, agent, cannotWait }
  let opening: { task: TaskRow; replaced: string | undefined }
  try {
    opening = await broker.ledger.write(async tx => {
      const done = await recordTask(broker, tx, recorded)
      if (plan !== undefined) await intend(broker, tx, plan, local)
      return done
    })
  } catch (error) {
    if (error instanceof SpentEvidence) throw await refuseAgain(broker, error.claim, error.earlier)
    if (error instanceof WorkOver) throw await rejectOver(broker, identity.attestor, error)
    if (error instanceof HumansNeeded) throw await refuseWaiting(broker, judged.decision)
    if (isQuarantine(error)) {
      // Told as the denial that it is, with a decision to look up; unless there is worse to tell.
      for (const one of [claim, beside]) await refuseSpent(broker, one)
      await judge(broker, agent, identity, { parent, human }, request, 'asking')
    }
    throw error
  }
  const { replaced } = opening
  if (replaced !== undefined) reissued(broker, task.id, replaced)
  // The reaper looks at least every backstop: what is due later than that need not wake it.
  if (replaced !== undefined || task.deadline - task.opened_at <= broker.limits.reaperBackstopMs)
    broker.wake()

  // 5. Answer, minting remotely where that was asked.
  if (approvals.length > 0) broker.outbox.wake()
  const standing = approvals.length === 0 ? asks : await asTheyStand(broker, asks)
  const opened = { task: opening.task, token, asks: standing, decision: judged.decision.id }
  if (plan === undefined) return opened
  if (local !== undefined) return { ...opened, credential: credentialOf(plan, local) }
  const subject = { actor: `task:${task.id}`, task: task.id, agent: task.agent, lease: plan.row.id }
  try {
    return { ...opened, credential: await mintRemotely(broker, plan, subject) }
  } catch (error) {
    // The caller never learns the task's token, so nobody could end it.
    await endTask(broker, task.id, 'failed', {
      actor: 'broker',
      detail: FIRST_CREDENTIAL_FAILED,
    })
    throw error
  }
}

/** In what sound evidence does not go with the request that brought it: a rejection and its detail. */
function mismatchOf(request: OpenRequest, identity: Identity): [string, string] | undefined {
  const { held = {}, subject } = request
  if (!isHeld(identity.boundKey, held)) return ['key_not_shown', 'it is bound to a key that was not shown']
  if (subject !== undefined && subject !== identity.subject)
    return ['subject_other', 'the caller says that it is somebody else']
  if (identity.request !== undefined && identity.request !== signedForDigest(request))
    return ['request_other', 'it was given for another purpose, agent, time or asks']
  return undefined
}

/**
 * Evidence that was used is answered as that, whatever else is wrong with the request: looked up before anything
 * is asked of a provider, and otherwise only where there is a refusal to replace. The ledger's unique key is what
 * decides in the end.
 */
async function judgeRequest(
  broker: Broker,
  request: OpenRequest,
  { identity, presented, now }: { identity: Identity; presented: PresentedHuman | undefined; now: number },
) {
  const digest = digestOfRequest(broker, request, identity, presented)
  const used = claimsOf(broker, identity, { parent: undefined, presented }, digest)
  const refuseUsed = async () => {
    for (const one of [used.claim, used.beside]) await refuseSpent(broker, one)
  }
  const asksProvider = request.asks.some(({ issuer }) => broker.issuers.get(issuer)?.resolve !== undefined)
  if (asksProvider) await refuseUsed()
  try {
    const agent = await identifyAgent(broker, identity, request, now)
    await holdEvidenceToBuild(broker, agent, identity)
    demandPosture(agent, identity)
    // What bounds it: its own ceiling, and the ticket's and the ancestors' where it is a child.
    const parent = await parentOf(broker, request.ticket, agent)
    const claims = claimsOf(broker, identity, { parent, presented }, digest)
    if (claims.claim?.what === 'ticket') await refuseSpent(broker, claims.claim)
    const { purpose } = request
    const human = await humanFor(broker, { agent, parent, presented }, { identity, purpose })
    const judged = await judge(broker, agent, identity, { parent, human }, request)
    const binding = await bindingOf(broker, identity, request.lifetime)
    await demandRunning(broker, agent, identity)
    const reuse = reuseOf(broker, identity, request.held ?? {}, digest)
    return { agent, parent, human, ...claims, reuse, judged, binding }
  } catch (error) {
    if (!asksProvider) await refuseUsed()
    throw error
  }
}

async function identifyAgent(
  broker: Broker,
  identity: Identity,
  { agent: named, trusted }: Pick<OpenRequest, 'agent' | 'trusted'>,
  now: number,
): Promise<Agent> {
  const match =
    trusted === undefined
      ? matchAgent(broker.agents().values(), identity, named, now)
      : matchTrusted(broker.agents().get(named ?? ''), identity, trusted.audiences, now)
  if (match === undefined)
    throw new BrokerError('configuration_stale', 'the agent was just registered, and is not known here yet')
  if (match.ok) return match.agent
  throw await denyUnmatched(broker, identity, match)
}

async function parentOf(
  broker: Broker,
  ticket: Secret | undefined,
  agent: Agent,
): Promise<Parent | undefined> {
  if (ticket === undefined) return undefined
  const row = await broker.ledger.read.ticketByToken(broker.keyring.tokenHash(ticket.reveal()))
  // A ticket that was used is looked at again when it is claimed: its answer may have been lost.
  if (row === undefined || row.agent !== agent.name) throw ticketRejected()
  verifiedTicket(broker, row)
  const parent = await broker.ledger.read.task(row.parent_task)
  if (parent === undefined || parent.state !== 'active') throw ticketRejected()
  return { ticket: row, line: [...(await broker.ledger.read.ancestors(parent.id)), parent] }
}

const isQuarantine = (error: unknown) => error instanceof BrokerError && error.code === 'agent_quarantined'

/** @param standing whether it is asked for before the locks; always, where somebody else is told of the asks. */
async function judge(
  broker: Broker,
  agent: Agent,
  identity: Identity,
  { parent, human }: { parent: Parent | undefined; human: Human | undefined },
  request: OpenRequest,
  standing: 'asking' | 'under locks' = 'under locks',
): Promise<Judged> {
  const bounds = [
    ...(parent === undefined ? [] : [...(await boundsOf(broker, parent.line)), ticketBound(parent.ticket)]),
    ...(await boundsOf(broker, [{ agent: agent.name, ticket: null }])),
  ]
  const asks = await resolveAsks(broker, request.asks, { bounds, agent: agent.name })
  const { minutes, purpose } = request
  const isJudgedAlone = broker.policy.hash() === 'none' && !isWatched(broker) && human === undefined
  const about = {
    ...{ task: null, agent: agent.name, identity: identityFacts(identity), purpose },
    deadline: deadlineOf(broker, { agent, parent, minutes }, broker.now()),
    line: parent?.line ?? [],
    ...(request.declared === undefined ? {} : { declared: request.declared }),
    ...(human === undefined ? {} : { human }),
    ...(isJudgedAlone && standing === 'under locks' ? { heldUnderLocks: true as const } : {}),
  }
  const { row: decision, asks: verdicts } = await decide(broker, about, asks, bounds)
  await demandAllowed(broker, decision, 'the agent may not have what was asked')
  return { asks, decision, verdicts }
}

/** Whether a candidate set of policies is shown what is asked. */
const isWatched = ({ shadow }: Pick<Broker, 'shadow'>) => (shadow?.status().hash ?? null) !== null

type Recorded = {
  task: TaskRow
  asks: AskRow[]
  approvals: readonly PlannedApproval[]
  judged: Judged
  parent: Parent | undefined
  binding: Binding | undefined
  claim: Claim | undefined
  beside: Claim | undefined
  reuse: Reuse | undefined
  agent: Agent
  cannotWait: true | undefined
}

/** Rolls the opening back: whoever opens cannot wait, and nobody had agreed to it beforehand. */
class HumansNeeded extends Error {}

async function refuseWaiting(broker: Broker, decision: DecisionRow): Promise<BrokerError> {
  await broker.ledger.write(tx => recordDenial(tx, decision))
  const problem =
    'humans must agree to this first, and callers here cannot wait: have it agreed to beforehand, or open the task at /v1/tasks'
  return new BrokerError('ask_denied', problem, { decision: decision.id })
}

/** @returns the task as it stands, and the id of the one that it replaces, where its evidence came again after a lost answer. */
async function recordTask(
  broker: Broker,
  tx: LedgerWrite,
  it: Recorded,
): Promise<{ task: TaskRow; replaced: string | undefined }> {
  const { parent, binding } = it
  if (binding !== undefined) await enterWork(broker, tx, binding)
  const above = parent?.line.at(-1)
  const phases = it.judged.asks.map(({ issuer, ask }) => issuer.facts(ask).phase)
  if (above !== undefined) await lockMintable(broker, tx, above.id, phases)
  // Asked at once, and run in this order: what is read is read after the lock.
  const [, , blocks] = await Promise.all([
    lockAgent(broker, tx, it.task.agent, phases),
    demandGeneration(broker, tx),
    tx.blocks(),
  ])
  const claimed = await claimEvidence(broker, tx, it.claim, it.task)
  await claimBeside(broker, tx, it.beside, it.task, claimed)
  const { task, replaced: earlier = claimed } = await reuseEvidence(broker, tx, it.reuse, {
    task: it.task,
    phases,
  })
  if (parent !== undefined) await redeem(tx, parent, task, earlier)
  await tx.insertTask(task, parent === undefined ? [] : parent.line.map(row => row.id))
  if (binding !== undefined) await tx.bindTask({ ...binding, task: task.id })
  await tx.insertDecision({ ...it.judged.decision, task: task.id })
  for (const ask of it.asks) await tx.insertAsk(ask)
  const waiting = await requestApprovals(broker, tx, it.approvals)
  if (waiting > 0 && it.cannotWait) throw new HumansNeeded()
  await requireCheckIns(broker, tx, it.agent, task)
  await refuseBlocked(broker, tx, { task: task.id, agent: task.agent, asks: it.asks }, blocks)
  await record(
    tx,
    earlier === undefined ? 'task.opened' : 'task.reissued',
    { actor: `agent:${task.agent}`, task: task.id, agent: task.agent },
    {
      decision: it.judged.decision.id,
      ...worded(binding),
      ...behalfOf(task),
      ...(earlier === undefined ? {} : { instead_of: earlier }),
    },
  )
  // Late: every opening of this agent waits for these rows until the transaction is over.
  await takeTask(broker, tx, task)
  return { task, replaced: earlier }
}

/** Once; or again by the task that takes the place of the one that had redeemed it. */
async function redeem(
  tx: LedgerWrite,
  { ticket }: Parent,
  task: TaskRow,
  earlier: string | undefined,
): Promise<void> {
  if ((await tx.redeemTicket(ticket.token_hash, task.id)) !== undefined) return
  if (earlier === undefined || !(await tx.passTicket(ticket.id, { from: earlier, to: task.id })))
    throw ticketRejected()
}

/** What a retry must repeat to be one: the request, by the same workload. The ticket is named by its hash. */
function digestOfRequest(
  broker: Broker,
  request: OpenRequest,
  { attestor, issuer, subject, claims }: Identity,
  presented: PresentedHuman | undefined,
): string {
  const { agent = null, purpose, minutes = null, heartbeatSeconds = null, asks, mintFirst } = request
  const { lifetime = null, declared = null, wish = {} } = request
  const ticket = request.ticket === undefined ? null : canonicalDigest(request.ticket.reveal())
  const wanted = { agent, purpose, minutes, heartbeatSeconds, asks, mintFirst, ticket, lifetime, declared }
  const human = presented === undefined ? {} : { human: presented.human.use }
  // A thief's copy of the request without the keys that were shown with it, or with another, is another request.
  const keys = request.held ?? {}
  // Fresh statements that say the same are the same request; those that say something else are judged anew.
  const proven = postureOf(broker, claims)
  const posture = Object.keys(proven).length === 0 ? {} : { posture: proven }
  return canonicalDigest({
    ...wanted,
    wish,
    ...human,
    ...keys,
    ...posture,
    by: { attestor, issuer, subject },
  })
}
