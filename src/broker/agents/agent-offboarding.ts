/**
 * The last way of an agent: everything it holds ends (the run that its standing names), and it is `offboarding`
 * until the ledger says of all of it that it is over. Whoever has the claim looks.
 */
import { record } from '../../audit/record.ts'
import type { LedgerWrite, RevocationProgress } from '../../store/ledger.ts'
import type { KnownAgentRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'

export const offboardingPrefix = 'offboarding/'

/** Part of the transaction that begins it. */
export async function offboardingClaim(tx: LedgerWrite, agent: string): Promise<void> {
  const claim = offboardingPrefix + agent
  const { fence } = (await tx.takeClaim(claim, tx.now)) ?? { fence: 0 }
  await tx.giveClaim(claim, fence, { pausedUntil: null, due_at: tx.now })
}

/** One look, by whoever is there. */
export async function continueOffboarding(broker: Broker, claimName: string): Promise<void> {
  const { ledger, limits } = broker
  const claim = await ledger.write(tx => tx.takeClaim(claimName, tx.now + limits.offboardingClaimMs))
  if (claim === undefined) return
  const row = await ledger.read.agent(claimName.slice(offboardingPrefix.length))
  let isDone = row === undefined || row.standing !== 'offboarding'
  if (row !== undefined && !isDone) {
    await closeWindows(broker, row)
    const open = await openOf(broker, row)
    if (Object.values(open).every(count => count === 0)) isDone = await finish(broker, row)
  }
  await ledger.write(tx =>
    tx.giveClaim(claimName, claim.fence, {
      pausedUntil: null,
      due_at: isDone ? null : tx.now + limits.offboardingLookMs,
    }),
  )
}

async function finish({ ledger }: Broker, row: KnownAgentRow): Promise<boolean> {
  return ledger.write(async tx => {
    const { name: agent, standing_cause, standing_reason, standing_by, standing_run } = row
    const kept = { standing_cause, standing_reason, standing_by, standing_run }
    if (await tx.moveAgent(agent, 'offboarding', { standing: 'offboarded', ...kept }))
      await record(tx, 'agent.offboarded', { actor: 'broker', agent }, { revocation: standing_run })
    return true
  })
}

/** What is not over yet. */
export type OffboardingOpen = {
  tasks: number
  /** Of the agent, and of what its end reached below it. */
  credentials: number
  /** 1 until the run that ends it all has been everywhere. */
  run: 0 | 1
}

export async function openOf({ ledger: { read } }: Broker, row: KnownAgentRow): Promise<OffboardingOpen> {
  const [use] = await read.agentUse(row.name)
  const run = row.standing_run === null ? undefined : await read.revocation(row.standing_run)
  const progress = run === undefined ? undefined : await read.revocationProgress(run.id)
  return {
    tasks: use?.active_tasks ?? 0,
    credentials: Math.max(use?.outstanding_leases ?? 0, progress === undefined ? 0 : stillOpen(progress)),
    run: run === undefined || run.state === 'done' ? 0 : 1,
  }
}

/** Reached, and neither dead nor expired. */
function stillOpen({ waiting, revoked, expiry_only }: RevocationProgress): number {
  return waiting + revoked + expiry_only
}

/** Consent given beforehand is taken back. */
async function closeWindows({ ledger, limits }: Broker, { name, standing_by }: KnownAgentRow): Promise<void> {
  const now = await ledger.now()
  const { items } = await ledger.read.preapprovals({ agent: name, open: now }, { limit: limits.pageItems })
  for (const { id } of items)
    await ledger.write(async tx => {
      if (await tx.revokePreapproval(id, standing_by ?? 'broker'))
        await record(
          tx,
          'preapproval.revoked',
          { actor: standing_by ?? 'broker', agent: name },
          { preapproval: id },
        )
    })
}
