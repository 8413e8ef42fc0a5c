/** Where a run keeps its ledgers: in files of its own, or as databases of one PostgreSQL. */
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { startPostgres } from '../test/support/postgres.ts'

export type LedgerKind = 'sqlite' | 'postgres'

export type Place = {
  readonly kind: LedgerKind
  /** What `bare.ts` is given: a path, or a URL. */
  readonly url: string
  /** Runs SQL past every broker; where it is a file, nobody may have it open but to read. */
  query(sql: string): Promise<Record<string, unknown>[]>
}

export type Shelf = {
  readonly kind: LedgerKind
  /** The key-encryption key of every ledger of this run, so that one may be a copy of another. */
  readonly kek: string
  /** An empty place. */
  place(directory: string): Promise<Place>
  /** A place with what stands in `original`, which nobody has open. */
  copy(original: Place, directory: string): Promise<Place>
  /** The database program, and what of its settings matters here. */
  describe(): Promise<string>
  close(): Promise<void>
}

export function openShelf(kind: LedgerKind): Promise<Shelf> {
  return kind === 'sqlite' ? openFiles() : openDatabases()
}

async function openFiles(): Promise<Shelf> {
  const at = (url: string): Place => ({ kind: 'sqlite', url, query: async sql => onFile(url, sql) })
  async function pathIn(directory: string): Promise<string> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return join(directory, 'ledger.db')
  }
  return {
    kind: 'sqlite',
    kek: newKek(),
    place: async directory => at(await pathIn(directory)),
    async copy(original, directory) {
      const path = await pathIn(directory)
      await copyFile(original.url, path)
      return at(path)
    },
    async describe() {
      const database = new DatabaseSync(':memory:')
      const version = database.prepare('select sqlite_version() as version').get()?.version
      database.close()
      return `node:sqlite ${version}, WAL, synchronous=FULL`
    },
    async close() {},
  }
}

/** Several statements may stand in `sql`; rows are answered where it is one that has any. */
function onFile(path: string, sql: string): Record<string, unknown>[] {
  const database = new DatabaseSync(path)
  try {
    if (/^\s*select/i.test(sql)) return database.prepare(sql).all()
    database.exec(sql)
    return []
  } finally {
    // The last connection to close writes the log into the file, and leaves a file that can be copied.
    database.close()
  }
}

async function openDatabases(): Promise<Shelf> {
  const server = await startPostgres()
  const { user, password, host } = await server.createDatabase()
  async function at(name: string): Promise<Place> {
    // The tests' server looks for deadlocks at once; a server has this.
    await server.query(`alter database ${name} set deadlock_timeout = '1s'`)
    return {
      kind: 'postgres',
      url: `postgres://${user}:${password}@localhost/${name}?host=${host}`,
      query: sql => server.query(sql, name),
    }
  }
  let copies = 0
  return {
    kind: 'postgres',
    kek: newKek(),
    place: async () => at((await server.createDatabase()).database),
    async copy(original) {
      copies += 1
      const name = `copy_${copies}`
      const from = new URL(original.url).pathname.slice(1)
      await server.query(`create database ${name} template ${from} strategy file_copy`)
      return at(name)
    },
    async describe() {
      const names = ['server_version', 'fsync', 'synchronous_commit', 'wal_sync_method', 'shared_buffers']
      const settings = await server.query<{ name: string; value: string }>(
        `select name, current_setting(name) as value from unnest('{${names}}'::text[]) as name`,
      )
      const [version, ...others] = settings.map(({ value }) => value)
      return `PostgreSQL ${version}, ${others.map((value, index) => `${names[index + 1]}=${value}`).join(', ')}`
    },
    close: () => server.close(),
  }
}

function newKek(): string {
  return randomBytes(32).toString('hex')
}
