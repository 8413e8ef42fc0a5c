/**
 * A process that holds the ledger named by its argument: prints `held`, then one line for each row that was
 * answered, until it is killed. Prints `refused: <reason>` where it cannot open the ledger.
 */
import { openSqliteLedger } from '../../src/store/sqlite.ts'

const print = (line: string) => process.stdout.write(`${line}\n`)

try {
  const ledger = await openSqliteLedger({ path: process.argv[2] ?? '', now: () => 1 })
  print('held')
  for (let row = 0; ; row += 1) {
    await ledger.write(tx => tx.setMeta(`row-${row}`, 'there'))
    print(`row-${row}`)
  }
} catch (error) {
  print(`refused: ${error instanceof Error ? `${error.name}: ${error.message}` : error}`)
}
