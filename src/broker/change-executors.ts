/** How a change that two humans have agreed to is put in force, by its kind. */
import type { LedgerWrite } from '../store/ledger.ts'
import type { Broker } from './broker.ts'
import type { ChangeKind } from './dual-control.ts'

export type ChangeExecutor = {
  /** Parses what is proposed through `/v1/changes`. @throws BrokerError `request_invalid` */
  parse(document: unknown): unknown
  /**
   * In the transaction in which the second human agrees. It judges the document against what is in force then.
   *
   * @param by as it stands in audit rows. @returns what is to be done after COMMIT, if anything
   * @throws BrokerError where it can no longer be applied: then nothing is decided
   */
  apply(broker: Broker, tx: LedgerWrite, document: unknown, by: string): Promise<(() => void) | undefined>
}

/** A kind that is absent is changed in files only. */
export const changeExecutors: { readonly [Kind in ChangeKind]?: ChangeExecutor } = {}
