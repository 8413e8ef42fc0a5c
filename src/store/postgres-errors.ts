/** What PostgreSQL and its driver throw, told apart: the program's errors, passing failures, outages. */
import { LedgerUnavailable } from './ledger.ts'

/** The database refused a statement: the program is wrong, not the database. Names no value of any row. */
export class StatementRefused extends Error {
  override name = 'StatementRefused'
  /** SQLSTATE. */
  readonly code: string
  constructor(message: string, code: string) {
    super(message)
    this.code = code
  }
}

/** The body took for granted what turned out otherwise: it runs again, and takes nothing for granted. */
export class Unexpected extends Error {
  override name = 'Unexpected'
}

/** SQLSTATE classes: data exception, integrity constraint violation, syntax error or access rule violation. */
const programErrors = new Set(['22', '23', '42'])
/**
 * serialization_failure, deadlock_detected: the transaction was taken back so that another could go on.
 * feature_not_supported: a kept statement, whose table has other columns since; it is parsed anew.
 */
const passing = new Set(['40001', '40P01', '0A000'])
/** invalid_sql_statement_name, duplicate_prepared_statement: statements are not kept where we put them. */
const unkept = new Set(['26000', '42P05'])

/** Whether the same transaction, run again from its start, may well succeed. */
export function isPassing(error: unknown): boolean {
  return (error instanceof LedgerUnavailable && passing.has(sqlState(error.cause) ?? '')) || isUnkept(error)
}

/** Whether a pooler, or the server, has forgotten the statements of a connection, or mixed it up with another. */
export function isUnkept(error: unknown): boolean {
  const cause = error instanceof LedgerUnavailable ? sqlState(error.cause) : undefined
  return unkept.has(error instanceof StatementRefused ? error.code : (cause ?? ''))
}

/** Whether the database itself said no, so that the connection is as good as before. */
export function isAnswer(error: unknown): boolean {
  if (error instanceof StatementRefused || error instanceof Unexpected) return true
  // Class 57 is the operator's: 57014 cancels one statement, the others close the connection.
  const code = error instanceof LedgerUnavailable ? sqlState(error.cause) : undefined
  return code !== undefined && (code === '57014' || !/^(08|57)/.test(code))
}

/** The error of one statement or of connecting, as the contract names it. */
export function toLedgerError(error: unknown): Error {
  if (error instanceof RangeError) return error
  const code = sqlState(error)
  if (code !== undefined && programErrors.has(code.slice(0, 2))) return refused(error, code)
  return new LedgerUnavailable('the ledger is unavailable', { cause: stripped(error) })
}

/** The answer to COMMIT never came, or was not one: nobody knows. */
export function outcomeUnknown(cause: unknown): LedgerUnavailable {
  return new LedgerUnavailable('the ledger could not commit: the outcome is not known', { cause })
}

/** The SQLSTATE where the database itself said no; undefined where the connection failed. */
function sqlState(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  return /^[0-9A-Z]{5}$/.test(error.code) ? error.code : undefined
}

/** A data exception quotes the value; the others name tables and constraints only. */
function refused(error: unknown, code: string): StatementRefused {
  if (code.startsWith('22')) return new StatementRefused(`PostgreSQL refused a value (${code})`, code)
  return new StatementRefused(`${messageOf(error)} (${code})`, code)
}

/** The driver's errors carry `detail`, `where` and `parameters`, which quote rows: only the message is kept. */
function stripped(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? { code: error.code } : {}
  return Object.assign(new Error(messageOf(error)), code)
}

function messageOf(error: unknown): string {
  // Connecting to several addresses fails with an AggregateError that has no message of its own.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : 'unknown error'
}
