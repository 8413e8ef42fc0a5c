import { basename, dirname } from 'node:path'
import type { ConfigFiles, Settings } from '../config.ts'
import { CommandError } from './terminal.ts'

/**
 * Settings that lead to no ledger would make a new one, find nothing in it, and say that all is well.
 *
 * @throws CommandError
 */
export async function demandLedger(files: ConfigFiles, ledger: Settings['ledger']): Promise<void> {
  if (ledger.type !== 'sqlite') return
  const names = await files.listDir(dirname(ledger.path)).catch((): readonly string[] => [])
  if (names.includes(basename(ledger.path))) return
  throw new CommandError(
    `there is no ledger at ${ledger.path}: is --config the file that the broker runs with?`,
  )
}
