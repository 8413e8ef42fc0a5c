import type { LedgerWrite, NewAudit } from '../../src/store/ledger.ts'
import type { SigningKeyRow } from '../../src/store/rows.ts'

/** The part of a ledger that keys stand on, in memory: bodies run one after another, as on SQLite. */
export function keyLedger() {
  const meta = new Map<string, string>()
  const rows = new Map<string, SigningKeyRow>()
  const audit: NewAudit[] = []
  let clock = Date.UTC(2026, 10, 22)
  let tail: Promise<unknown> = Promise.resolve()

  const writes: Partial<LedgerWrite> & Pick<LedgerWrite, 'now'> = {
    get now() {
      return clock
    },
    async initMeta(key, value) {
      if (!meta.has(key)) meta.set(key, value)
      return meta.get(key) ?? value
    },
    async swapMeta(key, from, to) {
      if (meta.get(key) !== from) return false
      meta.set(key, to)
      return true
    },
    async insertSigningKey(row) {
      if (rows.has(row.kid)) throw new Error(`duplicate kid ${row.kid}`)
      rows.set(row.kid, row)
    },
    async moveSigningKey(kid, from, to) {
      const row = rows.get(kid)
      if (row?.state !== from) return false
      rows.set(kid, { ...row, ...to })
      return true
    },
    async appendAudit(row) {
      audit.push(row)
    },
  }

  return {
    meta,
    rows,
    audit,
    advance: (ms: number) => {
      clock += ms
    },
    inState: (state: SigningKeyRow['state']) => [...rows.values()].filter(row => row.state === state),
    ledger: {
      now: async () => clock,
      read: {
        meta: async (key: string) => meta.get(key),
        signingKeys: async (purpose: SigningKeyRow['purpose']) =>
          [...rows.values()].filter(row => row.purpose === purpose),
      },
      write<T>(body: (tx: LedgerWrite) => Promise<T>): Promise<T> {
        // Keys use only the calls above; anything else is a TypeError in the test.
        const run = tail.then(() => body(writes as LedgerWrite))
        tail = run.catch(() => undefined)
        return run
      },
    },
  }
}
