/**
 * The conformance suite for stores: what any implementation of the ledger contract must do. A store's test is
 * one call of {@link describeStore} and whatever is special to it.
 */
import { describe, test } from 'vitest'
import { accessChecks } from './store/access-checks.ts'
import { agentChecks } from './store/agent-checks.ts'
import { approvalChecks } from './store/approval-checks.ts'
import { groupChecks } from './store/group-checks.ts'
import { leakChecks } from './store/leak-checks.ts'
import { leaseChecks } from './store/lease-checks.ts'
import { peopleChecks } from './store/people-checks.ts'
import { proofChecks } from './store/proof-checks.ts'
import { readChecks } from './store/read-checks.ts'
import { reapChecks } from './store/reap-checks.ts'
import { registryChecks } from './store/registry-checks.ts'
import { reviewChecks } from './store/review-checks.ts'
import { revocationChecks } from './store/revocation-checks.ts'
import { shadowChecks } from './store/shadow-checks.ts'
import { type StoreCheck, type StoreSubject, start } from './store/subject.ts'
import { taskChecks } from './store/task-checks.ts'
import { transactionChecks } from './store/transaction-checks.ts'
import { workChecks } from './store/work-checks.ts'

export type { StoreCheck, StoreSubject }

export const storeChecks: readonly StoreCheck[] = [
  ...transactionChecks,
  ...taskChecks,
  ...agentChecks,
  ...workChecks,
  ...leaseChecks,
  ...reapChecks,
  ...groupChecks,
  ...accessChecks,
  ...readChecks,
  ...reviewChecks,
  ...proofChecks,
  ...revocationChecks,
  ...shadowChecks,
  ...leakChecks,
  ...approvalChecks,
  ...registryChecks,
  ...peopleChecks,
]

/** Registers every check as a test. `open` gives an empty ledger each time. */
export function describeStore(name: string, open: () => Promise<StoreSubject>): void {
  describe(`${name} keeps the ledger contract`, () => {
    for (const check of storeChecks) test(check.name, () => runStoreCheck(check, open))
  })
}

/** @throws what the check found wrong */
export async function runStoreCheck(check: StoreCheck, open: () => Promise<StoreSubject>): Promise<void> {
  const subject = await open()
  try {
    subject.setNow(start)
    await check.run(subject)
  } finally {
    await subject.close()
  }
}
