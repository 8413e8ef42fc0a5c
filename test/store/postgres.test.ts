import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Ledger, LedgerUnavailable } from '../../src/store/ledger.ts'
import { migrations } from '../../src/store/migrations.ts'
import { openPostgresLedger } from '../../src/store/postgres.ts'
import type { PostgresAddress } from '../../src/store/postgres-address.ts'
import { POSTGRES_LIMITS } from '../../src/store/postgres-pool.ts'
import { UnsafeDatabase } from '../../src/store/postgres-schema.ts'
import { activeLease, agent, ids, start, task } from '../conformance/store/subject.ts'
import { describeStore, type StoreSubject } from '../conformance/store.ts'
import { barrier } from '../support/barrier.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { until } from '../support/until.ts'

const missing = missingPostgres()

describe.skipIf(missing !== undefined)(missing ?? 'on PostgreSQL', () => {
  let postgres: TestPostgres
  let address: PostgresAddress
  let sweeper: Awaited<ReturnType<TestPostgres['session']>>
  beforeAll(async () => {
    postgres = await startPostgres()
    address = await postgres.createDatabase()
    await (await openPostgresLedger({ address })).close()
    sweeper = await postgres.session(address.database)
  })
  afterAll(async () => {
    await sweeper?.end()
    await postgres?.close()
  })
  describeStore('the shared ledger', async () => {
    await sweeper.query(emptied)
    return openSubject(address)
  })
  describe('the shared ledger', () => sharedLedgerTests(() => postgres))
})

const block = (id: string) =>
  `insert into revocations (id, filter, actor, reason, hold, state, blocking, created_at, tasks_ended,
     finished_at)
   values ('${id}', '{}', 'somebody', 'why', 1, 'done', 1, 1, 0, 1)`

/** One ledger after the other, on one database: to take every row out is quicker than to make another. */
const emptied = `do $$ declare each record; begin
  set local session_replication_role = replica;
  for each in select tablename from pg_tables where schemaname = 'public' and tablename <> 'schema_migrations'
  loop execute format('delete from %I', each.tablename); end loop;
end $$`

async function openSubject(address: PostgresAddress): Promise<StoreSubject> {
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
    close: () => ledger.close(),
  }
}

function sharedLedgerTests(started: () => TestPostgres): void {
  let postgres: TestPostgres
  let address: PostgresAddress
  const opened: Ledger[] = []
  const open = async (log?: Parameters<typeof openPostgresLedger>[0]['log']) => {
    const ledger = await openPostgresLedger({
      address,
      connections: 4,
      ...(log === undefined ? {} : { log }),
    })
    opened.push(ledger)
    return ledger
  }
  const sql = <R extends object>(text: string) => postgres.query<R>(text, address.database)
  beforeEach(async () => {
    postgres = started()
    address = await postgres.createDatabase()
    return async () => {
      await Promise.all(opened.splice(0).map(ledger => ledger.close()))
    }
  })

  test('an empty database is set up once, however many brokers start at once', async () => {
    // Several times, since brokers that lose the race to create a table may lose it at different points.
    for (let time = 0; time < 5; time += 1) {
      await Promise.all(Array.from({ length: 8 }, () => open()))
      await Promise.all(opened.splice(0).map(ledger => ledger.close()))
      address = await postgres.createDatabase()
    }
    const ledgers = await Promise.all(Array.from({ length: 8 }, () => open()))
    expect(await sql('select id from schema_migrations order by id')).toHaveLength(migrations.length)
    await ledgers[0]!.write(tx => tx.setMeta('k', 'v'))
    for (const ledger of ledgers) expect(await ledger.read.meta('k')).toBe('v')
  })

  test('a schema of a newer program is refused, and left as it is', async () => {
    await (await open()).write(tx => tx.setMeta('k', 'v'))
    await sql("insert into schema_migrations values (999, 'from the future', 1)")
    await expect(open()).rejects.toThrow(/schema 999 \(from the future\).*this program knows up to/)
    await sql('delete from schema_migrations where id = 999')
    expect(await (await open()).read.meta('k')).toBe('v')
  })

  test('a database that may lose what it acknowledged is refused, at the start and later', async () => {
    const ledger = await open()
    await sql(`alter database ${address.database} set synchronous_commit = off`)
    await expect(open()).rejects.toThrow(UnsafeDatabase)
    await sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mayfly'")
    // A write that met a connection on its way out is an outage; one on a new connection learns of the setting.
    await until(() =>
      ledger
        .write(tx => tx.setMeta('k', 'v'))
        .then(
          () => false,
          error => error instanceof UnsafeDatabase,
        ),
    )
    expect(await ledger.read.meta('k')).toBeUndefined()
  })

  test('no database is told from an outage by its words, and neither tells the password', async () => {
    const [nowhere, password] = [{ ...address, host: '/nonexistent' }, 'the-wrong-s3cr3t']
    await expect(openPostgresLedger({ address: nowhere })).rejects.toThrow(
      /^the ledger ledger_\d+ at \/nonexistent:5432 is unavailable: .*ENOENT/,
    )
    const refused = await openPostgresLedger({ address: { ...address, password } }).catch(error => error)
    expect(refused).toBeInstanceOf(LedgerUnavailable)
    expect(refused.message).toMatch(/password authentication failed/)
    expect(`${refused.message}${refused.cause.stack}`).not.toContain(password)
  })

  test('its clock is the database’s', async () => {
    const ledger = await open()
    const clock = async () => {
      const [row] = await sql<{ ms: string }>('select extract(epoch from clock_timestamp()) * 1000 as ms')
      return Number(row!.ms)
    }
    const before = await clock()
    const [one, two] = await Promise.all([ledger.now(), ledger.now()])
    const within = await ledger.write(async tx => tx.now)
    const after = await clock()
    for (const at of [one, two, within]) {
      expect(Number.isInteger(at)).toBe(true)
      expect(at).toBeGreaterThanOrEqual(Math.floor(before))
      expect(at).toBeLessThanOrEqual(after)
    }
  })

  test('of two that bring something new for each other one sees the other, and is told so', async () => {
    const [a, b] = [await open(), await open()]
    const until = start + 60_000
    for (const key of ['x', 'y']) await a.write(tx => tx.raiseTurn(key, 0, until))
    const { turns } = await a.read.held({ agents: ['builder'], root: null, turns: ['x', 'y'], since: 0 })
    const [x, y] = [turns.get('x') ?? 0, turns.get('y') ?? 0]
    const both = barrier(2)
    let runs = 0
    const attempt = (ledger: Ledger, raised: 'x' | 'y') =>
      ledger.write(async tx => {
        runs += 1
        if (runs <= 2) await both()
        const first = raised === 'x' ? await tx.raiseTurn('x', x, until) : await tx.turnStands('x', x, true)
        return first && (raised === 'y' ? tx.raiseTurn('y', y, until) : tx.turnStands('y', y, true))
      })
    const done = await Promise.all([attempt(a, 'x'), attempt(b, 'y')])
    expect(done.toSorted()).toEqual([false, true])
  })

  test('of two bodies that wait for each other one runs again, and both are done', async () => {
    const warned: string[] = []
    const log = { error() {}, warn: (_: object, message: string) => void warned.push(message) }
    const [a, b] = [await open(log), await open(log)]
    await a.write(async tx => {
      await tx.putAgent(agent('x'))
      await tx.putAgent(agent('y'))
    })
    const both = barrier(2)
    let runs = 0
    const lock = (ledger: Ledger, first: string, second: string) =>
      ledger.write(async tx => {
        runs += 1
        await tx.lockAgent(first, 'update')
        // The one that runs again runs alone.
        if (runs <= 2) await both()
        await tx.lockAgent(second, 'update')
        await tx.takeBudget('k', 9, start)
        await tx.setMeta(first, 'done')
      })
    await Promise.all([lock(a, 'x', 'y'), lock(b, 'y', 'x')])
    expect([await a.read.meta('x'), await a.read.meta('y')]).toEqual(['done', 'done'])
    // Once more as a rule; how often, on a busy machine, is PostgreSQL's to say.
    expect(runs).toBeGreaterThanOrEqual(3)
    expect(new Set(warned)).toEqual(new Set(['ledger: a transaction runs again']))
    expect(warned).toHaveLength(runs - 2)
    const [budget] = await sql<{ used: string }>("select used from budgets where key = 'k'")
    expect(Number(budget?.used)).toBe(2)
  })

  test('statements that nobody asks of fail their transaction at COMMIT, and leave the connection good', async () => {
    const ledger = await open()
    const twice = ledger.write(async tx => {
      await tx.insertTask(task('t'), [])
      await tx.insertTask(task('t'), [])
      return 'never'
    })
    await expect(twice).rejects.toMatchObject({ name: 'StatementRefused', code: '23505' })
    expect(await ledger.read.task('t')).toBeUndefined()
    await ledger.write(tx => tx.insertTask(task('t'), []))
    expect(await ledger.read.task('t')).toBeDefined()
  })

  test('nothing that a failed body left unsent comes to be', async () => {
    const ledger = await open()
    const failed = ledger.write(async tx => {
      await tx.insertTask(task('t'), [])
      const unawaited = tx.setMeta('k', 'v')
      unawaited.catch(() => {})
      throw new Error('the body')
    })
    await expect(failed).rejects.toThrow('the body')
    expect([await ledger.read.task('t'), await ledger.read.meta('k')]).toEqual([undefined, undefined])
  })

  test('what was taken for granted and was not so makes the body run again, and be told', async () => {
    const ledger = await open()
    const told: boolean[] = []
    const take = () =>
      ledger.write(async tx => {
        const taken = await tx.takeBudget('k', 1, start + 9)
        told.push(taken)
        return taken
      })
    expect([await take(), await take(), told]).toEqual([true, false, [true, true, false]])
  })

  test('what was so before is taken for granted, and where it is not so any more the body runs again', async () => {
    const [a, b] = [await open(), await open()]
    const told: unknown[] = []
    const look = (fails: (digest: string | undefined) => boolean = () => false) =>
      a.write(async tx => {
        const [row, generation, blocks] = await Promise.all([
          tx.shareAgent('x'),
          tx.registryGeneration(),
          tx.blocks(),
        ])
        told.push([row?.digest, generation, blocks.length])
        if (fails(row?.digest)) throw new Error(`not ${row?.digest}`)
        return row?.digest
      })
    const runs = async (looking: Promise<unknown>) => [await looking, told.splice(0)]

    expect(await runs(look())).toEqual([undefined, [[undefined, 0, 0]]])
    await b.write(tx => tx.putAgent(agent('x', { digest: 'one' })))
    const [before, one] = [
      [undefined, 0, 0],
      ['one', 0, 0],
    ]
    expect(await runs(look())).toEqual(['one', [before, one]])
    expect(await runs(look())).toEqual(['one', [one]])
    // Of every column that is read, not only of those that a body looks at.
    await sql("update agents set mac = 'other' where name = 'x'")
    expect(await runs(look())).toEqual(['one', [one, one]])
    await sql("update agents set digest = 'two' where name = 'x'")
    expect(await runs(look(digest => digest === 'one'))).toEqual(['two', [one, ['two', 0, 0]]])
    await expect(look(digest => digest === 'two')).rejects.toThrow('not two')
    expect(told.splice(0)).toEqual([
      ['two', 0, 0],
      ['two', 0, 0],
    ])
    await sql(block('r1'))
    expect(await runs(look())).toEqual([
      'two',
      [
        ['two', 0, 0],
        ['two', 0, 1],
      ],
    ])
    await sql(block('r2'))
    expect(await runs(look())).toEqual([
      'two',
      [
        ['two', 0, 1],
        ['two', 0, 2],
      ],
    ])
    await sql('update revocations set blocking = 0')
    expect(await runs(look())).toEqual(['two', [['two', 0, 0]]])
    await sql("delete from agents where name = 'x'")
    expect(await runs(look())).toEqual([undefined, [['two', 0, 0], before]])
  })

  test('what changes while a lock is waited for is not what was so before', async () => {
    const [a, b] = [await open(), await open()]
    await a.write(tx => tx.putAgent(agent('x', { digest: 'one' })))
    const look = () => a.write(async tx => (await tx.shareAgent('x'))?.digest)
    expect(await look()).toBe('one')
    let looking: Promise<unknown> = Promise.resolve()
    await b.write(async tx => {
      await tx.putAgent(agent('x', { digest: 'two' }))
      looking = look()
      await until(
        async () => (await sql("select 1 from pg_stat_activity where wait_event_type = 'Lock'")).length > 0,
      )
    })
    expect(await looking).toBe('two')
  })

  test('kept statements outlive other columns, and whoever forgets them', async () => {
    const ledger = await open()
    const look = () => ledger.write(tx => tx.shareAgent('none'))
    const read = () => ledger.read.agent('none')
    for (let time = 0; time < 8; time += 1) await Promise.all([look(), read()])
    await sql('alter table agents add column later bigint')
    for (let time = 0; time < 8; time += 1)
      expect(await Promise.all([look(), read()])).toEqual([undefined, undefined])
    const forgetful = await open()
    for (let time = 0; time < 2; time += 1) await forgetful.write(tx => tx.shareAgent('none'))
    await sql(
      'create function forget() returns trigger language plpgsql as $$ begin deallocate all; return null; end $$',
    )
    await sql('create trigger forgets after insert on meta for each statement execute function forget()')
    await forgetful.write(tx => tx.setMeta('k', 'v')).catch(() => {})
    await forgetful.write(tx => tx.shareAgent('none'))
    expect(await forgetful.read.agent('none')).toBeUndefined()
  })

  test('a body that goes on after a failed statement is not committed', async () => {
    const ledger = await open()
    await ledger.write(tx => tx.insertTask(task('t'), []))
    const body = ledger.write(async tx => {
      await tx.setMeta('k', 'v')
      await tx.insertTask(task('t'), []).catch(() => {})
      return 'answered'
    })
    await expect(body).rejects.toThrow(/duplicate key value violates unique constraint "tasks_pkey"/)
    expect(await ledger.read.meta('k')).toBeUndefined()
  })

  test('a refused statement names no value of its row', async () => {
    const ledger = await open()
    const lease = activeLease('l', 'nobody', { secret_sha256: 'S3CR3T' })
    const wrong = { ...lease, expires_at: 'S3CR3T' as unknown as number }
    for (const row of [lease, wrong]) {
      const error = await ledger.write(tx => tx.insertLease(row)).catch((thrown: Error) => thrown)
      expect(error).not.toBeInstanceOf(LedgerUnavailable)
      expect(error).toMatchObject({ name: 'StatementRefused' })
      expect(JSON.stringify({ ...(error as Error) }) + (error as Error).stack).not.toContain('S3CR3T')
    }
  })

  test('what is beyond a number’s precision is refused, not rounded', async () => {
    const ledger = await open()
    await ledger.write(tx => tx.insertTask(task('t'), []))
    await sql("update tasks set deadline = 9007199254740993 where id = 't'")
    await expect(ledger.read.task('t')).rejects.toThrow(RangeError)
  })

  test('more callers than can wait are refused at once, and the others served', async () => {
    const ledger = await open()
    const most = 4 + POSTGRES_LIMITS.queued
    const asked = Array.from({ length: most + 5 }, (_, n) => ledger.read.meta(`k${n}`))
    const answers = await Promise.allSettled(asked)
    const refused = answers.flatMap(answer => (answer.status === 'rejected' ? [answer.reason.message] : []))
    expect(refused).toEqual(Array(5).fill('the ledger is overloaded'))
    expect(await ledger.read.meta('k')).toBeUndefined()
  })

  test('nothing has a NUL in its name: what is asked for by one is not there, and none is written', async () => {
    const ledger = await open()
    expect(await ledger.read.task('t\0')).toBeUndefined()
    expect(await ledger.read.leases({ agent: '\0' }, { limit: 9 })).toEqual({ items: [], next: null })
    expect(await ledger.write(tx => tx.lockDescent('\0'))).toEqual([])
    await expect(ledger.write(tx => tx.setMeta('k\0', 'v'))).rejects.toThrow('refused a value (22021)')
  })

  test('a stopped database is an outage; when it is back, the same ledger goes on', async () => {
    const ledger = await open()
    await ledger.write(tx => tx.setMeta('k', 'before'))
    const midway = barrier(2)
    const cut = ledger.write(async tx => {
      await tx.setMeta('k', 'lost')
      await midway()
      await midway()
    })
    await midway()
    await postgres.stop()
    await midway()
    await expect(cut).rejects.toThrow(LedgerUnavailable)
    await expect(ledger.read.meta('k')).rejects.toThrow(LedgerUnavailable)
    await expect(ledger.write(async () => 1)).rejects.toThrow(LedgerUnavailable)
    await expect(ledger.now()).rejects.toThrow(LedgerUnavailable)
    await postgres.start()
    expect(await ledger.read.meta('k')).toBe('before')
    await ledger.write(tx => tx.setMeta('k', 'after'))
    expect(await ledger.read.meta('k')).toBe('after')
  })

  test('a commit without an answer is told as an unknown outcome', async () => {
    const ledger = await open()
    // COMMIT stands still in a deferred trigger until the connection is cut.
    await sql(`create table gate (id int primary key); insert into gate values (1);
      create function wait_at_gate() returns trigger language plpgsql as
        'begin perform 1 from gate for update; return null; end';
      create constraint trigger slow_commit after insert on meta deferrable initially deferred
        for each row execute function wait_at_gate()`)
    const gatekeeper = await postgres.session(address.database)
    await gatekeeper.query('begin; select 1 from gate for update')
    const written = ledger.write(tx => tx.setMeta('k', 'v')).catch((error: unknown) => error)
    await until(async () => (await postgres.waiting(address.database)) === 1)
    await sql(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'mayfly' and wait_event_type = 'Lock'`)
    const error = await written
    await gatekeeper.end()
    expect(error).toBeInstanceOf(LedgerUnavailable)
    expect((error as Error).message).toMatch(/the outcome is not known/)
  })

  test('claims from two ledgers share nothing', async () => {
    const [a, b] = [await open(), await open()]
    await a.write(async tx => {
      await tx.insertTask(task('t'), [])
      for (let n = 0; n < 40; n += 1) await tx.insertLease(activeLease(`l${n}`, 't', { due_at: 1 }))
    })
    const both = barrier(2)
    const claim = (ledger: Ledger) =>
      ledger.write(async tx => {
        const claimed = await tx.claimDue('github', 30, start * 2)
        await both()
        return ids(claimed)
      })
    const claimed = (await Promise.all([claim(a), claim(b)])).flat()
    expect(claimed.length).toBe(40)
    expect(new Set(claimed).size).toBe(40)
  })
}
