import type { LoadedSettings } from '../config.ts'
import { type Core, type Edge, openCore } from '../open-core.ts'
import { LedgerInUse } from '../store/sqlite-file.ts'
import { CommandError } from './terminal.ts'

/** Ledger and keys without a broker around them. @throws CommandError where a broker has the ledger; `instead` says what then */
export async function openCoreAlone(settings: LoadedSettings, edge: Edge, instead: string): Promise<Core> {
  try {
    return await openCore(settings, edge)
  } catch (cause) {
    if (!(cause instanceof LedgerInUse)) throw cause
    throw new CommandError(
      `the broker is running and has the ledger to itself; this works on a stopped one.\n  ${instead}\n` +
        '  Otherwise stop the broker first.',
      { cause },
    )
  }
}
