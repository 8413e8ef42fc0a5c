import { type RevocationFilter, refuses } from '../../policy/revocation-filter.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { RevocationRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { standsStill } from '../tasks/restored.ts'

/**
 * Refuses what an operator is revoking. Runs in the transaction that opens or mints, when the task is inserted
 * and after its agent is locked (or the gate, by a task of the broker's own): a revocation that was not seen here
 * waits for those locks, and then finds what this transaction made.
 *
 * @param read what `tx.blocks` told; asked for no earlier than after the locks.
 * @throws BrokerError `blocked`, `ledger_restored`
 */
export async function refuseBlocked(
  broker: Broker,
  tx: LedgerWrite,
  { task, agent, asks }: { task: string; agent: string; asks: readonly { issuer: string; ask: string }[] },
  read?: readonly RevocationRow[],
): Promise<void> {
  const blocks = read ?? (await tx.blocks())
  if (blocks.length === 0) return
  const line = await tx.lockLineage(task, 'share')
  const subject = {
    line: line.map(row => row.id),
    agent,
    human: line.at(-1)?.human ?? null,
    asks: asks.map(({ issuer, ask }) => ({ issuer, ask: JSON.parse(ask) as unknown })),
  }
  for (const block of blocks) {
    if (!refuses(JSON.parse(block.filter) as RevocationFilter, subject)) continue
    if (!(await standsStill(tx, block, line))) continue
    throw new BrokerError(
      'blocked',
      `nothing of it is minted while ${block.id} stands: see mayfly revocations --blocking`,
      {
        bound: block.id,
        retryAfterMs: block.hold === 1 ? broker.limits.blockedRetryAfterMs : broker.limits.budgetRetryAfterMs,
      },
    )
  }
}
