/** The ledger's file: readable by its owner alone, and held by one process at a time. */
import { chmodSync, closeSync, mkdirSync, openSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Another process, or another ledger of this one, holds the file. */
export class LedgerInUse extends Error {
  override name = 'LedgerInUse'
}

/**
 * Creates the file where there is none and takes it for this process. The lock is SQLite's own on an empty
 * database beside it, so the operating system lets go of it however the process dies.
 *
 * @returns the file's real path, and what gives it back
 * @throws LedgerInUse
 */
export function holdFile(path: string): { path: string; release(): void } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  createPrivate(path)
  // A link to the ledger must meet the same lock as the ledger.
  const real = realpathSync(path)
  const lock = `${real}.lock`
  createPrivate(lock)
  const database = new DatabaseSync(lock, { timeout: 0 })
  try {
    database.exec('BEGIN EXCLUSIVE')
  } catch (cause) {
    database.close()
    throw new LedgerInUse(
      `the ledger ${real} is in use: one process at a time may open it, stop the other one first`,
      { cause },
    )
  }
  return { path: real, release: () => database.close() }
}

/**
 * A file that exists is never opened here: closing it again would drop the locks that this process holds on
 * it (POSIX record locks belong to the process and the file, not to the descriptor).
 */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600)
}
