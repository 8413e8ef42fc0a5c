/** Windows that humans opened beforehand: each counts as the vote of the human who opened it. */
import { record } from '../../audit/record.ts'
import { lacking, mayAnswer, owns } from '../../policy/approvers.ts'
import type { ApprovalRequirement } from '../../policy/facts.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { ApprovalRow, AskRow, PreapprovalRow, TaskRow, VoteRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { issuerOf } from '../credentials/lease-plan.ts'
import { isOnBehalfOf } from '../people/human.ts'
import { settingsOf } from './approval-document.ts'
import { agreedBy, ownersOf } from './approval-votes.ts'
import { verifiedPreapproval, voteMac } from './verified-approvals.ts'

export type Window = { row: PreapprovalRow; groups: readonly string[]; owner: boolean }

/**
 * Those that are open for this agent as it is now, by the issuer's settings as they are, and whose ask covers
 * what is asked for. A window is good for one credential at a time.
 */
export async function windowsFor(
  broker: Broker,
  approval: ApprovalRow,
  ask: Pick<AskRow, 'issuer' | 'ask'>,
  line: readonly Pick<TaskRow, 'agent' | 'human' | 'human_facts'>[],
): Promise<Window[]> {
  if (approval.mints !== 1) return []
  const filter = { agent: approval.agent, open: await broker.ledger.now() }
  const open = await broker.ledger.read.preapprovals(filter, { limit: broker.limits.preapprovals })
  const generation = broker.agents().get(approval.agent)?.digest
  const issuer = issuerOf(broker, ask.issuer)
  const wanted: unknown = JSON.parse(ask.ask)
  const owners = ownersOf(broker, line)
  const task = line[0]
  return (
    open.items
      .filter(
        row =>
          row.issuer === ask.issuer &&
          row.agent_digest === generation &&
          row.issuer_digest === settingsOf(broker, ask.issuer) &&
          issuer.covers(JSON.parse(row.ask), wanted),
      )
      .map(row => {
        const { human: id, name, email } = verifiedPreapproval(broker, row)
        const groups = JSON.parse(row.groups) as string[]
        const human = { id, name, groups, ...(email === null ? {} : { email }) }
        return { row, groups, owner: owns(human, owners), human }
      })
      // Nobody agrees beforehand to what is asked on their own behalf.
      .filter(one => task === undefined || !isOnBehalfOf(task, one.human))
  )
}

/** @returns whether these alone are enough: the approval is then given. */
export async function useWindows(
  broker: Broker,
  tx: LedgerWrite,
  approval: ApprovalRow,
  windows: readonly Window[],
): Promise<boolean> {
  const requires = JSON.parse(approval.requires) as ApprovalRequirement[]
  for (const { row, groups, owner } of windows) {
    const before = agreedBy(await tx.votesOf(approval.id))
    const now = { human: row.human, groups, owner }
    const missing = lacking(requires, before)
    if (before.some(one => one.human === row.human) || !mayAnswer(now, missing)) continue
    if (!(await tx.usePreapproval(row.id))) continue
    const vote: Omit<VoteRow, 'mac'> = {
      ...{ approval: approval.id, human: row.human, name: row.name, groups: row.groups },
      ...{ owner: owner ? 1 : 0, voted_at: tx.now, preapproval: row.id },
    }
    await tx.insertVote({ ...vote, mac: voteMac(broker, vote, approval.digest) })
    const subject = {
      actor: `operator:${row.name} <${row.human}>`,
      task: approval.task,
      agent: approval.agent,
    }
    await record(tx, 'preapproval.used', subject, { preapproval: row.id, approval: approval.id })
  }
  if (windows.length === 0 || lacking(requires, agreedBy(await tx.votesOf(approval.id))).length > 0)
    return false
  const to = { state: 'approved', by: 'broker', reason: 'agreed to beforehand' } as const
  if (!(await tx.answerApproval(approval.id, to))) return false
  const subject = { actor: 'broker', task: approval.task, agent: approval.agent }
  await record(tx, 'approval.approved', subject, { approval: approval.id, digest: approval.digest })
  return true
}
