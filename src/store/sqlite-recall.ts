/**
 * What a SELECT answered last, for those that nearly always answer the same ({@link Recall}). This process alone writes to
 * the file, so an answer stands until a statement of ours writes to a table that it was read from, or the file says
 * that somebody else has written. What a transaction reads that has written to one is not kept: it may be taken back.
 */
import { CompiledQuery } from 'kysely'
import type { Run } from './sql/prepare.ts'
import type { SqliteConnection } from './sqlite-connection.ts'

export type SqliteRecall = {
  /** A transaction has begun. */
  begun(): void
  /** Looks at each statement before it runs. */
  saw(query: CompiledQuery): void
  /** @param run what is asked where nothing is known. */
  recall<R>(query: CompiledQuery<R>, run: Run): Promise<R[]>
}

/** Agents, mostly: a handful of columns each. */
const keptMax = 2_000
/** As many as a connection keeps. */
const statementsMax = 1_000

export function openSqliteRecall(connection: Pick<SqliteConnection, 'run'>): SqliteRecall {
  /** By statement, then by its only parameter. */
  const kept = new Map<string, Map<unknown, object[]>>()
  let size = 0
  /** Tables that answers were read from; and by statement. */
  const read = new Set<string>()
  const tables = new Map<string, readonly string[]>()
  /** The table that a statement writes to: undefined for a SELECT, null where it cannot be told. */
  const written = new Map<string, string | null | undefined>()
  let version: unknown
  /** Whether the open transaction has written to one of those tables: what it reads may be taken back. */
  let isDirty = false

  const tablesOf = (sql: string) => {
    const known = tables.get(sql) ?? [...sql.matchAll(READS)].map(([, table]) => table!)
    tables.set(sql, known)
    return known
  }
  const clear = () => {
    kept.clear()
    size = 0
  }

  return {
    begun() {
      isDirty = false
      const [now] = connection.run<{ data_version: number }>(dataVersion).rows
      if (now?.data_version !== version) clear()
      version = now?.data_version
    },
    saw({ sql, query: { kind } }) {
      let table = written.get(sql)
      if (table === undefined && !written.has(sql)) {
        table = kind === 'SelectQueryNode' ? undefined : (WRITES.exec(sql)?.[1] ?? null)
        if (written.size >= statementsMax) written.clear()
        written.set(sql, table)
      }
      if (table === undefined || (table !== null && !read.has(table))) return
      clear()
      isDirty = true
    },
    async recall<R>(query: CompiledQuery<R>, run: Run) {
      const { sql, parameters } = query
      for (const table of tablesOf(sql)) {
        // Nobody has looked so far whether it is written to.
        if (!read.has(table)) isDirty = true
        read.add(table)
      }
      if (isDirty || parameters.length > 1) return (await run(query)).rows
      const known = kept.get(sql)?.get(parameters[0])
      // Copies, of the type that the same statement was answered with.
      if (known !== undefined) return known.map(row => ({ ...row })) as R[]
      const { rows } = await run(query)
      if (isDirty) return rows
      if (size >= keptMax) clear()
      size += 1
      const ofStatement = kept.get(sql) ?? new Map<unknown, object[]>()
      kept.set(
        sql,
        ofStatement.set(
          parameters[0],
          rows.map(row => ({ ...row }) as object),
        ),
      )
      return rows
    },
  }
}

const dataVersion = CompiledQuery.raw('PRAGMA data_version') as CompiledQuery<{ data_version: number }>
/** As Kysely writes them. */
const WRITES = /^(?:insert into|update|delete from) "(\w+)"/
/** Statements that list tables with commas between them are not recalled. */
const READS = /\b(?:from|join) "(\w+)"/g
