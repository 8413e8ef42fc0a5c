import type { ApprovalRow } from '../../store/rows.ts'
import { BrokerError } from '../broker-error.ts'

export function approvalOver({ id, state }: Pick<ApprovalRow, 'id' | 'state'>): BrokerError {
  return new BrokerError('approval_over', `the approval ${id} is ${state}`)
}
