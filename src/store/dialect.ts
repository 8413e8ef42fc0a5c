/** What differs between the databases, in one object. Everything else in `sql/` is written once. */
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type SelectQueryBuilder,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Lock } from './ledger.ts'
import type { Tables } from './tables.ts'

export type SqlDialect = {
  /** Builds and compiles statements; it runs none (see {@link Run} in sql/prepare.ts). */
  readonly db: Kysely<Tables>
  /** False where a writer is alone anyway, so that locking statements need not be sent. */
  readonly rowLocks: boolean
  /** Locks the rows of table `of` that the query finds. */
  lock<DB, TB extends keyof DB, O>(
    query: SelectQueryBuilder<DB, TB, O>,
    lock: Lock,
    of: TB & string,
  ): SelectQueryBuilder<DB, TB, O>
  /** Locks for update what nobody else has locked, and leaves out the rest. */
  skipLocked<DB, TB extends keyof DB, O>(query: SelectQueryBuilder<DB, TB, O>): SelectQueryBuilder<DB, TB, O>
  /** Words of the schema that differ. */
  readonly words: {
    /** A 64-bit integer. */
    readonly integer: string
    readonly bytes: string
    /** A key column that numbers its rows in the order of insertion. */
    readonly serial: string
    /** What ends a CREATE TABLE: of wide rows, and of rows that are little more than their key. */
    readonly wide: string
    readonly narrow: string
  }
}

/** STRICT tables refuse a value of the wrong type, as PostgreSQL does. */
export function sqliteDialect(): SqlDialect {
  return {
    db: new Kysely<Tables>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: db => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    }),
    rowLocks: false,
    lock: query => query,
    skipLocked: query => query,
    words: {
      integer: 'integer',
      bytes: 'blob',
      serial: 'integer primary key',
      wide: 'strict',
      narrow: 'strict, without rowid',
    },
  }
}

/**
 * Written for READ COMMITTED: each statement sees what was committed when it began, and waits for the rows
 * that others hold.
 */
export function postgresDialect(): SqlDialect {
  return {
    db: new Kysely<Tables>({
      dialect: {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: db => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
    }),
    rowLocks: true,
    lock: (query, lock, of) => (lock === 'share' ? query.forShare(of) : query.forUpdate(of)),
    skipLocked: query => query.forUpdate().skipLocked(),
    words: {
      integer: 'bigint',
      bytes: 'bytea',
      serial: 'bigint generated always as identity primary key',
      wide: '',
      narrow: '',
    },
  }
}
