/** What became of an agent that left: what ended, what is proven, what no longer lets it in, and what is open. */
import type { RevocationProgress, TaskFilter } from '../../store/ledger.ts'
import type { LeaseRow, RevocationRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { BrokerError } from '../broker-error.ts'
import { endedAbove } from '../tasks/end-task.ts'
import { type OffboardingOpen, openOf } from './agent-offboarding.ts'
import { type AgentView, viewAgent } from './agent-view.ts'

export type OffboardingReport = {
  view: AgentView
  run: RevocationRow
  progress: RevocationProgress
  /** Whose end it was part of, newest first. `complete`: none was left out. */
  leases: LeaseRow[]
  complete: boolean
  /** Of each task that it ended, with or without a credential; null where it is not signed yet. */
  receipts: { items: { task: string; sha256: string | null }[]; complete: boolean }
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
  const ended = await endedBy(broker, name, run)
  const now = await broker.ledger.now()
  const windows = await read.preapprovals({ agent: name, open: now }, { limit: broker.limits.pageItems })
  return {
    ...{ view, run, leases, complete },
    progress: await read.revocationProgress(run.id),
    receipts: { items: await receiptsOf(broker, ended.tasks), complete: ended.complete },
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

/**
 * The agent's own tasks that the run ended, newest first, each with what ended below it. They are looked for until as
 * many are found as the run counted: what is live is among the newest, and what is over is by far the most.
 */
async function endedBy(
  broker: Broker,
  agent: string,
  run: RevocationRow,
): Promise<{ tasks: string[]; complete: boolean }> {
  const tasks = new Set<string>()
  const isByRun = ({ end, end_detail, ended_at }: TaskRow) =>
    end === 'revoked' && end_detail === run.reason && (ended_at ?? 0) >= run.created_at
  for await (const own of tasksOf(broker, { agent })) {
    if (tasks.size >= Math.min(run.tasks_ended, broker.limits.previewRows)) break
    if (!isByRun(own)) continue
    tasks.add(own.id)
    for await (const below of tasksOf(broker, { within: own.id }))
      if (below.end_detail === endedAbove(own.id)) tasks.add(below.id)
  }
  return { tasks: [...tasks], complete: tasks.size >= run.tasks_ended }
}

async function* tasksOf({ ledger, limits }: Broker, filter: TaskFilter): AsyncGenerator<TaskRow> {
  let after: string | undefined
  do {
    const page = await ledger.read.tasks(filter, {
      limit: limits.pageItems,
      ...(after === undefined ? {} : { after }),
    })
    yield* page.items
    after = page.next ?? undefined
  } while (after !== undefined)
}

async function receiptsOf(
  { ledger }: Broker,
  tasks: readonly string[],
): Promise<OffboardingReport['receipts']['items']> {
  const receipts: OffboardingReport['receipts']['items'] = []
  for (const task of tasks) receipts.push({ task, sha256: (await ledger.read.receipt(task))?.sha256 ?? null })
  return receipts
}
