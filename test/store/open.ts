/** An embedded ledger in a folder of its own, with a clock that stands where it was put. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteLedger } from '../../src/store/sqlite.ts'
import type { StoreSubject } from '../conformance/store.ts'

export async function openSqliteSubject(): Promise<StoreSubject & { path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'mayfly-ledger-'))
  const path = join(folder, 'ledger.db')
  let clock = 0
  const open = () => openSqliteLedger({ path, now: () => clock })
  let ledger = await open()
  return {
    path,
    ledger,
    setNow(ms) {
      clock = ms
    },
    async reopen() {
      await ledger.close()
      ledger = await open()
      return ledger
    },
    async close() {
      await ledger.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
