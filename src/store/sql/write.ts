/** The write side of the contract, put together: statements are shared, a transaction costs a few closures. */
import type { SqlDialect } from '../dialect.ts'
import type { LedgerWrite } from '../ledger.ts'
import { agentWrites } from './agents.ts'
import { approvalWrites } from './approvals.ts'
import { budgetWrites } from './budgets.ts'
import { claimWrites } from './claims.ts'
import { drillWrites } from './drills.ts'
import { evidenceWrites } from './evidence.ts'
import { turnWrites } from './held.ts'
import { keyWrites } from './keys.ts'
import { leakWrites } from './leaks.ts'
import { leaseWrites } from './leases.ts'
import { operatorWrites } from './operators.ts'
import { preapprovalWrites } from './preapprovals.ts'
import type { Transaction } from './prepare.ts'
import { proofWrites } from './proof.ts'
import { recordWrites } from './records.ts'
import { registryWrites } from './registry.ts'
import { revocationWrites } from './revocations.ts'
import { shadowWrites } from './shadow.ts'
import { taskWrites } from './tasks.ts'
import { workWrites } from './works.ts'

/**
 * A transaction makes the operations of an area when the first of them is called: most need few, and to make all of them
 * for each costs as much as several statements.
 */
export function ledgerWrites(dialect: SqlDialect): (tx: Transaction) => LedgerWrite {
  return onDemand([
    operatorWrites(dialect),
    agentWrites(dialect),
    taskWrites(dialect),
    workWrites(dialect),
    evidenceWrites(dialect),
    budgetWrites(dialect),
    turnWrites(dialect),
    recordWrites(dialect),
    approvalWrites(dialect),
    preapprovalWrites(dialect),
    leaseWrites(dialect),
    keyWrites(dialect),
    proofWrites(dialect),
    drillWrites(dialect),
    claimWrites(dialect),
    revocationWrites(dialect),
    shadowWrites(dialect),
    leakWrites(dialect),
    registryWrites(dialect),
  ])
}

/** The operations of one area, closed over their transaction. */
type Area = (tx: Transaction) => object
type Operation = (...given: unknown[]) => unknown
type All<Parts> = (Parts extends unknown ? (part: Parts) => void : never) extends (all: infer Whole) => void
  ? Whole
  : never

function onDemand<const Areas extends readonly Area[]>(
  areas: Areas,
): (tx: Transaction) => All<ReturnType<Areas[number]>> & Pick<Transaction, 'now'> {
  class Writes {
    readonly now: number
    readonly tx: Transaction
    readonly made: Record<string, Operation>[] = []
    constructor(tx: Transaction) {
      this.now = tx.now
      this.tx = tx
    }
  }
  const prototype: Record<string, Operation> = {}
  // Made once without a transaction, to learn what they are called.
  for (const [index, area] of areas.entries())
    for (const name of Object.keys(area(nothing)))
      prototype[name] = function (this: Writes, ...given: unknown[]) {
        this.made[index] ??= area(this.tx) as Record<string, Operation>
        return this.made[index][name]!(...given)
      }
  Object.assign(Writes.prototype, prototype)
  // By their names each area's operations are on the prototype.
  return tx => new Writes(tx) as unknown as All<ReturnType<Areas[number]>> & Pick<Transaction, 'now'>
}

const refuse = () => {
  throw new Error('there is no transaction')
}
const nothing: Transaction = { run: refuse, send: refuse, expect: refuse, recall: refuse, now: 0 }
