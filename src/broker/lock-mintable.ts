import type { Phase } from '../../issuers/issuer.ts'
import type { LedgerWrite } from '../store/ledger.ts'
import type { MintingAgentRow, TaskRow } from '../store/rows.ts'
import { demandWorking, mayHold, policyStatus } from './agents/agent-transitions.ts'
import type { Broker } from './broker.ts'
import { BrokerError } from './broker-error.ts'
import { verifyMintingAgent } from './verified-rows.ts'

/**
 * Locks what a mint or a child-open stands on, so that no end, suspension or kill can slip in between:
 * the task's line root first, then their agents. A task that is not active, or past its deadline, or below one
 * that is, mints nothing.
 *
 * @param phases of what is about to be granted or minted: below an agent in quarantine nothing but reading is.
 */
export async function lockMintable(
  broker: Broker,
  tx: LedgerWrite,
  task: string,
  phases: readonly (Phase | null)[] = [],
): Promise<TaskRow[]> {
  const line = await tx.lockLineage(task, 'share')
  if (line.length === 0) throw new BrokerError('not_found', 'no such task')
  for (const one of line) {
    if (one.state !== 'active' || one.deadline <= tx.now)
      throw new BrokerError('task_not_active', 'the task, or one above it, has ended')
    if (one.read_only === 1 && phases.some(phase => phase !== 'read')) throw readsOnly()
  }
  const agents = new Set(line.filter(one => one.system === 0).map(one => one.agent))
  for (const agent of agents) await lockAgent(broker, tx, agent, phases)
  await demandGeneration(broker, tx)
  return line
}

/** Of a task that was opened by evidence which had been used before, whatever it asks for. */
export const readsOnly = () =>
  new BrokerError(
    'ask_denied',
    'the evidence was used before: without a key, or fresh evidence, it is good for reading only',
  )

/**
 * What a mint was judged by must be all that is registered. Looked at after the locks: whoever registers what is
 * more than an agent waits for those that hold them ({@link LedgerWrite.awaitMints}), and is seen by all others.
 */
export async function demandGeneration(broker: Broker, tx: LedgerWrite): Promise<void> {
  if ((await tx.registryGeneration()) === broker.generation()) return
  throw new BrokerError('configuration_stale', 'the registry has moved on from what this was judged by')
}

/** The agent must be the one of the configuration this broker judged by, and not past its own expiry. */
export async function lockAgent(
  broker: Broker,
  tx: LedgerWrite,
  name: string,
  phases: readonly (Phase | null)[] = [],
): Promise<MintingAgentRow> {
  const row = await tx.shareAgent(name)
  const isRegistered = row?.status === 'active'
  if (isRegistered) await verifyMintingAgent(broker, tx, row)
  else broker.verifiedAgents.delete(name)
  const noted = broker.knownAgents?.get(name)
  if (noted !== undefined && policyStatus(await noted) !== policyStatus(row))
    throw new BrokerError('configuration_stale', 'the agent stands otherwise than it was judged to')
  if (!isRegistered) throw new BrokerError('task_not_active', 'the agent is no longer registered')
  demandWorking(row, phases)
  const judged = broker.agents().get(name)
  if (row.digest !== judged?.digest)
    throw new BrokerError('configuration_stale', 'the agent is not the one that this was judged by')
  if (judged.expires_at <= tx.now) throw new BrokerError('agent_not_active', `${name} has expired`)
  return row
}

/** Whether the agents are still those that something was judged by, and may hold it; locked, so that they stay so. */
export async function areUnchanged(
  tx: LedgerWrite,
  judgedBy: readonly { name: string; digest: string }[],
  phase: Phase | null,
): Promise<boolean> {
  for (const { name, digest } of judgedBy) {
    const row = await tx.shareAgent(name)
    if (row?.status !== 'active' || row.digest !== digest || !mayHold(row.standing, phase)) return false
  }
  return true
}
