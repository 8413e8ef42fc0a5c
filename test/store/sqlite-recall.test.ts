/** What is answered from memory is what the file would have answered. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { CompiledQuery } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { groupCommit } from '../../src/store/group-commit.ts'
import type { Ledger } from '../../src/store/ledger.ts'
import { openSqliteLedger } from '../../src/store/sqlite.ts'
import { openSqliteConnection } from '../../src/store/sqlite-connection.ts'
import { openSqliteRecall } from '../../src/store/sqlite-recall.ts'
import { agent } from '../conformance/store/subject.ts'

const NOW = 1_800_000_000_000
const suspended = {
  standing: 'suspended',
  standing_cause: 'operator',
  standing_reason: 'a test',
  standing_by: 'operator:test',
  standing_run: null,
} as const

let folder: string
let path: string
let ledger: Ledger
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-recall-'))
  path = join(folder, 'ledger.db')
  ledger = await openSqliteLedger({ path, now: () => NOW })
})
afterEach(async () => {
  await ledger.close()
  rmSync(folder, { recursive: true })
})

const look = () => ledger.write(async tx => (await tx.shareAgent('a'))?.digest)
const put = (digest: string) => ledger.write(tx => tx.putAgent(agent('a', { digest })))

describe('what a mint looks at', () => {
  test('is what it became', async () => {
    expect(await look()).toBeUndefined()
    await put('one')
    expect([await look(), await look()]).toEqual(['one', 'one'])
    await ledger.write(tx => tx.moveAgent('a', 'active', suspended))
    expect(await ledger.write(async tx => (await tx.shareAgent('a'))?.standing)).toBe('suspended')
  })

  test('is what the same transaction made of it, and not what another took back', async () => {
    await put('one')
    expect(await look()).toBe('one')
    const failing = ledger.write(async tx => {
      await tx.putAgent(agent('a', { digest: 'two' }))
      expect((await tx.shareAgent('a'))?.digest).toBe('two')
      throw new Error('taken back')
    })
    // In the same group, before and behind the one that fails.
    const [before, failed, behind] = await Promise.allSettled([look(), failing, look()])
    expect([before, behind].map(each => each.status === 'fulfilled' && each.value)).toEqual(['one', 'one'])
    expect(failed.status).toBe('rejected')
    expect(await look()).toBe('one')
  })

  test('is what another program wrote into the file', async () => {
    await put('one')
    expect(await look()).toBe('one')
    const other = new DatabaseSync(path)
    other.exec("update agents set digest = 'altered'")
    other.close()
    expect(await look()).toBe('altered')
  })

  test('is no answer to a read', async () => {
    await put('one')
    await look()
    const other = new DatabaseSync(path)
    other.exec('drop table meta')
    other.exec("update agents set digest = 'altered'")
    other.close()
    expect((await ledger.read.agent('a'))?.digest).toBe('altered')
    await expect(ledger.read.meta('ready')).rejects.toThrow()
  })

  test('belongs to whoever was told', async () => {
    await put('one')
    const told = await ledger.write(tx => tx.shareAgent('a'))
    Object.assign(told!, { digest: 'changed by a caller' })
    expect(await look()).toBe('one')
  })

  test('whatever is written in whatever order, memory and file say the same', async () => {
    const step = fc.oneof(
      fc.record({ is: fc.constant('put' as const), digest: fc.constantFrom('x', 'y', 'z') }),
      fc.record({ is: fc.constant('note' as const), digest: fc.constantFrom('x', 'y', 'z') }),
      fc.record({ is: fc.constant('look' as const), fails: fc.boolean() }),
      fc.record({ is: fc.constant('fail' as const), digest: fc.constantFrom('x', 'y', 'z') }),
    )
    const truth = async () => [(await ledger.read.agent('a'))?.digest, (await ledger.read.agents()).length]
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { maxLength: 6 }),
        async groups => {
          for (const group of groups) {
            await Promise.allSettled(
              group.map(one =>
                ledger.write(async tx => {
                  if (one.is === 'look') {
                    await tx.shareAgent('a')
                    await tx.registryGeneration()
                  } else if (one.is === 'note') await tx.setMeta('note', one.digest)
                  else await tx.putAgent(agent('a', { digest: one.digest }))
                  if (one.is === 'fail' || (one.is === 'look' && one.fails)) throw new Error('taken back')
                }),
              ),
            )
            const noted = group.findLast(one => one.is === 'note')
            if (noted?.is === 'note') expect(await ledger.read.meta('note')).toBe(noted.digest)
            const [digest] = await truth()
            expect(await look()).toBe(digest)
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})

/** A connection of its own, with a table of notes. */
function notebook() {
  const connection = openSqliteConnection(':memory:', { readOnly: false })
  connection.exec('create table notes (name text primary key, body text) strict')
  connection.exec("insert into notes values ('a', 'one')")
  const memory = openSqliteRecall(connection)
  const statement = (kind: string, sql: string, ...parameters: unknown[]) =>
    ({ ...CompiledQuery.raw(sql, parameters), query: { kind } }) as unknown as CompiledQuery<{ body: string }>
  return {
    connection,
    memory,
    select: statement('SelectQueryNode', 'select body from "notes" where name = ?', 'a'),
    update: (body: string) => statement('UpdateQueryNode', `update "notes" set body = '${body}'`),
    raw: (sql: string) => statement('RawNode', sql),
  }
}

test('a statement that cannot be told makes it forget', async () => {
  const { connection, memory, select, raw } = notebook()
  const run = async <R>(query: CompiledQuery<R>) => {
    memory.saw(query)
    return connection.run(query)
  }
  const looks = async () => {
    memory.begun()
    return memory.recall(select, run)
  }
  expect([await looks(), await looks()]).toEqual([[{ body: 'one' }], [{ body: 'one' }]])
  await run(raw("with x as (select 1) update notes set body = 'two'"))
  expect(await memory.recall(select, run)).toEqual([{ body: 'two' }])
  connection.close()
})

test('what was read first in a transaction that was lost is not remembered', async () => {
  const { connection, memory, select, update } = notebook()
  let isFull = true
  const group = groupCommit({
    run(query) {
      memory.saw(query)
      return connection.run(query)
    },
    exec(sql) {
      if (sql === 'COMMIT' && isFull) throw new Error('the disk is full')
      connection.exec(sql)
      if (sql.startsWith('BEGIN')) memory.begun()
    },
    get inTransaction() {
      return connection.inTransaction
    },
  })
  const look = () => group.submit(run => memory.recall(select, run))
  const lost = await Promise.allSettled([group.submit(run => run(update('two'))), look(), look()])
  expect(lost.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
  isFull = false
  expect([await look(), await look()]).toEqual([[{ body: 'one' }], [{ body: 'one' }]])
  connection.close()
})
