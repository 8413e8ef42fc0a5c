import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompiledQuery } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type GroupConnection, groupCommit } from '../../src/store/group-commit.ts'
import { LedgerUnavailable } from '../../src/store/ledger.ts'
import type { Run } from '../../src/store/sql/prepare.ts'
import { openSqliteConnection, type SqliteConnection } from '../../src/store/sqlite-connection.ts'

let folder: string
let connection: SqliteConnection
/** What the group did to the connection, and who was answered, in order. */
let history: string[]
let onExec: (sql: string) => void

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mayfly-group-'))
  connection = openSqliteConnection(join(folder, 'ledger.db'), { readOnly: false })
  connection.exec('PRAGMA journal_mode = WAL')
  connection.exec('CREATE TABLE notes (name text primary key, body text) strict')
  history = []
  onExec = () => {}
})
afterEach(() => {
  connection.close()
  rmSync(folder, { recursive: true })
})

const watched = (run?: GroupConnection['run']): GroupConnection => ({
  run: run ?? (query => connection.run(query)),
  exec(sql) {
    history.push(sql)
    onExec(sql)
    connection.exec(sql)
  },
  get inTransaction() {
    return connection.inTransaction
  },
})
const insert = (name: string, body = '') =>
  CompiledQuery.raw('INSERT INTO notes VALUES (?, ?)', [name, body]) as CompiledQuery<unknown>
const note = (name: string) => async (run: Run) => {
  await run(insert(name))
  return name
}
const notes = () =>
  connection
    .run<{ name: string }>(CompiledQuery.raw('SELECT name FROM notes ORDER BY name') as never)
    .rows.map(row => row.name)
const commits = () => history.filter(sql => sql === 'COMMIT').length

describe('a group', () => {
  test('is one COMMIT for all who arrived together, and they are answered after it', async () => {
    const group = groupCommit(watched())
    const names = Array.from({ length: 9 }, (_, index) => `n${index}`)
    await Promise.all(names.map(name => group.submit(note(name)).then(() => history.push('answered'))))
    expect(commits()).toBe(1)
    expect(history.indexOf('answered')).toBeGreaterThan(history.indexOf('COMMIT'))
    expect(notes()).toEqual(names)
  })

  test('is bounded', async () => {
    const group = groupCommit(watched())
    await Promise.all(Array.from({ length: 300 }, (_, index) => group.submit(note(`n${index}`))))
    expect(commits()).toBe(3)
    expect(notes()).toHaveLength(300)
  })

  test('runs its bodies one after another', async () => {
    const group = groupCommit(watched())
    const order: string[] = []
    const body = (name: string) => async (run: Run) => {
      order.push(`${name} in`)
      await run(insert(name))
      await run(insert(`${name} again`))
      order.push(`${name} out`)
    }
    await Promise.all([group.submit(body('a')), group.submit(body('b'))])
    expect(order).toEqual(['a in', 'a out', 'b in', 'b out'])
  })
})

describe('a body that fails', () => {
  test('takes back its own work only', async () => {
    const group = groupCommit(watched())
    const results = await Promise.allSettled([
      group.submit(note('a')),
      group.submit(async run => {
        await run(insert('b'))
        throw new RangeError('own')
      }),
      // Throws before it is a promise at all.
      group.submit(() => {
        throw new RangeError('at once')
      }),
      group.submit(note('c')),
    ])
    expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { name: 'RangeError', message: 'own' } })
    expect(notes()).toEqual(['a', 'c'])
  })

  test('without having written leaves its neighbours as they ran', async () => {
    const group = groupCommit(watched())
    await group.submit(note('a'))
    history = []
    let ran = 0
    const results = await Promise.allSettled([
      group.submit(async run => {
        ran += 1
        await run(insert('b'))
      }),
      group.submit(async run => {
        await run(CompiledQuery.raw('DELETE FROM notes WHERE name = ?', ['none']) as CompiledQuery<unknown>)
        throw new RangeError('found nothing')
      }),
      group.submit(note('a')),
    ])
    expect(results.map(result => result.status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(ran).toBe(1)
    expect(history).toEqual(['BEGIN IMMEDIATE', 'COMMIT'])
    expect(notes()).toEqual(['a', 'b'])
  })

  test('is judged by its second run where a neighbour made the group run again', async () => {
    const group = groupCommit(watched())
    let runs = 0
    const counted = group.submit(async run => {
      runs += 1
      await run(insert(`run ${runs}`))
      return runs
    })
    const failing = group.submit(async run => {
      await run(insert('b'))
      throw new RangeError('own')
    })
    await expect(failing).rejects.toThrow('own')
    expect(await counted).toBe(2)
    expect(notes()).toEqual(['run 2'])
    expect(history.filter(sql => sql === 'BEGIN IMMEDIATE')).toHaveLength(2)
    expect(commits()).toBe(1)
  })

  test('fails even where it caught the error of its statement', async () => {
    const group = groupCommit(watched())
    await group.submit(note('a'))
    let later: string[] = []
    const body = group.submit(async run => {
      later = []
      await run(insert('b'))
      await run(insert('a')).catch(() => {})
      await run(insert('c')).catch(error => later.push(error.message))
      return 'fine'
    })
    await expect(body).rejects.toThrow(/UNIQUE constraint failed/)
    expect(later).toEqual(['UNIQUE constraint failed: notes.name'])
    expect(notes()).toEqual(['a'])
  })
})

describe('a body that waits for something else', () => {
  test('is given up, its work undone, its neighbours served, its handle dead', async () => {
    const group = groupCommit(watched())
    let kept: Run | undefined
    const stalled = group.submit(async run => {
      kept = run
      await run(insert('stalled'))
      await new Promise(() => {})
    })
    const beside = group.submit(note('beside'))
    await expect(stalled).rejects.toThrow('awaited something other than its transaction')
    await expect(beside).resolves.toBe('beside')
    expect(notes()).toEqual(['beside'])
    await expect(kept?.(insert('late'))).rejects.toThrow('after its body had ended')
  })

  test('cannot wait for its own group', async () => {
    const group = groupCommit(watched())
    const nested = group.submit(async run => {
      await run(insert('outer'))
      return group.submit(note('inner'))
    })
    await expect(nested).rejects.toThrow('awaited something other than its transaction')
    await group.stop()
    expect(notes()).toEqual(['inner'])
  })
})

describe('a COMMIT that fails', () => {
  const failOnce = (sql: string, effect: 'before' | 'after') => {
    onExec = asked => {
      if (asked !== sql) return
      onExec = () => {}
      if (effect === 'after') connection.exec(sql)
      throw new Error('disk I/O error')
    }
  }

  test.each([
    ['before', []],
    ['after', ['a', 'c']],
  ] as const)('%s its effect answers every member that the outcome is not known', async (effect, left) => {
    const told: unknown[] = []
    const group = groupCommit(watched(), error => told.push(error))
    failOnce('COMMIT', effect)
    const results = await Promise.allSettled([
      group.submit(note('a')),
      group.submit(async () => {
        throw new RangeError('judged by a row that may never have been')
      }),
      group.submit(note('c')),
    ])
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { name: 'LedgerUnavailable' } })
    }
    expect(told).toMatchObject([{ message: 'disk I/O error' }])
    expect(notes()).toEqual(left)
    await group.submit(note('z'))
    expect(notes()).toEqual([...left, 'z'])
  })

  test.each(['BEGIN IMMEDIATE', 'ROLLBACK', 'SAVEPOINT member', 'ROLLBACK TO member', 'RELEASE member'])(
    'at %s nothing is kept and the next group is served',
    async sql => {
      const group = groupCommit(watched())
      failOnce(sql, 'before')
      const failing = async (run: Run) => {
        await run(insert('b'))
        throw new RangeError('own')
      }
      const results = await Promise.allSettled([group.submit(note('a')), group.submit(failing)])
      for (const result of results) {
        expect(result).toMatchObject({ status: 'rejected', reason: { name: 'LedgerUnavailable' } })
      }
      expect(notes()).toEqual([])
      await group.submit(note('z'))
      expect(notes()).toEqual(['z'])
    },
  )

  test('because the database rolled back by itself is told with its true cause', async () => {
    const told: unknown[] = []
    const group = groupCommit(watched(), error => told.push(error))
    const failing: GroupConnection['run'] = query => {
      connection.exec('ROLLBACK')
      throw new LedgerUnavailable('disk I/O error', { cause: query.sql })
    }
    const lost = groupCommit(watched(failing), error => told.push(error))
    const results = await Promise.allSettled([lost.submit(async () => 'earlier'), lost.submit(note('a'))])
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { name: 'LedgerUnavailable' } })
    }
    expect(told).toMatchObject([{ message: 'disk I/O error' }])
    await group.submit(note('z'))
    expect(notes()).toEqual(['z'])
  })

  test('on a full disk is an outage, and passes with it', async () => {
    const group = groupCommit(watched())
    await group.submit(note('a'))
    connection.exec('PRAGMA max_page_count = 3')
    const full = group.submit(async run => {
      await run(insert('b', 'x'.repeat(100_000)))
    })
    await expect(full).rejects.toThrow(LedgerUnavailable)
    expect(notes()).toEqual(['a'])
    connection.exec('PRAGMA max_page_count = 1000000')
    await group.submit(note('c'))
    expect(notes()).toEqual(['a', 'c'])
  })
})

describe('stopping', () => {
  test('serves what was taken and takes no more', async () => {
    const group = groupCommit(watched())
    const taken = Promise.all(Array.from({ length: 200 }, (_, index) => group.submit(note(`n${index}`))))
    await group.stop()
    await expect(group.submit(note('late'))).rejects.toThrow(LedgerUnavailable)
    await taken
    expect(notes()).toHaveLength(200)
  })

  test('of an idle group is at once', async () => {
    const group = groupCommit(watched())
    await group.stop()
    expect(history).toEqual([])
  })

  test('a queue without end is refused', async () => {
    const group = groupCommit(watched())
    const all = await Promise.allSettled(
      Array.from({ length: 10_001 }, () => group.submit(async () => undefined)),
    )
    expect(all.filter(result => result.status === 'rejected')).toMatchObject([
      { reason: { name: 'LedgerUnavailable', message: 'the ledger is overloaded' } },
    ])
  })
})
