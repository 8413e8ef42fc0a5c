/**
 * The embedded ledger: one SQLite file, one process. Writes are committed in groups on one connection; while one is
 * under way reads use another, which in WAL mode sees only what was committed.
 */
import { sqliteDialect } from './dialect.ts'
import { type GroupConnection, groupCommit } from './group-commit.ts'
import { type Ledger, LedgerUnavailable } from './ledger.ts'
import { migrate } from './migrations.ts'
import { askingAll } from './sql/prepare.ts'
import { ledgerReads } from './sql/read.ts'
import { ledgerWrites } from './sql/write.ts'
import { openSqliteConnection, type SqliteConnection } from './sqlite-connection.ts'
import { holdFile } from './sqlite-file.ts'
import { openSqliteRecall, type SqliteRecall } from './sqlite-recall.ts'

const cacheKib = 32 * 1024
/** Of 4 KiB each: the log grows to about 32 MiB before its pages are copied into the file. */
const checkpointPages = 8_000

export type SqliteLedgerOptions = {
  /** Created where there is none, with mode 0600; its folder too, with 0700. */
  path: string
  /** The ledger's clock, epoch ms. */
  now: () => number
  /** Told why writes were lost. The error names no value of any row. */
  log?: { error(fields: { err: unknown }, message: string): void }
  /** Told how many transactions each commit was of. */
  onCommit?: (transactions: number) => void
}

/**
 * @throws LedgerInUse where another process holds the file
 * @throws Error where the schema is newer than this program
 * @throws LedgerUnavailable where the database cannot be opened
 */
export async function openSqliteLedger({ path, now, log, onCommit }: SqliteLedgerOptions): Promise<Ledger> {
  const file = holdFile(path)
  const opened: { close(): void }[] = []
  const shut = () => {
    for (const connection of opened.toReversed()) connection.close()
    file.release()
  }
  try {
    const writer = openSqliteConnection(file.path, { readOnly: false })
    opened.push(writer)
    await prepareFile(writer, Math.floor(now()))
    const reader = openSqliteConnection(file.path, { readOnly: true })
    opened.push(reader)
    return ledgerOver(writer, reader, { now: () => Math.floor(now()), log, onCommit, shut })
  } catch (error) {
    shut()
    throw error
  }
}

type Surroundings = {
  now: () => number
  log: SqliteLedgerOptions['log']
  onCommit: SqliteLedgerOptions['onCommit']
  shut: () => void
}

function ledgerOver(writer: SqliteConnection, reader: SqliteConnection, around: Surroundings): Ledger {
  const { now, log, onCommit, shut } = around
  const dialect = sqliteDialect()
  const writes = ledgerWrites(dialect)
  const lost = (err: unknown) => log?.error({ err }, 'ledger: a group of writes was lost')
  const memory = openSqliteRecall(writer)
  const group = groupCommit(remembering(writer, memory), lost, onCommit)
  let closing: Promise<void> | undefined

  return {
    async now() {
      if (closing !== undefined) throw new LedgerUnavailable('the ledger is closed')
      return now()
    },
    // Between two groups the writer sees what was committed and nothing else, and has its pages at hand: every commit
    // makes the reader forget its own.
    read: ledgerReads(dialect, async query => (writer.inTransaction ? reader : writer).run(query)),
    write: body =>
      group.submit(async run =>
        body(writes({ ...askingAll(run), recall: query => memory.recall(query, run), now: now() })),
      ),
    close() {
      closing ??= group.stop().then(shut)
      return closing
    },
  }
}

/** The same connection; each transaction and each of its statements is seen by the memory. */
function remembering(writer: SqliteConnection, memory: SqliteRecall): GroupConnection {
  return {
    run(query) {
      memory.saw(query)
      return writer.run(query)
    },
    exec(sql) {
      writer.exec(sql)
      if (sql.startsWith('BEGIN')) memory.begun()
    },
    get inTransaction() {
      return writer.inTransaction
    },
  }
}

/**
 * The file is held by this process alone, so whoever claimed a lease is gone and its work need not wait for
 * the claim to run out. The fence goes up as with any claim.
 */
const releaseClaims = ['leases', 'claims'].map(
  table => `update ${table} set claimed_until = null, fence = fence + 1 where claimed_until is not null`,
)

async function prepareFile(writer: SqliteConnection, now: number): Promise<void> {
  writer.exec('PRAGMA journal_mode = WAL')
  writer.exec('PRAGMA synchronous = FULL')
  writer.exec('PRAGMA secure_delete = ON')
  writer.exec('PRAGMA foreign_keys = ON')
  // Measured: pages that are written again and again go to the file once, and inner pages stay at hand.
  writer.exec(`PRAGMA cache_size = -${cacheKib}`)
  writer.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`)
  writer.exec('BEGIN IMMEDIATE')
  try {
    await migrate(sqliteDialect(), async query => writer.run(query), now)
    for (const statement of releaseClaims) writer.exec(statement)
    // A claim on a receipt is its due time; whoever waits for a child's is put off again.
    writer.exec(`update receipts set due_at = ${now} where due_at > ${now}`)
    writer.exec('COMMIT')
  } catch (error) {
    if (writer.inTransaction) writer.exec('ROLLBACK')
    throw error
  }
}
