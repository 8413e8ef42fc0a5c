/** The configured ledger, opened: in a file of this broker's own, or on a PostgreSQL that brokers share. */
import type { Log } from './broker/broker.ts'
import { ConfigError, type ConfigFiles, type Settings } from './config.ts'
import type { KekFiles } from './keys/kek.ts'
import type { Metrics } from './metrics.ts'
import type { Ledger } from './store/ledger.ts'
import { openPostgresLedger } from './store/postgres.ts'
import { BadAddress, type PostgresAddress, parsePostgresUrl } from './store/postgres-address.ts'
import { openSqliteLedger } from './store/sqlite.ts'

export type LedgerEdge = {
  now: () => number
  files: ConfigFiles
  kekFiles: KekFiles
  log: Log
  /** Each as it is, unless told otherwise: where failures and interleavings are tried out. */
  openLedger?: typeof openSqliteLedger
  openSharedLedger?: typeof openPostgresLedger
}

/** @throws ConfigError, LedgerInUse, LedgerUnavailable, UnsafeDatabase; Error where the schema is newer than this program. */
export async function openLedger(
  { ledger }: Settings,
  edge: LedgerEdge,
  metrics: Pick<Metrics, 'committed'>,
): Promise<Ledger> {
  const { openLedger: openOwn = openSqliteLedger, openSharedLedger = openPostgresLedger } = edge
  const log = {
    warn: (fields: Readonly<Record<string, unknown>>, message: string) => edge.log.warn(fields, message),
    error: (fields: Readonly<Record<string, unknown>>, message: string) => edge.log.error(fields, message),
  }
  if (ledger.type === 'sqlite')
    return openOwn({ path: ledger.path, now: edge.now, log, onCommit: metrics.committed })
  const address = await addressOf(ledger, edge)
  return openSharedLedger({ address, connections: ledger.connections, log })
}

type SharedLedger = Extract<Settings['ledger'], { type: 'postgres' }>

async function addressOf(ledger: SharedLedger, { files, kekFiles }: LedgerEdge): Promise<PostgresAddress> {
  const { url, url_file, ca_file } = ledger
  const address = url === undefined ? await addressIn(url_file ?? '', kekFiles) : parsePostgresUrl(url)
  if (ca_file === undefined || address.tls === false) return address
  return { ...address, tls: { ca: await files.readFile(ca_file) } }
}

/** The file holds a password: like the key-encryption key it is its owner's alone. */
async function addressIn(file: string, secretFiles: KekFiles): Promise<PostgresAddress> {
  const refuse = (expected: string, remedy?: string) =>
    new ConfigError([{ file, key: '', expected, ...(remedy === undefined ? {} : { remedy }) }])
  const found = await secretFiles.read(file)
  if (found === undefined) throw refuse('there is no such file', 'Put the URL of the database into it')
  if ((found.mode & 0o077) !== 0) throw refuse('others can read it', `Run: chmod 600 ${file}`)
  try {
    return parsePostgresUrl(found.text)
  } catch (error) {
    if (error instanceof BadAddress) throw refuse(error.message)
    throw error
  }
}
