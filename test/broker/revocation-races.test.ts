/** Two brokers on one PostgreSQL: a mint or an opening while a revocation begins is refused, or it is caught. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import { withOwnLease } from '../../src/broker/credentials/system-lease.ts'
import { startRevocation, unblock } from '../../src/broker/revocations/revocations.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import type { RevocationFilter } from '../../src/policy/revocation-filter.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import { openPostgresLedger } from '../../src/store/postgres.ts'
import { createInstallation, edgeFor, type Installation, ORDERS } from '../fakes/installation.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'

const times = 6
const soon = { timeout: 15_000, interval: 5 }
const orders = { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.read'] } }
const api = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'read' } } }

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'a revocation on another broker', races)

function races(): void {
  let postgres: TestPostgres
  let installation: Installation
  let database: string
  let servers: RunningServer[]
  let a: Broker
  let b: Broker
  beforeAll(async () => {
    postgres = await startPostgres()
    const address = await postgres.createDatabase()
    database = address.database
    const { host, user, password } = address
    const urlFile = join(dirname(host), 'ledger-url')
    await writeFile(urlFile, `postgres://${user}:${password}@localhost/${database}?host=${host}`)
    await chmod(urlFile, 0o600)
    installation = await createInstallation({ settings: { ledger: { type: 'postgres', url_file: urlFile } } })
    const key = join(installation.directory, 'data', 'kek')
    await mkdir(dirname(key))
    await writeFile(key, 'a7'.repeat(32), { mode: 0o600 })
    const { now } = installation.clock
    const start = () =>
      startServer(installation.configPath, {
        ...edgeFor(installation),
        openSharedLedger: options => openPostgresLedger({ ...options, now }),
      })
    servers = await Promise.all([start(), start()])
    ;[a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
  })
  afterAll(async () => {
    await Promise.all((servers ?? []).map(running => running.stop()))
    await installation?.close()
    await postgres?.close()
  })

  const waiting = () => postgres.waiting(database)
  let run = 0
  const open = async (broker: Broker) => {
    run += 1
    const token = await installation.jobToken({ run_id: `${run}`, check_run_id: `${run}` })
    const evidence = { type: 'jwt' as const, token }
    return openTask(broker, { evidence, purpose: 'a race', asks: [orders, api], mintFirst: false })
  }
  const mint = (broker: Broker, { task, asks }: OpenedTask, index = 0) =>
    requestCredential(broker, task, { ask: asks[index]!.id })
  const revoke = (broker: Broker, filter: RevocationFilter, hold = false) =>
    startRevocation(broker, { filter, reason: 'a race', hold }, 'operator:test')
  const code = (result: PromiseSettledResult<unknown>) =>
    result.status === 'fulfilled' ? 'done' : (result.reason as { code?: string }).code

  /** Nothing that the filter means may be live once it is done, and either broker may do it. */
  async function expectNothingLive(filter: { agent?: string; issuer?: string }): Promise<void> {
    for (const state of ['intended', 'active'] as const)
      await expect
        .poll(async () => (await a.ledger.read.leases({ ...filter, state }, { limit: 100 })).items, soon)
        .toEqual([])
  }

  test('the mint first: the revocation waits for it, and takes it back', async () => {
    const opened = await open(a)
    const { first, second, waited } = await overlap(
      [a, 'insertLease', broker => mint(broker, opened)],
      () => revoke(b, { issuer: 'jwt' }),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
    await expectNothingLive({ issuer: 'jwt' })
  })

  test('the opening first: the revocation waits for it, and ends it', async () => {
    const { first, second, waited } = await overlap(
      [a, 'insertTask', open],
      () => revoke(b, { agent: 'release' }),
      waiting,
    )
    expect([waited, code(first), code(second)]).toEqual([true, 'done', 'done'])
    const active = () => a.ledger.read.tasks({ agent: 'release', state: 'active' }, { limit: 9 })
    await expect.poll(async () => (await active()).items, soon).toEqual([])
  })

  test('the revocation first: mints, openings and the broker’s own look-ups are refused', async () => {
    const opened = await open(a)
    const held = await revoke(b, { issuer: 'jwt' }, true)
    const held2 = await revoke(b, { repository: 'acme/api' }, true)
    const outcomes = await Promise.allSettled([
      mint(a, opened),
      mint(a, opened, 1),
      open(a),
      withOwnLease(a, 'github', api.ask, 'a race', async () => {}),
    ])
    expect(outcomes.map(code)).toEqual(['blocked', 'blocked', 'blocked', 'blocked'])
    await unblock(b, held.id, 'operator:test')
    await unblock(b, held2.id, 'operator:test')
    expect(code((await Promise.allSettled([mint(a, opened)]))[0]!)).toBe('done')
  })

  test('a look-up of the broker’s own first: the revocation waits for it, and takes it back', async () => {
    const { second, waited } = await overlap(
      [a, 'lockMintGate', broker => withOwnLease(broker, 'github', api.ask, 'a race', async () => {})],
      () => revoke(b, { issuer: 'github' }),
      waiting,
    )
    expect([waited, code(second)]).toEqual([true, 'done'])
    await expectNothingLive({ issuer: 'github' })
  })

  test('set free', async () => {
    for (let time = 0; time < times; time += 1) {
      const opened = await open(a)
      const [minted, reopened, held] = await Promise.allSettled([
        mint(a, opened),
        open(a),
        revoke(b, { agent: 'release' }, true),
        mint(a, opened, 1),
      ])
      expect(['done', 'blocked', 'task_not_active']).toContain(code(minted))
      await expectNothingLive({ agent: 'release' })
      if (reopened.status === 'fulfilled')
        await expect
          .poll(async () => (await a.ledger.read.task(reopened.value.task.id))?.state, soon)
          .not.toBe('active')
      if (held.status === 'fulfilled') await unblock(b, held.value.id, 'operator:test')
    }
  })
}
