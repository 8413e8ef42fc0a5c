import { afterAll, test } from 'vitest'
import { openPostgresLedger } from '../../src/store/postgres.ts'
import { describeStore, type StoreSubject } from '../conformance/store.ts'
import { startPostgres } from '../support/postgres.ts'

const server = await startPostgres()

if ('missing' in server) {
  test.skip(`PostgreSQL: ${server.missing}`, () => {})
} else {
  afterAll(() => server.close())
  describeStore('the shared ledger', async (): Promise<StoreSubject> => {
    const address = await server.createDatabase()
    let clock = 0
    const open = () => openPostgresLedger({ address, connections: 4, now: () => clock })
    let ledger = await open()
    return {
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
      },
    }
  })
}
