/** A whole installation whose ledger is a fresh database of a PostgreSQL, for any number of brokers. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningServer, startServer } from '../../src/server.ts'
import { openPostgresLedger } from '../../src/store/postgres.ts'
import { type ConfigChanges, createInstallation, edgeFor, type Installation } from '../fakes/installation.ts'
import type { TestPostgres } from './postgres.ts'

export async function createSharedInstallation(
  postgres: TestPostgres,
  changes: ConfigChanges = {},
): Promise<{ installation: Installation; database: string }> {
  const { user, password, host, database } = await postgres.createDatabase()
  const installation = await createInstallation({
    ...changes,
    settings: { ...changes.settings, ledger: { type: 'postgres', url_file: 'ledger-url' }, kek_file: 'kek' },
  })
  const url = `postgres://${user}:${password}@localhost/${database}?host=${host}`
  const secrets = { 'ledger-url': url, kek: randomBytes(32).toString('hex') }
  for (const [name, text] of Object.entries(secrets))
    await writeFile(join(installation.directory, name), `${text}\n`, { mode: 0o600 })
  return { installation, database }
}

/** In this process, and by the installation's clock instead of the database's. */
export function startSharedBroker(installation: Installation): Promise<RunningServer> {
  const { now } = installation.clock
  return startServer(installation.configPath, {
    ...edgeFor(installation),
    openSharedLedger: options => openPostgresLedger({ ...options, now }),
  })
}
