import type { Phase } from '../../../issuers/issuer.ts'
import { record } from '../../audit/record.ts'
import type { ApprovalRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import type { Judged } from '../decisions/judged.ts'
import { tellWebhooks } from '../proof/tell-webhooks.ts'
import { knownAgent } from './known-agent.ts'

/**
 * Why nothing above reading is granted: the asking agent, or one above it, is in quarantine. Undefined where none
 * is. A mint is held to it once more, under the locks.
 */
export async function quarantineOf(broker: Broker, about: Judged, phase: Phase): Promise<string | undefined> {
  if (phase === 'read' || about.heldUnderLocks) return undefined
  for (const name of new Set([about.agent, ...about.line.map(task => task.agent)]))
    if ((await knownAgent(broker, name, about))?.standing === 'quarantined')
      return `${name} is in quarantine: it may only read`
  return undefined
}

/** What waits for humans and could not be minted now is asked no longer: of the agent, and of tasks below its own. */
export async function cancelAboveRead(broker: Broker, agent: string, actor: string): Promise<void> {
  let after: string | undefined
  do {
    const page = await broker.ledger.read.approvals(
      { state: 'pending' },
      { limit: broker.limits.pageItems, ...(after === undefined ? {} : { after }) },
    )
    for (const row of page.items) if (await isCut(broker, agent, row)) await cancel(broker, row, actor)
    after = page.next ?? undefined
  } while (after !== undefined)
}

async function isCut({ ledger, issuers }: Broker, agent: string, row: ApprovalRow): Promise<boolean> {
  const isBelow = async () => (await ledger.read.ancestors(row.task)).some(task => task.agent === agent)
  if (row.agent !== agent && !(await isBelow())) return false
  const ask = await ledger.read.ask(row.ask)
  const issuer = issuers.get(row.issuer)
  return ask === undefined || issuer?.facts(JSON.parse(ask.ask)).phase !== 'read'
}

async function cancel(broker: Broker, row: ApprovalRow, actor: string): Promise<void> {
  await broker.ledger.write(async tx => {
    if (!(await tx.withdrawApproval(row.id, { by: actor, reason: 'the agent is in quarantine' }))) return
    await tx.moveAsk(row.ask, ['pending'], 'cancelled')
    await record(tx, 'approval.cancelled', { actor, task: row.task, agent: row.agent }, { approval: row.id })
    await tellWebhooks(broker, tx, 'approval.decided', row)
  })
  broker.waits.wake(row.task)
  broker.outbox.wake()
}
