/** What became of an agent that left: what ended, what is proven, what no longer lets it in, and what is open. */
import type { RevocationProgress } from '../../store/ledger.ts'
import type { LeaseRow, RevocationRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { type OffboardingOpen, openOf } from './agent-offboarding.ts'
import { type AgentView, viewAgent } from './agent-view.ts'

export type OffboardingReport = {
  view: AgentView
  run: RevocationRow
  progress: RevocationProgress
  /** Whose end it was part of, newest first. `complete`: none was left out. */
  leases: LeaseRow[]
  complete: boolean
  /** Of the tasks of these leases; null where it is not signed yet. */
  receipts: { task: string; sha256: string | null }[]
  bindings: {
    /** Rules by which evidence was the agent's: none opens anything any more. */
    attestRules: number
    /** Agents that name it as one they delegate to: their tickets for it are void. */
    delegatedFrom: string[]
    /** Agents that it delegated to: what it opened below itself has ended. */
    delegatedTo: readonly string[]
    preapprovalsOpen: number
  }
  open: OffboardingOpen
}

/** @throws BrokerError `not_found`, also where the agent is on no way out */
export async function offboardingReport(broker: Broker, name: string): Promise<OffboardingReport> {
  const { read } = broker.ledger
  const view = await viewAgent(broker, name)
  const { row, document } = view
  const isLeaving = row.standing === 'offboarding' || row.standing === 'offboarded'
  const run = row.standing_run === null ? undefined : await read.revocation(row.standing_run)
  if (!isLeaving || run === undefined) throw new BrokerError('not_found', `${name} is not being offboarded`)
  const { leases, complete } = await reached(broker, run.id)
  const now = await broker.ledger.now()
  const windows = await read.preapprovals({ agent: name, open: now }, { limit: broker.limits.pageItems })
  return {
    ...{ view, run, leases, complete },
    progress: await read.revocationProgress(run.id),
    receipts: await receiptsOf(broker, leases),
    bindings: {
      attestRules: document.attest.length,
      delegatedFrom: [...broker.agents().values()]
        .filter(agent => agent.may_delegate_to.includes(name))
        .map(agent => agent.name),
      delegatedTo: document.may_delegate_to,
      preapprovalsOpen: windows.items.length,
    },
    open: await openOf(broker, row),
  }
}

async function reached(broker: Broker, run: string): Promise<Pick<OffboardingReport, 'leases' | 'complete'>> {
  const { previewRows, pageItems } = broker.limits
  const leases: LeaseRow[] = []
  let after: string | undefined
  do {
    const page = await broker.ledger.read.leases(
      { revocation: run },
      { limit: pageItems, ...(after === undefined ? {} : { after }) },
    )
    leases.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined && leases.length < previewRows)
  return { leases, complete: after === undefined }
}

async function receiptsOf(
  { ledger }: Broker,
  leases: readonly LeaseRow[],
): Promise<OffboardingReport['receipts']> {
  const tasks = [...new Set(leases.map(lease => lease.task))]
  const receipts: OffboardingReport['receipts'] = []
  for (const task of tasks) receipts.push({ task, sha256: (await ledger.read.receipt(task))?.sha256 ?? null })
  return receipts
}
