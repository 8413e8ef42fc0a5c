/** Connections to PostgreSQL through `pg`: compiled statements in, portable rows out, everything bounded. */
import type { CompiledQuery } from 'kysely'
import {
  type CustomTypesConfig,
  Pool,
  type PoolClient,
  type QueryConfig,
  type QueryResult,
  type QueryResultRow,
  types,
} from 'pg'
import type { PostgresAddress } from './postgres-address.ts'
import { type Answer, BatchFailed, runBatch, type Statement } from './postgres-batch.ts'
import { isAnswer, isPassing, isUnkept, toLedgerError } from './postgres-errors.ts'
import type { Statements } from './postgres-statements.ts'
import type { Result } from './sql/prepare.ts'

/** Bounds of one broker. The database's own `max_connections` must hold them for all brokers. */
export const POSTGRES_LIMITS = {
  /** How often a broker looks for the table of migrations that another broker has just made. */
  registerTries: 5,
  connections: 24,
  /** Calls that wait for a connection; further ones are refused at once. */
  queued: 2_000,
  connectMs: 5_000,
  /** A connection that nobody needed for so long is closed. */
  idleMs: 30_000,
  /** How long a statement waits for a row that another transaction holds. */
  lockMs: 5_000,
  statementMs: 10_000,
  /** A broker that stands still inside a transaction loses it after this, and its locks with it. */
  idleInTransactionMs: 10_000,
  /** The server's answer may be lost on the way: then the connection is given up. */
  answerMs: 15_000,
  /** How long one broker waits while another brings the schema up to date, and how long that may take. */
  migrationMs: 120_000,
} as const

/** `onError` is told of connections that died while nobody used them. */
export function openPool(
  { tls, password, ...address }: PostgresAddress,
  connections: number,
  onError: (error: Error) => void,
): Pool {
  const pool = new Pool({
    ...address,
    // A function, since without a password the driver would look for one in its environment.
    password: () => password ?? '',
    ssl: tls === false ? false : { ...tls, rejectUnauthorized: true },
    max: connections,
    connectionTimeoutMillis: POSTGRES_LIMITS.connectMs,
    idleTimeoutMillis: POSTGRES_LIMITS.idleMs,
    lock_timeout: POSTGRES_LIMITS.lockMs,
    statement_timeout: POSTGRES_LIMITS.statementMs,
    idle_in_transaction_session_timeout: POSTGRES_LIMITS.idleInTransactionMs,
    query_timeout: POSTGRES_LIMITS.answerMs,
    keepAlive: true,
    application_name: 'mayfly',
    types: portableTypes,
  })
  pool.on('error', onError)
  // A connection that dies between two statements of a transaction tells only itself; without a listener
  // that would end the process. The next statement fails, and says so to whom it concerns.
  pool.on('connect', client => client.on('error', () => {}))
  return pool
}

/** What a pool and a connection have in common. `query_timeout` is the driver's, and missing from its types. */
type Queryable = {
  query(config: { text: string; values?: unknown[]; query_timeout: number }): Promise<QueryResult>
}

/** One statement of its own. @throws StatementRefused, LedgerUnavailable */
export async function runOn<R>(
  client: PoolClient,
  query: CompiledQuery<R>,
  answerMs: number = POSTGRES_LIMITS.answerMs,
): Promise<Result<R>> {
  const { rows, rowCount } = await client
    .query({ text: query.sql, values: [...query.parameters], query_timeout: answerMs } as QueryConfig)
    .catch(error => Promise.reject(toLedgerError(error)))
  // The driver cannot know the row's type; the query does.
  return { rows: rows as R[], changed: rowCount ?? 0 }
}

/** The same on whichever connection is free, once more where what is kept there had grown stale. */
export async function runOnPool<R>(
  pool: Pool,
  query: CompiledQuery<R>,
  kept: Statements,
): Promise<Result<R>> {
  if (asksForNul(query)) return { rows: [], changed: 0 }
  for (let isAgain = false; ; isAgain = true) {
    const client = await connect(pool)
    let broken: Error | undefined
    try {
      const [answer] = await sendOn(client, [query], kept)
      return { rows: answer!.rows as R[], changed: answer!.changed }
    } catch (error) {
      if (!isAnswer(error)) broken = error as Error
      if (isAgain || !isPassing(error)) throw error
    } finally {
      client.release(broken)
    }
  }
}

/** @throws StatementRefused, LedgerUnavailable, of the statement that failed, and says to `failedAt` which. */
export async function sendOn(
  client: PoolClient,
  statements: readonly Statement[],
  kept: Statements,
  failedAt: (index: number) => void = () => {},
): Promise<Answer[]> {
  try {
    return await runBatch(client, statements, { parserOf, answerMs: POSTGRES_LIMITS.answerMs, kept })
  } catch (thrown) {
    if (thrown instanceof BatchFailed) failedAt(thrown.index)
    const error = toLedgerError(thrown instanceof BatchFailed ? thrown.cause : thrown)
    if (isUnkept(error)) kept.stopNaming()
    throw error
  }
}

/** PostgreSQL holds no NUL in a text and refuses one that is asked for, as if the program were wrong: there is no such row. */
export function asksForNul({ query, parameters }: CompiledQuery): boolean {
  return (
    query.kind === 'SelectQueryNode' &&
    parameters.some(value => typeof value === 'string' && value.includes('\0'))
  )
}

/** SQL without parameters: one statement or several in one round trip. Answers the last one. @throws as {@link runOn} */
export async function say<R extends QueryResultRow>(
  on: Queryable,
  text: string,
  answerMs: number = POSTGRES_LIMITS.answerMs,
): Promise<{ command: string; rows: R[] }> {
  const answer: unknown = await on
    .query({ text, query_timeout: answerMs })
    .catch(error => Promise.reject(toLedgerError(error)))
  // The driver answers several statements with a list, of which its types know nothing.
  return (Array.isArray(answer) ? answer.at(-1) : answer) as { command: string; rows: R[] }
}

/** @throws LedgerUnavailable */
export function connect(pool: Pool): Promise<PoolClient> {
  return pool.connect().catch(error => Promise.reject(toLedgerError(error)))
}

/** The database's clock, epoch ms, truncated: an expression of SQL. */
export const databaseClock = 'floor(extract(epoch from clock_timestamp()) * 1000)::bigint'

export type { Pool, PoolClient }

const { BYTEA, INT8 } = types.builtins

/** 64-bit integers as numbers, bytes as plain arrays of bytes: the rows that the other dialect gives. */
export function parserOf(oid: number): (text: string) => unknown {
  if (oid === INT8) return toNumber
  const parse = types.getTypeParser(oid, 'text')
  return oid === BYTEA ? text => new Uint8Array(parse(text) as Buffer) : parse
}

const portableTypes: CustomTypesConfig = { getTypeParser: parserOf }

function toNumber(text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number)) return number
  throw new RangeError('the ledger holds an integer beyond 2^53')
}
