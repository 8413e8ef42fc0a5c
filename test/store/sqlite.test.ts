import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync, statSync, symlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ledger, LedgerUnavailable } from '../../src/store/ledger.ts'
import { openSqliteLedger } from '../../src/store/sqlite.ts'
import { LedgerInUse } from '../../src/store/sqlite-file.ts'
import { activeLease, holding, start } from '../conformance/store/subject.ts'
import { describeStore } from '../conformance/store.ts'
import { openSqliteSubject } from './open.ts'

describeStore('the embedded ledger', openSqliteSubject)

let subject: Awaited<ReturnType<typeof openSqliteSubject>>
beforeEach(async () => {
  subject = await openSqliteSubject()
  subject.setNow(start)
})
afterEach(() => subject.close())

describe('one process at a time', () => {
  test('a second process is refused, and told why', async () => {
    const child = holder(subject.path)
    expect(await child.next()).toMatch(/^refused: LedgerInUse: .*ledger\.db is in use: one process at a time/)
    await child.ended
  })

  test('a second ledger of the same process is refused, by a link too, and the first keeps its hold', async () => {
    const link = `${subject.path}.link`
    symlinkSync(subject.path, link)
    for (const path of [subject.path, link, subject.path]) {
      await expect(openSqliteLedger({ path, now: () => 1 })).rejects.toThrow(LedgerInUse)
    }
    const child = holder(subject.path)
    expect(await child.next()).toMatch(/^refused: LedgerInUse/)
    await child.ended
  })

  test('a killed process lets go, and every row it was answered for is there', async () => {
    await subject.ledger.close()
    const child = holder(subject.path)
    expect(await child.next()).toBe('held')
    const refused = openSqliteLedger({ path: subject.path, now: () => 1 })
    await expect(refused).rejects.toThrow(LedgerInUse)
    const rows = [await child.next()]
    while (rows.length < 25) rows.push(await child.next())
    child.kill()
    await child.ended
    rows.push(...(await child.rest()))

    const ledger = await subject.reopen()
    for (const row of rows) expect(await ledger.read.meta(row ?? ''), row).toBe('there')
  })

  test('what a broker that is gone had claimed is due at once, under a higher fence', async () => {
    await holding(subject.ledger, activeLease('l', 't', { due_at: start }))
    const claim = (ledger: Ledger) => ledger.write(tx => tx.claimDue('github', 9, start + 60_000))
    const [before] = await claim(subject.ledger)
    expect(await claim(subject.ledger)).toEqual([])
    const [after] = await claim(await subject.reopen())
    expect([before?.id, after?.id]).toEqual(['l', 'l'])
    expect(after!.fence).toBeGreaterThan(before!.fence)
  })
})

describe('the file', () => {
  test('is its owner’s alone, with everything beside it', () => {
    for (const suffix of ['', '-wal', '-shm', '.lock']) {
      expect(statSync(subject.path + suffix).mode & 0o777, suffix).toBe(0o600)
    }
  })

  test('is taken back from others where it was readable', async () => {
    await subject.ledger.close()
    chmodSync(subject.path, 0o644)
    await subject.reopen()
    expect(statSync(subject.path).mode & 0o777).toBe(0o600)
  })

  test('holds no byte of a sealed secret once its lease is closed', async () => {
    const secrets = [
      Buffer.from('SMALL-SEALED-SECRET'.repeat(5)),
      Buffer.from('LARGE-SEALED-SECRET'.repeat(999)),
    ]
    const marks = ['SMALL-SEALED-SECRET', 'LARGE-SEALED-SECRET']
    const leases = secrets.map((secret, index) => activeLease(`l${index}`, 't', { sealed_secret: secret }))
    await holding(subject.ledger, ...leases)
    const ledger = await subject.reopen()
    const stored = readFileSync(subject.path)
    for (const mark of marks) expect(stored.includes(mark), mark).toBe(true)

    for (const { id } of leases) await ledger.write(tx => tx.closeLease(id, null, { closed_as: 'revoked' }))
    await ledger.close()
    const left = readFileSync(subject.path)
    for (const mark of marks) expect(left.includes(mark), mark).toBe(false)
    expect(existsSync(`${subject.path}-wal`)).toBe(false)
  })

  test('is in WAL mode, so that reads never wait for writes', () => {
    const other = new DatabaseSync(subject.path, { readOnly: true })
    expect(other.prepare('PRAGMA journal_mode').get()).toMatchObject({ journal_mode: 'wal' })
    other.close()
  })
})

describe('the schema', () => {
  const meddle = async (sql: string) => {
    await subject.ledger.close()
    const other = new DatabaseSync(subject.path)
    other.exec(sql)
    other.close()
  }

  test('of a newer program is refused, left as it is, and the file let go', async () => {
    await meddle("INSERT INTO schema_migrations VALUES (999, 'from the future', 1)")
    await expect(subject.reopen()).rejects.toThrow(/schema 999 \(from the future\).*this program knows up to/)
    await meddle('DELETE FROM schema_migrations WHERE id = 999')
    const ledger = await subject.reopen()
    expect(await ledger.read.meta('k')).toBeUndefined()
  })

  test('of another program is refused', async () => {
    await meddle("UPDATE schema_migrations SET name = 'something else' WHERE id = 1")
    await expect(subject.reopen()).rejects.toThrow(/not this program's ledger/)
    await meddle("UPDATE schema_migrations SET name = 'ledger' WHERE id = 1")
    await subject.reopen()
  })
})

test('a lease of no task, and a value of the wrong type, are the program’s errors and not outages', async () => {
  const noTask = subject.ledger.write(tx => tx.insertLease(activeLease('l', 'nobody')))
  await expect(noTask).rejects.toThrow(/FOREIGN KEY constraint failed/)
  const noNumber = subject.ledger.write(tx => tx.takeBudget('k', 1, Number.NaN))
  await expect(noNumber).rejects.toThrow(/constraint failed/)
})

test('while another connection holds the database, writes are unavailable and reads go on', async () => {
  const other = new DatabaseSync(subject.path)
  other.exec('BEGIN IMMEDIATE')
  const body = subject.ledger.write(tx => tx.setMeta('k', 'v'))
  await expect(body).rejects.toThrow(LedgerUnavailable)
  expect(await subject.ledger.read.meta('k')).toBeUndefined()
  other.exec('ROLLBACK')
  other.close()
  await subject.ledger.write(tx => tx.setMeta('k', 'v'))
  expect(await subject.ledger.read.meta('k')).toBe('v')
})

function holder(path: string) {
  const script = fileURLToPath(new URL('holder.ts', import.meta.url))
  const child = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async () => (await lines.next()).value as string | undefined
  return {
    next,
    /** What it had still printed. The last line may be cut short by the kill: it is left out. */
    async rest() {
      const rest: string[] = []
      for (let line = await next(); line !== undefined; line = await next()) rest.push(line)
      return rest.slice(0, -1)
    },
    ended: once(child, 'close'),
    kill: () => child.kill('SIGKILL'),
  }
}
