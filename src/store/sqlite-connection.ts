/** One connection to a SQLite file through Node's own driver: compiled statements in, rows out, kept statements. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { CompiledQuery } from 'kysely'
import { LedgerUnavailable } from './ledger.ts'
import type { Result } from './sql/prepare.ts'

export type SqliteConnection = {
  run<R>(query: CompiledQuery<R>): Result<R>
  /** Runs SQL that has no parameters and answers nothing. */
  exec(sql: string): void
  readonly inTransaction: boolean
  close(): void
}

/** SQL texts are few (see sql/prepare.ts): reaching this means that one is built from data. */
const statementsMax = 1_000
/** How long another connection's lock is waited for; the process stands still meanwhile. */
const busyTimeoutMs = 250

/** @throws LedgerUnavailable where the file cannot be opened. */
export function openSqliteConnection(path: string, options: { readOnly: boolean }): SqliteConnection {
  const database = guarded(() => new DatabaseSync(path, { ...options, timeout: busyTimeoutMs }))
  // Sorting leaves nothing of a row in a temporary file, and a schema that was tampered with calls nothing.
  guarded(() => database.exec('PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF'))
  const statements = new Map<string, { statement: StatementSync; answers: boolean }>()

  const statementFor = (sql: string) => {
    let kept = statements.get(sql)
    if (kept === undefined) {
      if (statements.size >= statementsMax) statements.clear()
      const statement = database.prepare(sql)
      kept = { statement, answers: statement.columns().length > 0 }
      statements.set(sql, kept)
    }
    return kept
  }

  return {
    run<R>(query: CompiledQuery<R>): Result<R> {
      return guarded(() => {
        const { statement, answers } = statementFor(query.sql)
        const parameters = query.parameters as SQLInputValue[]
        if (!answers) return { rows: [], changed: Number(statement.run(...parameters).changes) }
        // The driver cannot know the row's type; the query does.
        const rows = statement.all(...parameters) as R[]
        return { rows, changed: rows.length }
      })
    },
    exec(sql) {
      guarded(() => database.exec(sql))
    },
    get inTransaction() {
      return database.isOpen && database.isTransaction
    },
    close() {
      statements.clear()
      if (database.isOpen) database.close()
    },
  }
}

/** SQLITE_ERROR, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE: the program is wrong, not the database. */
const programErrors: ReadonlySet<number> = new Set([1, 19, 20, 25])

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw isDatabaseFailure(error)
      ? new LedgerUnavailable('the ledger is unavailable', { cause: error })
      : error
  }
}

function isDatabaseFailure(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  // The driver's own: the database was closed.
  if (error.code === 'ERR_INVALID_STATE') return true
  if (error.code !== 'ERR_SQLITE_ERROR' || !('errcode' in error)) return false
  // The low byte is the primary result code.
  return typeof error.errcode === 'number' && !programErrors.has(error.errcode & 0xff)
}
