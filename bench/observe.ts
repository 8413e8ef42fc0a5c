import type { Broker } from '../src/broker/broker.ts'
import type { Ledger, LedgerWrite } from '../src/store/ledger.ts'

/** The same broker, telling `onClosed` of each lease whose closing is durable. */
export function observeClosings(broker: Broker, onClosed: (task: string) => void): Broker {
  const { ledger } = broker
  const write: Ledger['write'] = async body => {
    let closed: string[] = []
    const result = await ledger.write(tx => {
      closed = []
      const closeLease: LedgerWrite['closeLease'] = async (...args) => {
        const row = await tx.closeLease(...args)
        if (row !== undefined) closed.push(row.task)
        return row
      }
      return body(Object.assign(Object.create(tx), { closeLease }))
    })
    for (const task of closed) onClosed(task)
    return result
  }
  return { ...broker, ledger: { ...ledger, write } }
}
