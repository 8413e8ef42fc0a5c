import { type Ledger, type LedgerRead, LedgerUnavailable } from '../../src/store/ledger.ts'
import type { FaultPlan } from './fault-plan.ts'

/** The same ledger, failing where the plan says so: as a real one does, with `LedgerUnavailable`. */
export function faultyLedger(ledger: Ledger, plan: FaultPlan): Ledger {
  const fails = (operation: string) =>
    plan.ask({ kind: 'ledger read', operation, when: 'before' }) !== undefined
  const writes = (when: 'before' | 'during' | 'after') =>
    plan.ask({ kind: 'ledger write', operation: 'write', when }) !== undefined

  return {
    async now() {
      if (fails('now')) throw unavailable()
      return ledger.now()
    },
    read: faultyRead(ledger.read, fails),
    async write(body) {
      if (writes('before')) throw unavailable()
      const rolledBack = writes('during')
      const value = await ledger.write(async tx => {
        const result = await body(tx)
        if (rolledBack) throw unavailable()
        return result
      })
      if (writes('after')) throw unavailable()
      return value
    },
    close: () => ledger.close(),
  }
}

function faultyRead(read: LedgerRead, fails: (operation: string) => boolean): LedgerRead {
  const methods = Object.entries(read as unknown as Record<string, (...given: unknown[]) => Promise<unknown>>)
  const faulty = methods.map(([name, method]) => [
    name,
    async (...given: unknown[]) => {
      if (fails(name)) throw unavailable()
      return method(...given)
    },
  ])
  // Every method of the contract, under its own name and with its own parameters.
  return Object.fromEntries(faulty) as unknown as LedgerRead
}

function unavailable(): LedgerUnavailable {
  return new LedgerUnavailable('the ledger failed because the test said so')
}
