/**
 * One mint: intend (durable), call the issuer, judge what came back, make it active (durable), answer.
 * A local signature needs one commit, a remote credential two.
 */
import { type Issued, ProviderUnavailable, type Refused } from '../../../issuers/issuer.ts'
import type { Secret } from '../../../issuers/shared/secret.ts'
import { type AuditEvent, type AuditSubject, record } from '../../audit/record.ts'
import { LIMITS, MINUTE_MS } from '../../limits.ts'
import { LedgerUnavailable, type LedgerWrite } from '../../store/ledger.ts'
import type { ApprovalRow, AskRow, DecisionRow, LeaseRow, TaskRow } from '../../store/rows.ts'
import { spendApproval } from '../approvals/spend-approval.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { cutCredential, giveCredential, takeCredential } from '../budgets/credential-budget.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { secretPrints } from '../leaks/secret-prints.ts'
import { areUnchanged, lockMintable } from '../lock-mintable.ts'
import { refuseBlocked } from '../revocations/refuse-blocked.ts'
import { takeTurns } from './held-turns.ts'
import { issuerOf, type LeasePlan, minted, planLease } from './lease-plan.ts'
import { providerRefused } from './provider-refused.ts'

/** A credential as its owner gets it. `expiresAt` is Mayfly's promise; both times are epoch ms. */
export type Credential = {
  lease: string
  ask: string
  issuer: string
  secret: Secret
  format: 'token' | 'json'
  granted: unknown
  revocability: LeaseRow['revocability']
  expiresAt: number
  providerExpiresAt: number
  details: Readonly<Record<string, string | number>>
}

/** What a mint is allowed by. */
export type Allowed = {
  ask: AskRow
  decision: DecisionRow
  /** Whether the decision stands in the ledger already; else it is kept with the mint. */
  isKept: boolean
  /** What it is minted under, where policy asked for one. */
  approval?: ApprovalRow
}

/**
 * A credential for an ask that was already granted to an active task.
 * @throws ApprovalDrifted
 */
export async function issueCredential(
  broker: Broker,
  task: TaskRow,
  { ask, decision, isKept, approval }: Allowed,
  ancestors: readonly TaskRow[],
): Promise<Credential> {
  const decided = { ...ask, decision: decision.id }
  const plan = { ...planLease(broker, task, decided, chainOf(ancestors)), approval: approval?.id }
  const subject = { actor: `task:${task.id}`, task: task.id, agent: task.agent, lease: plan.row.id }

  // 1. A local signature is made first: nothing exists until it leaves this process.
  const local = issuerOf(broker, ask.issuer).mintsLocally ? await signLocally(broker, plan) : undefined

  // 2. Intend, under the locks that an end takes.
  const minting = { ask, deadline: plan.grant.expiresAt, lease: plan.row.id }
  await keepRefusal(broker, { ...decision, agent: task.agent }, () =>
    broker.ledger.write(async tx => {
      const line = await lockMintable(broker, tx, task.id, [plan.row.phase])
      await refuseBlocked(broker, tx, { task: task.id, agent: task.agent, asks: [ask] })
      if (approval !== undefined) await spendApproval(broker, tx, approval, { ...minting, line })
      if (!isKept) await tx.insertDecision(decision)
      await takeTaskBudget(broker, tx, task.id)
      await intend(broker, tx, plan, local)
    }),
  )
  broker.recorded?.()
  if (local !== undefined) return credentialOf(plan, local)

  // 3. Mint, judge, activate.
  return mintRemotely(broker, plan, subject)
}

/** Beside the one that a task may be opened with. No task is longer than what the counter is kept for. */
async function takeTaskBudget({ limits }: Broker, tx: LedgerWrite, task: string): Promise<void> {
  const most = limits.credentialsPerTask
  if (await tx.takeBudget(`task_credentials/${task}`, most, tx.now + LIMITS.taskMinutes * MINUTE_MS)) return
  const message = `a task may be given ${most} credentials after it was opened`
  throw new BrokerError('budget_exhausted', message, { bound: 'credentials of a task' })
}

/** Records the intent, or the finished lease where it was signed locally. Runs under `lockMintable`. */
export async function intend(
  broker: Broker,
  tx: LedgerWrite,
  plan: LeasePlan,
  local: Issued<unknown> | undefined,
): Promise<void> {
  const row = { ...plan.row, intended_at: tx.now }
  const subject = { actor: `task:${row.task}`, task: row.task, agent: row.agent, lease: row.id }
  if (local === undefined) {
    await tx.insertLease(row)
    await record(tx, 'lease.intended', subject, mintedBy(plan))
  } else {
    await tx.insertLease({ ...row, ...minted(broker, plan, local), state: 'active', active_at: tx.now })
    await record(tx, 'lease.activated', subject, mintedBy(plan))
  }
  // Last: every mint of this agent may wait for these rows until the transaction is over.
  await takeTurns(broker, tx, row)
  await takeCredential(broker, tx, plan, local)
}

const mintedBy = ({ row: { issuer }, decision }: LeasePlan) => ({
  issuer,
  ...(decision === null ? {} : { decision }),
})

/** Signs, and holds the signer to what was asked: a local issuer is judged like any other. */
export async function signLocally(broker: Broker, plan: LeasePlan): Promise<Issued<unknown>> {
  const outcome = await plan.issuer.issue(plan.grant)
  if (!outcome.ok) throw providerRefused(broker, plan.row.issuer, outcome)
  if (isWider(broker, plan, outcome)) throw answeredWider()
  broker.log.debug({ lease: plan.row.id, issuer: plan.row.issuer }, 'signed')
  return outcome
}

/** The provider call and everything that may come of it. The intent is durable when this is called. */
export async function mintRemotely(
  broker: Broker,
  plan: LeasePlan,
  subject: { actor: string; task: string; agent: string; lease: string },
): Promise<Credential> {
  const lease = plan.row.id
  let outcome: Issued<unknown> | Refused
  try {
    outcome = await plan.issuer.issue(plan.grant)
  } catch (cause) {
    throw await notMinted(broker, plan, cause, subject)
  }
  if (!outcome.ok) {
    const { reason, detail } = outcome
    await closeUnminted(broker, plan, 'lease.refused', subject, { reason, detail })
    throw providerRefused(broker, plan.row.issuer, outcome)
  }
  const state = await activate(broker, plan, outcome, isWider(broker, plan, outcome), subject)
  if (state === 'active') return credentialOf(plan, outcome)
  broker.wake()
  if (state === 'ended')
    throw new BrokerError('task_not_active', 'the task ended while the credential was being minted')
  if (state === 'stale')
    throw new BrokerError(
      'configuration_stale',
      'the agent was changed while the credential was being minted',
    )
  broker.log.error({ alarm: 'provider_answered_wider', lease, issuer: plan.row.issuer }, 'revoking at once')
  throw answeredWider()
}

/**
 * No answer. Unless the issuer knows that it never asked, something may exist: the lease then stays until
 * `dead_by`, and nothing is said to be revoked.
 */
async function notMinted(
  broker: Broker,
  plan: LeasePlan,
  cause: unknown,
  subject: AuditSubject,
): Promise<BrokerError> {
  const { id: lease, issuer } = plan.row
  const down = cause instanceof ProviderUnavailable ? cause : undefined
  if (down?.nothingMinted) {
    broker.log.warn({ lease, issuer, err: cause }, 'nothing was minted')
    await closeUnminted(broker, plan, 'lease.never_minted', subject, {})
  } else {
    broker.log.warn({ lease, issuer, err: cause }, 'the mint has no known outcome')
    await broker.ledger.write(async tx => {
      if ((await tx.revokeLease(lease)) !== undefined) await record(tx, 'lease.outcome_unknown', subject)
    })
  }
  return new BrokerError('provider_unavailable', `${issuer} did not answer; try again`, {
    cause,
    ...(down?.retryAfterMs === undefined ? {} : { retryAfterMs: down.retryAfterMs }),
  })
}

/** The minter's word that nothing exists: the only one that closes a lease before `dead_by`. */
async function closeUnminted(
  broker: Broker,
  plan: LeasePlan,
  event: AuditEvent,
  subject: AuditSubject,
  why: Readonly<Record<string, unknown>>,
): Promise<void> {
  await broker.ledger.write(async tx => {
    const from = ['intended', 'revoking'] as const
    const closed = await tx.closeLease(plan.row.id, null, { closed_as: 'never_minted', from })
    if (closed === undefined) return
    if (plan.approval !== undefined) await tx.unspendApproval(plan.approval)
    await record(tx, event, subject, why)
    await settle(tx, plan.row.task)
    await giveCredential(tx, plan, closed.intended_at)
  })
}

/**
 * Seals the secret onto the row, whatever became of the lease meanwhile: its task may have ended, and its agent
 * may be another than it was judged by.
 */
async function activate(
  broker: Broker,
  plan: LeasePlan,
  issued: Issued<unknown>,
  wider: boolean,
  subject: { actor: string; task: string; agent: string; lease: string },
): Promise<'active' | 'ended' | 'wider' | 'stale'> {
  const lease = plan.row.id
  const row = minted(broker, plan, issued)
  const prints = secretPrints(broker.keyring, {
    ...{ lease, format: plan.issuer.secretFormat, secret: issued.secret.reveal() },
  })
  const insertPrints = async (tx: LedgerWrite) => {
    for (const print of prints) await tx.insertPrint(print)
  }
  try {
    const became = await broker.ledger.write(async tx => {
      const unchanged = await areUnchanged(tx, plan.judgedBy, plan.row.phase)
      if (!(await tx.activateLease(lease, row))) {
        const attached = await tx.attachSecret(lease, row)
        if (attached) await insertPrints(tx)
        if (attached) await record(tx, 'lease.minted_after_end', subject)
        await cutCredential(tx, plan, tx.now)
        return attached ? 'ended' : 'unknown'
      }
      const state = wider ? 'wider' : unchanged ? 'active' : 'stale'
      await insertPrints(tx)
      await record(tx, ACTIVATED[state], subject, mintedBy(plan))
      if (state !== 'active') await tx.revokeLease(lease)
      await cutCredential(tx, plan, state === 'active' ? row.expires_at : tx.now)
      return state
    })
    // Closed, or of a ledger that was put back under this mint: nobody else will end it.
    if (became !== 'unknown') return became
    await rescue(broker, plan, issued, subject)
    return 'ended'
  } catch (error) {
    await rescue(broker, plan, issued, subject)
    throw error
  }
}

const ACTIVATED = {
  active: 'lease.activated',
  wider: 'lease.answered_wider',
  stale: 'lease.judged_by_former_agent',
} as const

/**
 * The ledger could not take the secret, or has no lease for it, so the provider is told at once, while the secret is still at hand.
 * What fails here is left as intended: the ledger knows it until `dead_by`.
 */
async function rescue(
  broker: Broker,
  plan: LeasePlan,
  issued: Issued<unknown>,
  subject: { actor: string; task: string; agent: string; lease: string },
): Promise<void> {
  const { issuer, row } = plan
  const handle = {
    lease: row.id,
    ask: issued.granted,
    secret: issued.secret,
    providerExpiresAt: issued.providerExpiresAt,
  }
  try {
    // A group's document is written from the ledger, and by the reaper alone.
    if (row.revocability === 'expiry_only' || row.revocation_group !== null) return
    await issuer.revoke(handle)
    if ((await issuer.probe(handle)) !== 'dead') return
    await broker.ledger.write(async tx => {
      const to = { closed_as: 'revoked', revoked_at: tx.now, confirmed_dead_at: tx.now } as const
      if ((await tx.closeLease(row.id, null, to)) === undefined) return
      await record(tx, 'lease.closed', subject, { closed_as: 'revoked' })
      await settle(tx, row.task)
      await cutCredential(tx, plan, tx.now)
    })
  } catch (cause) {
    const level = cause instanceof LedgerUnavailable ? 'warn' : 'error'
    broker.log[level]({ lease: row.id, issuer: row.issuer, err: cause }, 'left for the reaper')
  }
}

async function settle(tx: LedgerWrite, task: string): Promise<void> {
  for (const id of await tx.settleTasks([task]))
    await record(tx, 'task.settled', { actor: 'broker', task: id })
}

/** Wider than asked, or a credential nobody can end that outlives its task by more than the ceiling allows. */
function isWider(broker: Broker, plan: LeasePlan, issued: Issued<unknown>): boolean {
  if (!plan.issuer.covers(plan.grant.ask, issued.granted)) return true
  if (plan.row.revocability !== 'expiry_only') return false
  const minutes = broker.agents().get(plan.row.agent)?.may_outlive_minutes[plan.row.issuer] ?? 0
  return issued.providerExpiresAt > plan.grant.expiresAt + minutes * MINUTE_MS
}

function answeredWider(): BrokerError {
  return new BrokerError(
    'provider_answered_wider',
    'the provider gave more than was asked; it is being revoked',
  )
}

export function credentialOf(plan: LeasePlan, issued: Issued<unknown>): Credential {
  return {
    lease: plan.row.id,
    ask: plan.row.ask_id,
    issuer: plan.row.issuer,
    secret: issued.secret,
    format: plan.issuer.secretFormat,
    granted: issued.granted,
    revocability: plan.row.revocability,
    expiresAt: Math.min(plan.grant.expiresAt, issued.providerExpiresAt),
    providerExpiresAt: issued.providerExpiresAt,
    details: issued.details ?? {},
  }
}

/** Nearest first, as an `act` chain reads. */
export function chainOf(ancestors: readonly Pick<TaskRow, 'agent'>[]): { sub: string }[] {
  return ancestors.map(task => ({ sub: task.agent })).reverse()
}
