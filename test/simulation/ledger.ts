/**
 * A ledger in memory, shared by any number of brokers: the contract under READ COMMITTED, with row locks and
 * deadlocks, without a disk. Latency, outages and lost answers are the caller's to say.
 */
import { type Ledger, LedgerUnavailable, type LedgerWrite } from '../../src/store/ledger.ts'
import { approvalWrites } from './ledger/approvals.ts'
import { budgetWrites } from './ledger/budget-writes.ts'
import { leakWrites } from './ledger/leaks.ts'
import { leaseWrites } from './ledger/lease-writes.ts'
import { operatorWrites } from './ledger/operators.ts'
import { keptWrites, onceWrites } from './ledger/other-writes.ts'
import { drillWrites, proofWrites } from './ledger/proof-writes.ts'
import { simulatedReads } from './ledger/reads.ts'
import { registryWrites } from './ledger/registry.ts'
import { revocationWrites } from './ledger/revocations.ts'
import { createRowLocks, Deadlock, type Holder } from './ledger/row-locks.ts'
import { shadowWrites } from './ledger/shadow.ts'
import { type Change, tableNames } from './ledger/tables.ts'
import { taskWrites } from './ledger/task-writes.ts'
import {
  type Committed,
  createTransaction,
  type StatementIo,
  type Transaction,
} from './ledger/transaction.ts'

/** How one broker's calls travel, and what becomes of them. */
export type Line = {
  /** The time that one leg takes; undefined: none. */
  travel: (what: string) => Promise<void> | undefined
  /** Takes a continuation up again, as an event of whoever waits. */
  resume: (run: () => void) => void
  /** What happens to this call. `lost`: it is done, and nobody is told. `again`: taken back, for another's sake. */
  fate: (what: 'read' | 'begin' | 'commit') => 'done' | 'refused' | 'lost' | 'again'
}

export const atOnce: Line = { travel: () => undefined, resume: run => run(), fate: () => 'done' }

export type Connection = {
  ledger: Ledger
  /** Open transactions are rolled back and their locks given up: the process is gone, or stood still too long. */
  cut(): void
}

export type SimulatedLedger = {
  connect(line: Line): Connection
  /** As it stands: for the oracle, who is no part of the world. */
  rows: Readonly<Committed>
}

/** Told at the instant of each COMMIT, before anybody else. */
export type OnCommit = (changes: readonly Change[], by: Line) => void

const attemptsMax = 6

export function createSimulatedLedger(options: { now: () => number; onCommit?: OnCommit }): SimulatedLedger {
  // One map for each name, as the type says.
  const rows = Object.fromEntries(tableNames.map(name => [name, new Map()])) as unknown as Committed
  const locks = createRowLocks<Holder>()
  let seq = 0
  const nextSeq = () => {
    seq += 1
    return seq
  }

  const writesOf = createWrites(nextSeq)

  function connect(line: Line): Connection {
    const open = new Set<Transaction>()
    const underway = new Set<Promise<unknown>>()
    let closed = false

    async function admit<T>(work: () => Promise<T>): Promise<T> {
      if (closed) throw new LedgerUnavailable('the ledger is closed')
      const working = work().finally(() => underway.delete(working))
      underway.add(working)
      return working
    }

    const at = <T>(name: string, look: () => T): Promise<T> =>
      admit(async () => {
        await line.travel(`read ${name}`)
        if (line.fate('read') !== 'done') throw new LedgerUnavailable('the ledger did not answer')
        const seen = look()
        await line.travel(`answer ${name}`)
        return seen
      })

    async function transact<T>(body: (tx: LedgerWrite) => Promise<T>): Promise<T> {
      for (let attempt = 1; ; attempt += 1) {
        await line.travel('begin')
        if (line.fate('begin') !== 'done') throw new LedgerUnavailable('the ledger cannot be reached')
        try {
          return await attemptOnce(body)
        } catch (error) {
          if (!(error instanceof Deadlock)) throw error
          if (attempt === attemptsMax)
            throw new LedgerUnavailable('the ledger took it back again and again', { cause: error })
        }
      }
    }

    async function attemptOnce<T>(body: (tx: LedgerWrite) => Promise<T>): Promise<T> {
      const { travel, resume } = line
      const transaction = createTransaction({ committed: rows, locks, now: options.now(), travel, resume })
      open.add(transaction)
      try {
        const value = await body(writesOf(transaction.io))
        const failure = transaction.failure()
        if (failure !== undefined) throw failure.error
        transaction.end()
        await travel('commit')
        return await commit(transaction, value)
      } catch (error) {
        transaction.end()
        transaction.rollBack()
        throw transaction.failure()?.error ?? error
      } finally {
        open.delete(transaction)
      }
    }

    async function commit<T>(transaction: Transaction, value: T): Promise<T> {
      // Cut while it was on its way: the database had rolled it back.
      const failure = transaction.failure()
      if (failure !== undefined) throw failure.error
      const fate = line.fate('commit')
      if (fate === 'again') throw new Deadlock('taken back')
      if (fate === 'refused') throw new LedgerUnavailable('the ledger did not say what became of a commit')
      const changes = transaction.commit()
      options.onCommit?.(changes, line)
      open.delete(transaction)
      await line.travel('committed')
      if (fate === 'lost') throw new LedgerUnavailable('the ledger did not say what became of a commit')
      return value
    }

    return {
      ledger: {
        now: () => at('now', options.now),
        read: simulatedReads(rows, at),
        write: body => admit(() => transact(body)),
        async close() {
          closed = true
          await Promise.allSettled(underway)
        },
      },
      cut() {
        for (const transaction of open) transaction.abort('the connection was lost')
        open.clear()
      },
    }
  }

  return { connect, rows }
}

type Part = (io: StatementIo) => Partial<LedgerWrite>

/** A transaction is asked for few of these, so each part is made at its first use. */
function createWrites(nextSeq: () => number): (io: StatementIo) => LedgerWrite {
  const parts: readonly Part[] = [
    ...[taskWrites, leaseWrites, onceWrites, budgetWrites, proofWrites, drillWrites, revocationWrites],
    ...[shadowWrites, leakWrites, approvalWrites, registryWrites, operatorWrites],
    io => keptWrites(io, nextSeq),
  ]
  const writes = {}
  // No part looks at a transaction before one of its operations is called.
  for (const [place, part] of parts.entries())
    for (const name of Object.keys(part({} as StatementIo)) as (keyof LedgerWrite)[])
      Object.defineProperty(writes, name, {
        get(this: { io: StatementIo; made: Partial<LedgerWrite>[] }) {
          this.made[place] ??= part(this.io)
          return this.made[place][name]
        },
      })
  // Every operation of the contract is in one of the parts.
  return io => Object.assign(Object.create(writes), { now: io.now, io, made: [] }) as LedgerWrite
}
