/**
 * One transaction under READ COMMITTED. A statement sees what is committed when it begins, and what this
 * transaction wrote; before it changes a row it waits for the row, and looks again at what it then is.
 */
import { LedgerUnavailable, type Lock } from '../../../src/store/ledger.ts'
import type { Holder, RowLocks } from './row-locks.ts'
import type { Change, SimTables, TableName } from './tables.ts'

export type Committed = { [Name in TableName]: Map<string, SimTables[Name]> }

export type Transaction = ReturnType<typeof createTransaction>

type Match<Row> = (row: Row) => boolean

export type TransactionOptions = {
  committed: Committed
  locks: RowLocks<Holder>
  now: number
  /** The time one statement takes; undefined: none. */
  travel: (statement: string) => Promise<void> | undefined
  resume: Holder['resume']
}

/** A unique key that is there already. Fails its body, and is no outage. */
export class DuplicateKey extends Error {
  override name = 'DuplicateKey'
}

export function createTransaction({ committed, locks, now, travel, resume }: TransactionOptions) {
  const holder: Holder = { resume }
  const written = new Map<TableName, Map<string, unknown>>()
  let failure: { error: unknown } | undefined
  let isLive = true
  let last: Promise<unknown> = Promise.resolve()

  const own = <Name extends TableName>(table: Name) =>
    // Only rows of this table are put under its name.
    written.get(table) as Map<string, SimTables[Name] | undefined> | undefined

  function get<Name extends TableName>(table: Name, key: string): SimTables[Name] | undefined {
    const mine = own(table)
    return mine?.has(key) ? mine.get(key) : committed[table].get(key)
  }

  function set<Name extends TableName>(table: Name, key: string, row: SimTables[Name] | undefined): void {
    const mine = own(table) ?? new Map<string, SimTables[Name] | undefined>()
    mine.set(key, row)
    written.set(table, mine)
  }

  /** Committed rows and its own, as they are now. */
  function scan<Name extends TableName>(
    table: Name,
    match: Match<SimTables[Name]>,
  ): [key: string, row: SimTables[Name]][] {
    const rows: [string, SimTables[Name]][] = []
    const mine = own(table)
    for (const [key, row] of committed[table]) if (!mine?.has(key) && match(row)) rows.push([key, row])
    for (const [key, row] of mine ?? []) if (row !== undefined && match(row)) rows.push([key, row])
    return rows
  }

  async function lock(table: string, key: string, mode: Lock): Promise<void> {
    await locks.acquire(holder, `${table}/${key}`, mode)
    alive()
  }

  function alive(): void {
    if (!isLive) throw new Error('a ledger transaction was used after its body had ended')
    if (failure !== undefined) throw failure.error
  }

  const io = {
    now,
    get,
    set,
    scan,
    lock,
    /** Locks each that is there, in this order, and returns those that still match then. */
    async lockRows<Name extends TableName>(
      table: Name,
      keys: readonly string[],
      mode: Lock,
      match: Match<SimTables[Name]> = () => true,
    ): Promise<SimTables[Name][]> {
      const rows: SimTables[Name][] = []
      for (const key of keys) {
        const seen = get(table, key)
        if (seen === undefined || !match(seen)) continue
        await lock(table, key, mode)
        const row = get(table, key)
        if (row !== undefined && match(row)) rows.push({ ...row })
      }
      return rows
    },
    /** Of the rows that match now, changes those that still match when it is their turn. */
    async update<Name extends TableName>(
      table: Name,
      match: Match<SimTables[Name]>,
      change: (row: SimTables[Name]) => Partial<SimTables[Name]>,
      keys: readonly string[] = scan(table, match).map(([key]) => key),
    ): Promise<SimTables[Name][]> {
      const rows: SimTables[Name][] = []
      const candidates = keys.filter(key => {
        const seen = get(table, key)
        return seen !== undefined && match(seen)
      })
      for (const key of candidates) {
        await lock(table, key, 'update')
        const row = get(table, key)
        if (row === undefined || !match(row)) continue
        const changed = { ...row, ...change(row) }
        set(table, key, changed)
        rows.push({ ...changed })
      }
      return rows
    },
    /** Waits for whoever is inserting the same key. @throws DuplicateKey */
    async insert<Name extends TableName>(table: Name, key: string, row: SimTables[Name]): Promise<void> {
      await lock(table, key, 'update')
      if (get(table, key) !== undefined) throw new DuplicateKey(`${table} has ${key} already`)
      set(table, key, { ...row })
    },
    /** Locks the first of these that nobody else holds, at one instant: SKIP LOCKED. */
    skipLocked(table: TableName, keys: readonly string[], limit: number): string[] {
      const free = keys.filter(key => !locks.isHeldByAnother(holder, `${table}/${key}`)).slice(0, limit)
      // Granted at once, since nobody holds them.
      for (const key of free) void locks.acquire(holder, `${table}/${key}`, 'update')
      return free
    },
    /** One statement, after all that were asked before it; after one has failed, no other runs. */
    statement<T>(name: string, run: () => T | Promise<T>): Promise<T> {
      const answer = last.then(() => execute(name, run))
      last = answer.catch(() => {})
      return answer
    },
  }

  async function execute<T>(name: string, run: () => T | Promise<T>): Promise<T> {
    alive()
    try {
      await travel(name)
      alive()
      return await run()
    } catch (error) {
      failure ??= { error }
      throw error
    }
  }

  return {
    io,
    holder,
    failure: () => failure,
    /** What the body did with it after its end, or after the database gave it up, is refused. */
    end() {
      isLive = false
    },
    abort(why: string) {
      failure ??= { error: new LedgerUnavailable(why) }
      locks.release(holder)
      written.clear()
    },
    /** Makes it so, at one instant, and lets go of every row. */
    commit(): Change[] {
      const changes: Change[] = []
      for (const [table, rows] of written)
        for (const [key, after] of rows) {
          const map = committed[table] as Map<string, unknown>
          const before = map.get(key)
          if (after === undefined) map.delete(key)
          else map.set(key, Object.freeze(after))
          // The table's name and its rows go together, which the loop cannot say.
          changes.push({ table, key, before, after } as Change)
        }
      locks.release(holder)
      return changes
    },
    rollBack() {
      locks.release(holder)
      written.clear()
    },
  }
}

export type StatementIo = Transaction['io']
