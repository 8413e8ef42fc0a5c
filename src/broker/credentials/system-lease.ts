import type { Issued, Refused } from '../../../issuers/issuer.ts'
import { record } from '../../audit/record.ts'
import { canonicalDigest } from '../../canonical.ts'
import { SYSTEM_AGENT } from '../../policy/agent.ts'
import type { AskRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { takeLookup } from '../budgets/hourly-budget.ts'
import { keepRefusal } from '../decisions/keep-refusal.ts'
import { demandGeneration } from '../lock-mintable.ts'
import { refuseBlocked } from '../revocations/refuse-blocked.ts'
import { endTask } from '../tasks/end-task.ts'
import { taskMac } from '../verified-rows.ts'
import { type Credential, intend, mintRemotely } from './issue-credential.ts'
import { planLease } from './lease-plan.ts'
import { ProviderRefused } from './provider-refused.ts'

/**
 * A credential whose answer alone is wanted (resolving names to ids): it is on its way to being revoked when
 * this returns. It counts against the agent that made the broker ask.
 */
export async function mintOwn(
  broker: Broker,
  issuer: string,
  ask: unknown,
  onBehalfOf: string,
): Promise<Issued<unknown> | Refused> {
  return lendOwn(broker, issuer, ask, onBehalfOf, async own => {
    const { secret, granted, providerExpiresAt, details } = own
    return { ok: true, secret, granted, providerExpiresAt, details }
  })
}

/** The same, where the answer alone is not enough: `use` has the credential until it is done. */
export async function lendOwn<Result>(
  broker: Broker,
  issuer: string,
  ask: unknown,
  onBehalfOf: string,
  use: (own: Credential) => Promise<Result>,
): Promise<Result | Refused> {
  const about = { task: null, agent: onBehalfOf, facts: JSON.stringify({ agent: onBehalfOf }) }
  try {
    return await keepRefusal(broker, about, async () => {
      await broker.ledger.write(tx => takeLookup(broker, tx, onBehalfOf))
      return withOwnLease(broker, issuer, ask, `look up at ${issuer}`, use)
    })
  } catch (error) {
    if (!(error instanceof ProviderRefused)) throw error
    return error.refused
  }
}

/**
 * A credential for the broker's own use, held to the same rules as any other: it is a lease of a task, and the
 * task ends as soon as `use` is done with it.
 *
 * @throws BrokerError where it could not be minted, and whatever `use` throws.
 */
export async function withOwnLease<Result>(
  broker: Broker,
  issuer: string,
  ask: unknown,
  purpose: string,
  use: (credential: Credential) => Promise<Result>,
): Promise<Result> {
  const { task, askRow } = systemTask(broker, issuer, ask, purpose)
  const plan = planLease(broker, task, askRow, [])
  await broker.ledger.write(async tx => {
    await tx.insertTask(task, [])
    await tx.insertAsk(askRow)
    await tx.lockMintGate()
    await demandGeneration(broker, tx)
    await refuseBlocked(broker, tx, { task: task.id, agent: SYSTEM_AGENT, asks: [askRow] })
    await record(tx, 'task.opened', { actor: 'broker', task: task.id, agent: SYSTEM_AGENT }, { issuer })
    await intend(broker, tx, plan, undefined)
  })
  try {
    const credential = await mintRemotely(broker, plan, {
      actor: 'broker',
      task: task.id,
      agent: SYSTEM_AGENT,
      lease: plan.row.id,
    })
    return await use(credential)
  } finally {
    await endTask(broker, task.id, 'completed', { actor: 'broker' })
  }
}

function systemTask(
  broker: Broker,
  issuer: string,
  ask: unknown,
  purpose: string,
): { task: TaskRow; askRow: AskRow } {
  const now = broker.now()
  const unsigned = {
    id: broker.newId('tsk'),
    parent: null,
    depth: 0,
    agent: SYSTEM_AGENT,
    agent_digest: '',
    system: 1,
    state: 'active',
    end: null,
    end_detail: null,
    purpose,
    identity: '{}',
    evidence: null,
    ticket: null,
    human: null,
    human_facts: null,
    token_hash: null,
    bound_key: null,
    read_only: 0,
    token_used_at: null,
    opened_at: now,
    deadline: now + broker.limits.systemTaskMs,
    heartbeat_ms: null,
    heartbeat_due: null,
    ended_at: null,
    settled_at: null,
  } as const
  const row = { ...unsigned, root: unsigned.id }
  const askRow: AskRow = {
    id: broker.newId('ask'),
    task: row.id,
    issuer,
    ask: JSON.stringify(ask),
    digest: canonicalDigest(ask),
    state: 'granted',
    decision: '',
    created_at: now,
  }
  return { task: { ...row, mac: taskMac(broker, row) }, askRow }
}
