import { createHash } from 'node:crypto'
import type { Actor, Grant, Issued, Issuer } from '../../../issuers/issuer.ts'
import type { AskRow, LeaseRow, TaskRow } from '../../store/rows.ts'
import { boundKeyOf } from '../bound/held-keys.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type CredentialBudgets, credentialBudgets } from '../budgets/credential-budget.ts'
import { onBehalfOf } from '../people/human.ts'

/** One mint about to happen: what the issuer is told, and the row that is durable before it is told. */
export type LeasePlan = {
  issuer: Issuer
  grant: Grant<unknown>
  row: LeaseRow
  /** What humans agreed to, where it is minted under that. */
  approval?: string | undefined
  /** The decision that it is minted by; null where the broker mints for itself. */
  decision: string | null
  /** The agents it was judged by, the task's own and those above, as they were then. */
  judgedBy: readonly { name: string; digest: string }[]
  budgets: CredentialBudgets
}

export function issuerOf(broker: Broker, name: string): Issuer {
  const issuer = broker.issuers.get(name)
  if (issuer === undefined)
    throw new BrokerError(
      'ask_invalid',
      `no issuer is called ${JSON.stringify(name)}; known are ${sharedIssuers(broker).join(', ') || 'none'}`,
    )
  return issuer
}

/** What teams registered is nobody else's to learn of. */
export function sharedIssuers({ issuers }: Pick<Broker, 'issuers'>): string[] {
  return [...issuers.keys()].filter(name => !name.includes('.'))
}

/** @param chain agents of the ancestors, nearest first. */
export function planLease(
  broker: Broker,
  task: Pick<TaskRow, 'id' | 'root' | 'agent' | 'deadline' | 'human_facts' | 'bound_key'>,
  ask: Pick<AskRow, 'id' | 'issuer' | 'ask' | 'decision'>,
  chain: readonly Actor[],
): LeasePlan {
  const issuer = issuerOf(broker, ask.issuer)
  const wanted: unknown = JSON.parse(ask.ask)
  const now = broker.now()
  const mintNotAfter = now + issuer.mintWindowMs
  const deadBy = mintNotAfter + issuer.longestLifeMs + broker.limits.clockSkewMs
  const lease = broker.newId('lse')
  const facts = issuer.facts(wanted)
  const revocability = issuer.revocabilityOf?.(wanted) ?? issuer.revocability
  const names = new Set([task.agent, ...chain.map(actor => actor.sub)])
  const judgedBy = [...names].flatMap(name => broker.agents().get(name) ?? [])
  const row: LeaseRow = {
    id: lease,
    task: task.id,
    ask_id: ask.id,
    agent: task.agent,
    issuer: ask.issuer,
    state: 'intended',
    closed_as: null,
    revocability,
    phase: facts.phase,
    granted: ask.ask,
    may_leave_access: facts.mayLeaveAccess ? 1 : 0,
    intended_at: now,
    mint_not_after: mintNotAfter,
    dead_by: deadBy,
    active_at: null,
    expires_at: task.deadline,
    provider_expires_at: null,
    revoking_at: null,
    due_at: deadBy,
    attempts: 0,
    last_error: null,
    fence: 0,
    claimed_until: null,
    sealed_secret: null,
    secret_sha256: null,
    revoked_at: null,
    confirmed_dead_at: null,
    closed_at: null,
    revocation_group: revocability === 'expiry_only' ? null : (issuer.group?.(wanted) ?? null),
    proof: null,
  }
  return {
    issuer,
    judgedBy,
    decision: ask.decision === '' ? null : ask.decision,
    budgets: credentialBudgets(broker, task, row),
    row,
    grant: {
      lease,
      ask: wanted,
      task: task.id,
      agent: task.agent,
      chain,
      ...onBehalfOf(task),
      ...confirmationOf(task),
      expiresAt: task.deadline,
      mintNotAfter,
    },
  }
}

function confirmationOf(task: Pick<TaskRow, 'bound_key'>) {
  const boundKey = boundKeyOf(task)
  return boundKey === undefined ? {} : { boundKey }
}

/** What an active lease is, once the provider answered. Sealed before anything judges it. */
export function minted(broker: Broker, plan: LeasePlan, issued: Issued<unknown>) {
  const secret = issued.secret.reveal()
  const expiresAt = Math.min(plan.grant.expiresAt, issued.providerExpiresAt)
  return {
    granted: JSON.stringify(issued.granted),
    may_leave_access: plan.issuer.facts(issued.granted).mayLeaveAccess ? 1 : 0,
    expires_at: expiresAt,
    provider_expires_at: issued.providerExpiresAt,
    due_at: firstDue(broker, plan.row, expiresAt, issued.providerExpiresAt),
    sealed_secret: isHeld(plan)
      ? broker.keyring.seal(secret, { row: plan.row.id, column: 'sealed_secret' })
      : null,
    secret_sha256: secretHash(secret),
  } as const
}

/** The moment at which Mayfly's promise needs the reaper: one shorter than the provider's life must be kept. */
export function promiseDue(broker: Broker, expiresAt: number, providerExpiresAt: number): number {
  return expiresAt < providerExpiresAt ? expiresAt : expiresAt + broker.limits.clockSkewMs
}

/** A member of a group is seen at work soon after its mint, so that its death can be told later. */
function firstDue(
  broker: Broker,
  row: Pick<LeaseRow, 'revocation_group'>,
  expiresAt: number,
  providerExpiresAt: number,
): number {
  const promise = promiseDue(broker, expiresAt, providerExpiresAt)
  if (row.revocation_group === null) return promise
  return Math.min(promise, Math.floor(broker.now()) + broker.limits.firstLookAfterMs)
}

/** What only expiry ends needs no secret to be ended. */
function isHeld({ issuer, row }: LeasePlan): boolean {
  return issuer.holdsSecret && row.revocability !== 'expiry_only'
}

/** How a presented credential is found again: credentials have high entropy, so a plain hash is enough. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}
