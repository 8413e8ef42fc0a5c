/**
 * The shared ledger: any number of brokers on one PostgreSQL, under READ COMMITTED. What keeps them apart is
 * in the statements (row locks, conditional updates, unique keys), never in a process.
 */
import { postgresDialect } from './dialect.ts'
import { type Ledger, LedgerUnavailable } from './ledger.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { isAnswer, isPassing, toLedgerError, Unexpected } from './postgres-errors.ts'
import { openPipeline, type Pipeline } from './postgres-pipeline.ts'
import {
  connect,
  databaseClock,
  openPool,
  POSTGRES_LIMITS,
  type Pool,
  type PoolClient,
  runOnPool,
  say,
  sendOn,
} from './postgres-pool.ts'
import { openRecollections, type Recollections } from './postgres-recall.ts'
import { preparePostgres, refuseAsynchronous, UnsafeDatabase } from './postgres-schema.ts'
import { openStatements, type Statements } from './postgres-statements.ts'
import { sharingNext } from './shared-reads.ts'
import type { Run } from './sql/prepare.ts'
import { ledgerReads } from './sql/read.ts'
import { ledgerWrites } from './sql/write.ts'

export type PostgresLedgerOptions = {
  address: PostgresAddress
  /** The most connections this ledger opens. */
  connections?: number
  /** Takes the place of the database's clock (epoch ms): for tests and simulations, whose time is their own. */
  now?: () => number
  /** Told of connections lost and of transactions that ran again. The fields name no value of any row. */
  log?: { error: LogLine; warn: LogLine }
}
type LogLine = (fields: Readonly<Record<string, unknown>>, message: string) => void

/** How often one body may run; deadlocks of more than two are resolved one victim at a time. */
const attemptsMax = 6
/** On how many connections a body may try to begin: each may take as long as an answer is waited for. */
const connectionsMax = 2

/**
 * @throws LedgerUnavailable where the database cannot be reached
 * @throws UnsafeDatabase where it is set to lose what it acknowledged
 * @throws Error where the schema is newer than this program
 */
export async function openPostgresLedger(options: PostgresLedgerOptions): Promise<Ledger> {
  const { address, connections = POSTGRES_LIMITS.connections, now, log } = options
  const pool = openPool(address, connections, error =>
    log?.warn({ err: toLedgerError(error) }, 'ledger: a connection was lost'),
  )
  try {
    await preparePostgres(pool, now).catch(error => Promise.reject(unavailableAt(address, error)))
    return ledgerOver(pool, connections, { now, log })
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** Whoever starts a broker must be told which database, and why. */
function unavailableAt({ host, port, database }: PostgresAddress, error: unknown): unknown {
  if (!(error instanceof LedgerUnavailable) || error instanceof UnsafeDatabase) return error
  const why = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return new LedgerUnavailable(`the ledger ${database} at ${host}:${port} is unavailable${why}`, {
    cause: error.cause,
  })
}

type Surroundings = { [Name in 'now' | 'log']: PostgresLedgerOptions[Name] | undefined }

function ledgerOver(pool: Pool, connections: number, { now, log }: Surroundings): Ledger {
  const dialect = postgresDialect()
  const writes = ledgerWrites(dialect)
  const kept = openStatements()
  const recollections = openRecollections()
  const underway = new Set<Promise<unknown>>()
  let closing: Promise<void> | undefined

  /** Everything goes through here: bounded while open, refused when closed, waited for by `close`. */
  function admit<T>(work: () => Promise<T>): Promise<T> {
    if (closing !== undefined) return Promise.reject(new LedgerUnavailable('the ledger is closed'))
    if (underway.size >= connections + POSTGRES_LIMITS.queued)
      return Promise.reject(new LedgerUnavailable('the ledger is overloaded'))
    const working = work().finally(() => underway.delete(working))
    underway.add(working)
    return working
  }

  const read: Run = query => admit(() => runOnPool(pool, query, kept))
  const reads = ledgerReads(dialect, read)

  return {
    now: sharedClock(() => admit(() => (now === undefined ? databaseTime(pool) : Promise.resolve(now())))),
    // Every exchange asks whether the ledger was restored.
    read: { ...reads, meta: sharingNext(reads.meta) },
    write: body =>
      admit(() =>
        transact(
          { pool, kept, recollections },
          async ({ run, send, expect, recall }, at) =>
            body(writes({ run, send, expect, recall, now: now?.() ?? at })),
          log,
        ),
      ),
    close() {
      closing ??= Promise.allSettled(underway).then(() => pool.end())
      return closing
    },
  }
}

/**
 * The database's clock, truncated to milliseconds. No offset to a local clock is kept: it would carry that
 * clock's jumps into deadlines, and hide from the broker that its own clock is off. Instead, whoever asks
 * while an answer is under way shares it, so that the cost does not grow with the callers.
 */
function sharedClock(ask: () => Promise<number>): () => Promise<number> {
  let asking: Promise<number> | undefined
  return () => {
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }
}

async function databaseTime(pool: Pool): Promise<number> {
  return (await say<{ at: number }>(pool, `select ${databaseClock} as at`)).rows[0]!.at
}

type Database = { pool: Pool; kept: Statements; recollections: Recollections }
type Body<T> = (statements: Pick<Pipeline, 'run' | 'send' | 'expect' | 'recall'>, now: number) => Promise<T>

/**
 * One body, committed. It runs again from its start where the database took it back for another's sake, or
 * where its connection turned out to be dead before the body began, or where what it took for granted was not
 * so: in all of these nothing was done.
 */
async function transact<T>(on: Database, body: Body<T>, log: Surroundings['log']): Promise<T> {
  let trusting = true
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await attemptOnce(on, body, trusting)
    if (!('again' in outcome)) return outcome.value
    if (outcome.again instanceof Unexpected) {
      trusting = false
      attempt = 0
      continue
    }
    if (attempt === (isPassing(outcome.again) ? attemptsMax : connectionsMax)) throw outcome.again
    log?.warn({ attempt, err: outcome.again }, 'ledger: a transaction runs again')
  }
}

/** @throws what is final: the body's own error, a refused statement, an outage, an unknown outcome. */
async function attemptOnce<T>(
  { pool, ...shared }: Database,
  body: Body<T>,
  trusting: boolean,
): Promise<{ value: T } | { again: Error }> {
  const client = await connect(pool)
  // A connection in a state that is not known is never used again.
  let broken: unknown = true
  try {
    const begun = await begin(client, shared.kept)
    if ('error' in begun) return { again: begun.error }
    const pipeline = openPipeline(client, shared, { trusting })
    const outcome = await runBody(pipeline, body, begun.at)
    if ('error' in outcome) {
      broken = await rollBack(client, outcome.error)
      if (!runsAgain(outcome.error)) throw outcome.error
      return { again: outcome.error as Error }
    }
    const failed = await pipeline.commit()
    broken = failed?.open ? await rollBack(client, failed.refused) : undefined
    if (failed === undefined) return outcome
    if (!runsAgain(failed.refused)) throw failed.refused
    return { again: failed.refused }
  } finally {
    client.release(broken !== undefined)
  }
}

function runsAgain(error: unknown): boolean {
  return isPassing(error) || error instanceof Unexpected
}

/**
 * One round trip: begins, tells the time, and makes sure that what will be acknowledged stays.
 * @throws UnsafeDatabase. Other errors are values: nothing was done yet.
 */
async function begin(client: PoolClient, kept: Statements): Promise<{ at: number } | { error: Error }> {
  try {
    const [, asked] = await sendOn(client, BEGIN, kept)
    // The row that the second of these statements names.
    const { at, commit } = asked!.rows[0] as { at: number; commit: string }
    refuseAsynchronous(commit)
    return { at }
  } catch (error) {
    if (error instanceof UnsafeDatabase) throw error
    return { error: error as Error }
  }
}

const BEGIN = [
  'begin isolation level read committed',
  `select ${databaseClock} as at, current_setting('synchronous_commit') as commit`,
].map(sql => ({ sql, parameters: [] }))

/** Returns what leaves the connection unfit for use. */
async function rollBack(client: PoolClient, because: unknown): Promise<unknown> {
  if (because instanceof LedgerUnavailable && !isAnswer(because)) return because
  try {
    await say(client, 'rollback')
    return undefined
  } catch (error) {
    return error
  }
}

/**
 * After a statement has failed no other runs, and what failed it is the outcome whatever the body made of it:
 * the database has given the transaction up.
 */
async function runBody<T>(
  pipeline: Pipeline,
  body: Body<T>,
  at: number,
): Promise<{ value: T } | { error: unknown }> {
  try {
    const value = await body(pipeline, at)
    return pipeline.failure ?? { value }
  } catch (error) {
    if (pipeline.failure !== undefined) return pipeline.failure
    // It may have failed over what is no longer so.
    return {
      error: pipeline.isSupposing ? new Unexpected('it failed over what it was told from memory') : error,
    }
  } finally {
    pipeline.close()
  }
}
