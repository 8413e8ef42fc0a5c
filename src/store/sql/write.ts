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

export function ledgerWrites(dialect: SqlDialect): (tx: Transaction) => LedgerWrite {
  const agents = agentWrites(dialect)
  const tasks = taskWrites(dialect)
  const evidence = evidenceWrites(dialect)
  const budgets = budgetWrites(dialect)
  const turns = turnWrites(dialect)
  const records = recordWrites(dialect)
  const approvals = approvalWrites(dialect)
  const preapprovals = preapprovalWrites(dialect)
  const leases = leaseWrites(dialect)
  const keys = keyWrites(dialect)
  const proof = proofWrites(dialect)
  const drills = drillWrites(dialect)
  const claims = claimWrites(dialect)
  const works = workWrites(dialect)
  const revocations = revocationWrites(dialect)
  const shadow = shadowWrites(dialect)
  const leaks = leakWrites(dialect)
  const registry = registryWrites(dialect)
  const operators = operatorWrites(dialect)
  return tx => ({
    now: tx.now,
    ...operators(tx),
    ...agents(tx),
    ...tasks(tx),
    ...works(tx),
    ...evidence(tx),
    ...budgets(tx),
    ...turns(tx),
    ...records(tx),
    ...approvals(tx),
    ...preapprovals(tx),
    ...leases(tx),
    ...keys(tx),
    ...proof(tx),
    ...drills(tx),
    ...claims(tx),
    ...revocations(tx),
    ...shadow(tx),
    ...leaks(tx),
    ...registry(tx),
  })
}
