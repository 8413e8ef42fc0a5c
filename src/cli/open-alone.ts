import { LedgerInUse } from '../store/sqlite-file.ts'
import { CommandError } from './terminal.ts'

/** What needs a ledger that nobody has. @throws CommandError where a broker has it; `instead` says what then */
export async function openAlone<T>(open: () => Promise<T>, instead: string): Promise<T> {
  try {
    return await open()
  } catch (cause) {
    if (!(cause instanceof LedgerInUse)) throw cause
    throw new CommandError(
      `the broker is running and has the ledger to itself; this works on a stopped one.\n  ${instead}\n` +
        '  Otherwise stop the broker first.',
      { cause },
    )
  }
}
