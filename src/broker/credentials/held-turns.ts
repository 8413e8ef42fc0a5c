/**
 * Rules over what was given out before ("never write and deploy both within a day") hold against asks that are
 * judged at the same time, by whichever broker. Whoever judges by such a rule notes how many mints there had been;
 * the mint counts itself only where there were no more since, and is judged again otherwise.
 */
import type { LedgerWrite } from '../../store/ledger.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'

/** Notes it, before what was minted is read. @param root null for a task that is only being asked for. */
export async function noteTurns(broker: Broker, agent: string, root: string | null): Promise<void> {
  const { turns } = broker
  if (turns === undefined) return
  const keys = keysFor(broker, agent, root).filter(key => !turns.has(key))
  if (keys.length === 0) return
  const rows = await broker.ledger.read.budgets(keys)
  const now = await broker.ledger.now()
  for (const key of keys) {
    const row = rows.find(one => one.key === key && one.until > now)
    // The first time counts: what is judged later in the same request is judged by no less.
    if (!turns.has(key)) turns.set(key, row?.used ?? 0)
  }
}

/**
 * Counts a mint, in its own transaction: mints of one team, and of one line, come one after another from here on.
 * @throws BrokerError `configuration_stale` where another came between
 */
export async function takeTurns(broker: Broker, tx: LedgerWrite, agent: string): Promise<void> {
  // What the broker mints for itself is no agent's.
  if (!broker.agents().has(agent)) return
  // The same order whoever asks, so that two of them wait for each other and never cross.
  for (const [key, before] of [...(broker.turns ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)))
    if (!(await tx.takeBudget(key, before + 1, tx.now + 2 * broker.limits.policyWindowMs)))
      throw new BrokerError('configuration_stale', 'more was given out while this was being judged')
}

/** Of a line that only begins with the task there is none: nobody else mints in it yet. */
function keysFor(broker: Broker, agent: string, root: string | null): string[] {
  const owner = broker.agents().get(agent)?.owner.business
  if (owner === undefined) return []
  return [`held/team/${owner}`, ...(root === null ? [] : [`held/line/${root}`])]
}
