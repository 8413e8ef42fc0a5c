/**
 * Evidence in, a task out; where asked, with its first credential in the same answer.
 */
import type { Secret } from '../../../issuers/shared/secret.ts'
import type { AskRow, DecisionRow, TaskRow } from '../../store/rows.ts'
import { asTheyStand, planApprovals } from '../approvals/ask-approval.ts'
import { isHeld, keyToBind } from '../bound/held-keys.ts'
import type { Broker, Identity } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import {
  type Credential,
  chainOf,
  credentialOf,
  intend,
  mintRemotely,
  signLocally,
} from '../credentials/issue-credential.ts'
import { planLease } from '../credentials/lease-plan.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { recordDenial } from '../decisions/record-decision.ts'
import { presentedHuman } from '../people/on-behalf-of.ts'
import { signedForDigest } from '../people/signed-for.ts'
import { attest, rejectEvidence } from './attest.ts'
import { rejectOver, WorkOver } from './bind-work.ts'
import {
  FIRST_CREDENTIAL_FAILED,
  refuseAgain,
  refuseSpent,
  reissued,
  SpentEvidence,
} from './claim-evidence.ts'
import { endTask } from './end-task.ts'
import { judgeAsks, judgeOpening } from './judge-opening.ts'
import { newAsk, newTask } from './new-task.ts'
import type { OpenRequest } from './open-request.ts'
import { withPosture } from './posture.ts'
import { HumansNeeded, recordOpening } from './record-opening.ts'
import { demandNewer } from './restored.ts'

export type OpenedTask = {
  task: TaskRow
  token: Secret
  asks: AskRow[]
  decision: string
  credential?: Credential
}

export async function openTask(broker: Broker, request: OpenRequest): Promise<OpenedTask> {
  // 1. Attest the workload, and the human on whose behalf it comes.
  const attested = await attest(broker, request.evidence)
  const mismatch = mismatchOf(request, attested)
  if (mismatch !== undefined) throw await rejectEvidence(broker, attested.attestor, ...mismatch)
  const [now] = await Promise.all([broker.ledger.now(), demandNewer(broker, attested)])
  const identity = await withPosture(broker, attested, request.statements ?? [], request.held ?? {})
  const presented = await presentedHuman(broker, request, identity)

  // 2. Find the one agent this is, and judge what it asks for.
  const found = await judgeOpening(broker, request, { identity, presented, now })
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
    const about = { ...judged.decision, agent: agent.name }
    opening = await keepRefusal(broker, about, () =>
      broker.ledger.write(async tx => {
        const done = await recordOpening(broker, tx, recorded)
        if (plan !== undefined) await intend(broker, tx, plan, local)
        return done
      }),
    )
  } catch (error) {
    if (error instanceof SpentEvidence) throw await refuseAgain(broker, error.claim, error.earlier)
    if (error instanceof WorkOver) throw await rejectOver(broker, identity.attestor, error)
    if (error instanceof HumansNeeded) throw await refuseWaiting(broker, judged.decision)
    if (isQuarantine(error)) {
      // Told as the denial that it is, with a decision to look up; unless there is worse to tell.
      for (const one of [claim, beside]) await refuseSpent(broker, one)
      await judgeAsks(broker, agent, identity, { parent, human }, request, 'asking')
    }
    throw error
  }
  broker.recorded?.()
  const { replaced } = opening
  if (replaced !== undefined) reissued(broker, task.id, replaced)
  // The reaper looks at least every backstop: what is due later than that need not wake it.
  if (replaced !== undefined || task.deadline - task.opened_at <= broker.limits.reaperBackstopMs)
    broker.wake()

  // 5. Answer, minting remotely where that was asked.
  if (approvals.length > 0 || replaced !== undefined) broker.outbox.wake()
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

const isQuarantine = (error: unknown) => error instanceof BrokerError && error.code === 'agent_quarantined'

async function refuseWaiting(broker: Broker, decision: DecisionRow): Promise<BrokerError> {
  await broker.ledger.write(tx => recordDenial(tx, decision))
  const problem =
    'humans must agree to this first, and callers here cannot wait: have it agreed to beforehand, or open the task at /v1/tasks'
  return new BrokerError('ask_denied', problem, { decision: decision.id })
}
