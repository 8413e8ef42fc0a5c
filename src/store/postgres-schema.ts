/** Makes a database fit to be the ledger, or refuses it. Any number of brokers may do so at once. */
import { postgresDialect } from './dialect.ts'
import { LedgerUnavailable } from './ledger.ts'
import { migrate, registerTable } from './migrations.ts'
import { StatementRefused } from './postgres-errors.ts'
import {
  connect,
  databaseClock,
  POSTGRES_LIMITS,
  type Pool,
  type PoolClient,
  runOn,
  say,
} from './postgres-pool.ts'

/**
 * The database is set up to lose what it acknowledged, or cannot hold what the ledger writes. To callers it
 * is an outage: nothing was done, and the same request may be tried again once an operator has set it right.
 */
export class UnsafeDatabase extends LedgerUnavailable {
  override name = 'UnsafeDatabase'
}

/** @throws UnsafeDatabase, LedgerUnavailable; Error where the schema is another program's. */
export async function preparePostgres(pool: Pool, now: (() => number) | undefined): Promise<void> {
  const client = await connect(pool)
  let failed: Error | undefined
  try {
    await refuseUnsafe(client)
    await registerAndMigrate(client, now)
  } catch (error) {
    failed = error as Error
    throw error
  } finally {
    // Whatever was begun on it is taken back by closing it.
    client.release(failed)
  }
}

const remedy = 'A crash would lose credentials that were handed out. Set it to on.'

/** What a session is set to may change while the ledger is open: each transaction asks again. */
export function refuseAsynchronous(synchronousCommit: string): void {
  if (synchronousCommit !== 'off') return
  throw new UnsafeDatabase(`the ledger's PostgreSQL has synchronous_commit=off. ${remedy}`)
}

async function refuseUnsafe(client: PoolClient): Promise<void> {
  const { rows } = await say<Record<'commit' | 'sync' | 'pages' | 'encoding', string>>(
    client,
    `select current_setting('synchronous_commit') as commit, current_setting('fsync') as sync,
      current_setting('full_page_writes') as pages, current_setting('server_encoding') as encoding`,
  )
  const { commit, sync, pages, encoding } = rows[0]!
  refuseAsynchronous(commit)
  if (sync === 'off') throw new UnsafeDatabase(`the ledger's PostgreSQL has fsync=off. ${remedy}`)
  if (pages === 'off') throw new UnsafeDatabase(`the ledger's PostgreSQL has full_page_writes=off. ${remedy}`)
  if (encoding !== 'UTF8')
    throw new UnsafeDatabase(
      `the ledger's database is encoded in ${encoding}. Create it with ENCODING 'UTF8'.`,
    )
}

/** PostgreSQL may refuse a creation over one that is not there yet for a statement that follows: try again. */
async function registerAndMigrate(client: PoolClient, now: (() => number) | undefined): Promise<void> {
  for (let left = POSTGRES_LIMITS.registerTries; ; left--) {
    await createRegister(client)
    try {
      await migrateAlone(client, now)
      return
    } catch (error) {
      const undefinedTable = error instanceof StatementRefused && error.code === '42P01'
      if (!undefinedTable || left <= 1) throw error
      await say(client, 'rollback')
    }
  }
}

/**
 * The table that says which steps were taken is also the lock under which they are, so it must be there
 * first. Of those who create it at once, PostgreSQL may refuse all but one over its own catalogue; it is there
 * then.
 */
async function createRegister(client: PoolClient): Promise<void> {
  try {
    await say(client, registerTable(postgresDialect().words))
  } catch (error) {
    // unique_violation, duplicate_table, duplicate_object: which one depends on how far the other had come.
    const lostRace = error instanceof StatementRefused && ['23505', '42P07', '42710'].includes(error.code)
    if (!lostRace) throw error
  }
}

/** EXCLUSIVE shuts out every other migration, and no reader. */
async function migrateAlone(client: PoolClient, now: (() => number) | undefined): Promise<void> {
  const { migrationMs } = POSTGRES_LIMITS
  const { rows } = await say<{ at: number }>(
    client,
    `begin isolation level read committed;
    set local lock_timeout = ${migrationMs}; set local statement_timeout = ${migrationMs};
    lock table schema_migrations in exclusive mode; select ${databaseClock} as at`,
    migrationMs,
  )
  await migrate(postgresDialect(), query => runOn(client, query, migrationMs), now?.() ?? rows[0]!.at)
  await say(client, 'commit', migrationMs)
}
