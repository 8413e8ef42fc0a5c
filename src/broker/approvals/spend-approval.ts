/** What humans agreed to is counted at the mint, where it must be what is about to be minted, to the letter. */
import { record } from '../../audit/record.ts'
import type { LedgerWrite } from '../../store/ledger.ts'
import type { ApprovalRow, AskRow, TaskRow } from '../../store/rows.ts'
import type { Broker } from '../broker.ts'
import { approvalDocument, changed, readDocument, sealed } from './approval-document.ts'
import { approvalOver } from './approval-over.ts'

/** What an ask is minted as: the rows as they are locked, and the promise that the credential will carry. */
export type Minting = { line: readonly TaskRow[]; ask: AskRow; deadline: number; lease: string }

/**
 * Counts the mint, in its own transaction and under its locks.
 *
 * @throws ApprovalDrifted where what would be minted is not what was agreed to; BrokerError `approval_over`
 */
export async function spendApproval(
  broker: Broker,
  tx: LedgerWrite,
  row: ApprovalRow,
  { line, ask, deadline, lease }: Minting,
): Promise<void> {
  const before = readDocument(row.document)
  const wish = { justification: before.untrusted.justification, mints: row.mints }
  const subject = { task: line.at(-1)!, above: line.slice(0, -1), ask, deadline }
  const now = approvalDocument(broker, subject, wish)
  const { digest } = sealed(now)
  if (digest !== row.digest) throw new ApprovalDrifted(row, changed(before, now))
  if (!(await tx.spendApproval(row.id, digest))) throw approvalOver({ ...row, state: 'approved' })
  const to = { actor: `task:${row.task}`, task: row.task, agent: row.agent, lease }
  await record(tx, 'approval.used', to, { approval: row.id, digest })
}

/** Rolls the mint back; what is to be done about it is done afterwards. */
export class ApprovalDrifted extends Error {
  readonly row: ApprovalRow
  readonly changed: readonly string[]
  constructor(row: ApprovalRow, what: readonly string[]) {
    super('what would be minted is not what was approved')
    this.row = row
    this.changed = what
  }
}
