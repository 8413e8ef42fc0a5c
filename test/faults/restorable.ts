/** Ledgers that are backed up while brokers work on them, lost, and put back, as docs/operations.md says. */
import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { expect, vi } from 'vitest'
import { createInstallation, type Installation } from '../fakes/installation.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation } from '../support/shared-installation.ts'

const run = promisify(execFile)

export type Restorable = {
  installation: Installation
  /** What the ledger holds at this moment can be put back later. */
  backUp(): Promise<void>
  /** What came since is lost. No broker that has a file for its ledger may be running. */
  putBack(): Promise<void>
  close(): Promise<void>
}

/** The embedded ledger, copied by SQLite while the broker has it open. */
export async function restorableFile(): Promise<Restorable> {
  const installation = await createInstallation()
  const file = join(installation.directory, 'data/mayfly.db')
  const copy = join(installation.directory, 'backup.db')
  return {
    installation,
    async backUp() {
      const source = new DatabaseSync(file, { timeout: 5_000 })
      try {
        await backup(source, copy)
      } finally {
        source.close()
      }
    },
    async putBack() {
      for (const beside of ['-wal', '-shm']) await rm(file + beside, { force: true })
      await run('cp', [copy, file])
    },
    close: () => installation.close(),
  }
}

/** A PostgreSQL whose log is archived: a base backup from the start, and a recovery to a point after it. */
export async function restorablePostgres(): Promise<Restorable> {
  const postgres = await startPostgres(folder => ({
    archive_mode: 'on',
    archive_command: `cp %p ${join(folder, 'archive')}/%f`,
  }))
  const folder = dirname(postgres.files)
  const archive = join(folder, 'archive')
  await mkdir(archive)
  await chmod(archive, 0o777)
  const base = join(folder, 'base')
  const { installation } = await createSharedInstallation(postgres)
  await backUpFiles(postgres, base)
  return {
    installation,
    async backUp() {
      await postgres.query(`select pg_create_restore_point('the backup')`)
    },
    async putBack() {
      await archived(postgres)
      const lost = postgres.files
      const restored = await recoverable(base, join(folder, 'restored'))
      await postgres.replace({
        files: restored,
        settings: {
          restore_command: `cp ${archive}/%f %p`,
          recovery_target_name: 'the backup',
          recovery_target_action: 'promote',
        },
      })
      await rm(lost, { recursive: true })
    },
    async close() {
      await installation.close()
      await postgres.close()
    },
  }
}

/** What `pg_basebackup` does, which is not among the binaries. */
async function backUpFiles(postgres: TestPostgres, to: string): Promise<void> {
  const session = await postgres.session('postgres')
  try {
    await session.query(`select pg_backup_start('base', fast => true)`)
    await run('cp', ['-a', postgres.files, to])
    for (const left of ['postmaster.pid', 'pg_wal'])
      await rm(join(to, left), { recursive: true, force: true })
    await asServer(to, () => mkdir(join(to, 'pg_wal')), join(to, 'pg_wal'))
    const { rows } = await session.query<{ label: string }>(
      'select labelfile as label from pg_backup_stop(wait_for_archive => true)',
    )
    const label = join(to, 'backup_label')
    await asServer(to, () => writeFile(label, rows[0]!.label), label)
  } finally {
    await session.end()
  }
}

async function recoverable(base: string, to: string): Promise<string> {
  await run('cp', ['-a', base, to])
  const signal = join(to, 'recovery.signal')
  await asServer(to, () => writeFile(signal, ''), signal)
  return to
}

/** The server may run as another user than the test, and must own what it renames. */
async function asServer(folder: string, make: () => Promise<unknown>, made: string): Promise<void> {
  await make()
  const { uid, gid } = await stat(folder)
  await chown(made, uid, gid)
}

/** The file of the log that holds the restore point is closed, and in the archive. */
async function archived(postgres: TestPostgres): Promise<void> {
  const [file] = await postgres.query<{ name: string }>('select pg_walfile_name(pg_switch_wal()) as name')
  await vi.waitFor(
    async () => {
      const [last] = await postgres.query<{ name: string }>(
        'select last_archived_wal as name from pg_stat_archiver',
      )
      expect((last?.name ?? '') >= file!.name).toBe(true)
    },
    { timeout: 10_000, interval: 50 },
  )
}
