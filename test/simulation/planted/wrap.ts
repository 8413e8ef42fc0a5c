import type { Issuer } from '../../../issuers/issuer.ts'
import type { Broker } from '../../../src/broker/broker.ts'
import type { Ledger, LedgerRead, LedgerWrite } from '../../../src/store/ledger.ts'

/** The same operations, with others in the place of some. */
export function overriding(tx: LedgerWrite, others: Partial<LedgerWrite>): LedgerWrite {
  // Still of the same shape: what is put in a place is of its type.
  return Object.create(tx, Object.getOwnPropertyDescriptors(others)) as LedgerWrite
}

/** Other operations in the place of the ledger's own, inside every transaction. */
export function writing(change: (tx: LedgerWrite, ledger: Ledger) => Partial<LedgerWrite>) {
  return (ledger: Ledger): Ledger => ({
    ...ledger,
    write: body => ledger.write(tx => body(overriding(tx, change(tx, ledger)))),
  })
}

export function reading(change: (read: LedgerRead) => Partial<LedgerRead>) {
  return (ledger: Ledger): Ledger => ({ ...ledger, read: { ...ledger.read, ...change(ledger.read) } })
}

/** Other answers in the place of every issuer's own. */
export function issuing(change: (issuer: Issuer, name: string) => Partial<Issuer>) {
  return (broker: Broker): Partial<Broker> => ({
    issuers: new Map(
      [...broker.issuers].map(([name, issuer]) => [name, { ...issuer, ...change(issuer, name) }]),
    ),
  })
}
