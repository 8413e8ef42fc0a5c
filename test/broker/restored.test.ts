/** A backup that was put back: what its ledger still knows, what it does not, and what is refused meanwhile. */
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { announceRestored } from '../../src/broker/tasks/restored.ts'
import type { RunningServer } from '../../src/server.ts'
import { createShell, type Shell } from '../cli/mayfly.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation } from '../fakes/people.ts'
import { allLeases, liveCredentials, unaccounted } from '../faults/truth.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { sessionOf } from '../support/session.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'

const MINUTE_MS = 60_000
let installation: Installation
let broker: RunningServer | undefined

async function stop(): Promise<void> {
  await broker?.stop()
  broker = undefined
}

const evidenceOf = (token: string) => ({ evidence: { type: 'jwt', token } })
const attempt = (server: RunningServer, token: string) =>
  createApi(server, installation).call('POST', '/v1/tasks', undefined, {
    ...{ purpose: 'a test', authorization_details: [asks.orders] },
    ...evidenceOf(token),
  })

describe('an older copy of the embedded ledger', () => {
  let shell: Shell
  beforeEach(async () => {
    installation = await createInstallation()
    shell = await createShell()
  })
  afterEach(async () => {
    await stop()
    await Promise.all([installation.close(), shell.close()])
  })

  const file = () => join(installation.directory, 'data/mayfly.db')
  const announce = () => shell.ok(['ledger', 'restored', '--config', installation.configPath, '--json'])

  async function putBack(): Promise<void> {
    await copyFile(`${file()}.backup`, file())
    for (const beside of ['-wal', '-shm']) await rm(file() + beside, { force: true })
  }

  test('ends what it knows, begins nothing until that is over, and takes no evidence from before', async () => {
    // 1. One task is in the backup, and one came after it.
    broker = await startBroker(installation)
    const known = await createApi(broker, installation).open([asks.api])
    expect((await createApi(broker, installation).credential(known)).status).toBe(201)
    await stop()
    await copyFile(file(), `${file()}.backup`)
    broker = await startBroker(installation)
    const used = await installation.jobToken()
    const later = await createApi(broker, installation).open([asks.api], evidenceOf(used))
    const forgotten = (await createApi(broker, installation).credential(later)).body.lease
    await stop()

    // 2. Put back, announced, started.
    await putBack()
    const said = JSON.parse((await announce()).out)
    expect(said).toMatchObject({ epoch: 1 })
    broker = await startBroker(installation)
    const api = createApi(broker, installation)
    const { ledger } = broker.broker
    const { items } = await ledger.read.leases({ state: 'outstanding' }, { limit: 9 })
    expect(items.map(lease => new Date(lease.dead_by).toISOString())).toEqual([said.revoke_only_until])

    // 3. It knows nothing of the later task, whose credential lives on: nobody but the provider can tell.
    expect((await api.show(later)).status).toBe(401)
    const lost = unaccounted(liveCredentials(installation), await allLeases(ledger))
    expect(lost.map(one => one.lease)).toEqual([forgotten])

    // 4. Nothing begins: not even for who is there already.
    expect((await attempt(broker, used)).body.code).toBe('evidence_rejected')
    installation.clock.advance(2 * MINUTE_MS)
    const refused = await attempt(broker, await installation.jobToken())
    expect(refused).toMatchObject({ status: 503, body: { code: 'ledger_restored' } })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(30 * 60)
    expect(await api.credential(known)).toMatchObject({ status: 503, body: { code: 'ledger_restored' } })

    // 5. Ends go on as ever.
    expect((await api.complete(known)).status).toBe(200)
    await api.until(known, 'settled')
    expect(liveCredentials(installation).map(one => one.lease)).toEqual([forgotten])

    // 6. When everything it knew is over it is a broker again, by itself.
    const blocking = async () =>
      (await api.call('GET', '/v1/revocations?blocking=true', await operatorTokenOf(broker!))).body.items
    expect(await blocking()).toMatchObject([{ id: said.block, tasks_ended: 0 }])
    installation.clock.advance(100 * MINUTE_MS)
    expect((await attempt(broker, await installation.jobToken())).status).toBe(201)
    expect(await blocking()).toMatchObject([{ id: said.block }])
    installation.clock.advance(23 * 60 * MINUTE_MS)
    expect((await attempt(broker, await installation.jobToken())).status).toBe(201)
    expect(await blocking()).toEqual([])
    const { items: audit } = await ledger.read.audit({}, { limit: 100 })
    expect(audit.filter(row => row.event === 'ledger.restored')).toMatchObject([
      { actor: 'operator:offline' },
    ])
  })

  test('with nothing outstanding mints at once, and still takes no evidence from before', async () => {
    broker = await startBroker(installation)
    await stop()
    const before = await installation.jobToken()
    await announce()
    expect(JSON.parse((await announce()).out)).toMatchObject({ epoch: 2 })
    broker = await startBroker(installation)
    expect((await attempt(broker, before)).body.code).toBe('evidence_rejected')
    installation.clock.advance(2 * MINUTE_MS)
    expect((await attempt(broker, before)).body.code).toBe('evidence_rejected')
    expect((await attempt(broker, await installation.jobToken())).status).toBe(201)
  })

  test('has tasks that may have ended since: they mint nothing more', async () => {
    broker = await startBroker(installation)
    const [task, ended] = [
      await createApi(broker, installation).open([asks.api]),
      await createApi(broker, installation).open([asks.api]),
    ]
    await stop()
    await copyFile(file(), `${file()}.backup`)
    broker = await startBroker(installation)
    await createApi(broker, installation).complete(ended)
    await stop()
    await putBack()
    const { block } = JSON.parse((await announce()).out)
    broker = await startBroker(installation)
    const api = createApi(broker, installation)
    installation.clock.advance(2 * MINUTE_MS)
    const fresh = await api.open([asks.api])
    expect((await api.credential(fresh)).status).toBe(201)
    for (const one of [task, ended])
      expect(await api.credential(one)).toMatchObject({ status: 403, body: { code: 'blocked' } })
    // An operator who knows that nothing was lost may say so.
    const operator = await operatorTokenOf(broker)
    await api.call('POST', `/v1/revocations/${block}/unblock`, operator, {})
    expect((await api.credential(task)).status).toBe(201)
  })

  test('is not announced where there is none, nor under a running broker', async () => {
    const args = ['ledger', 'restored', '--config', installation.configPath]
    expect((await shell.fails(1, args)).err).toContain('there is no ledger at')
    broker = await startBroker(installation)
    expect((await shell.fails(1, args)).err).toContain('announced before the next one starts')
  })
})

test('sessions and tokens of operators from before are refused: they may have been ended since', async () => {
  const people = await createPeopledInstallation()
  installation = people
  const shell = await createShell()
  try {
    broker = await startBroker(people)
    const status = async (token: string) =>
      (await createApi({ url: broker!.operatorUrl }, people).call('GET', '/v1/leases', token)).status
    const before = [await sessionOf(broker, people, 'vera'), await operatorTokenOf(broker)]
    for (const token of before) expect(await status(token)).toBe(200)
    await stop()
    await shell.ok(['ledger', 'restored', '--config', people.configPath])
    broker = await startBroker(people)
    for (const token of before) expect(await status(token)).toBe(401)
    people.clock.advance(2 * MINUTE_MS)
    for (const token of [await sessionOf(broker, people, 'vera'), await operatorTokenOf(broker)])
      expect(await status(token)).toBe(200)
  } finally {
    await stop()
    await Promise.all([people.close(), shell.close()])
  }
})

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'a PostgreSQL that was put back', () => {
  let postgres: TestPostgres
  beforeEach(async () => {
    postgres = await startPostgres()
    ;({ installation } = await createSharedInstallation(postgres))
  })
  afterEach(async () => {
    await stop()
    await installation?.close()
    await postgres?.close()
  })

  test('is announced to every broker at once, and an operator may end the wait', async () => {
    broker = await startSharedBroker(installation)
    const other = await startSharedBroker(installation)
    try {
      const api = createApi(other, installation)
      const task = await api.open([asks.api])
      expect((await api.credential(task)).status).toBe(201)
      const { block } = await announceRestored(broker.broker, 'operator:test')
      // No broker can have installed a generation of this number, whatever the backup has forgotten.
      const head = await broker.broker.ledger.read.registry()
      expect(head?.generation).toBeGreaterThan(installation.clock.now() / 1000 - 60)
      installation.clock.advance(2 * MINUTE_MS)
      expect((await attempt(other, await installation.jobToken())).body.code).toBe('ledger_restored')
      expect((await api.complete(task)).status).toBe(200)
      await api.until(task, 'settled')
      const operator = await operatorTokenOf(broker)
      expect((await api.call('POST', `/v1/revocations/${block}/unblock`, operator, {})).status).toBe(200)
      expect((await attempt(other, await installation.jobToken())).status).toBe(201)
    } finally {
      await other.stop()
    }
  })
})
