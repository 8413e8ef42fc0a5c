/** Two brokers on one PostgreSQL: which files are in force, who follows whom, and who mints nothing. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import type { RunningServer } from '../../src/server.ts'
import { asks, type Installation } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'
import { until } from '../support/until.ts'
import { appOf, namespaces, payer, registryOf } from './team.ts'

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'two brokers', twoBrokers)

function twoBrokers(): void {
  let postgres: TestPostgres
  let installation: Installation
  let older: Installation
  let running: RunningServer[]
  let settings: Record<string, unknown>

  beforeAll(async () => {
    postgres = await startPostgres()
  })
  afterAll(() => postgres?.close())
  beforeEach(async () => {
    const shared = await createSharedInstallation(postgres)
    installation = shared.installation
    settings = { ledger: { type: 'postgres', url_file: 'ledger-url' }, kek_file: 'kek', namespaces }
    await installation.configure({ settings })
    running = []
    // The host that is left behind: a copy of the files as they are now.
    const directory = await mkdtemp(join(tmpdir(), 'mayfly-older-'))
    await cp(installation.directory, directory, { recursive: true })
    older = { ...installation, directory, configPath: join(directory, 'mayfly.yaml') }
  })
  afterEach(async () => {
    await Promise.all(running.map(one => one.stop()))
    await installation.close()
    await rm(older.directory, { recursive: true, force: true })
  })

  async function start(at: Installation): Promise<RunningServer & { api: Api }> {
    const server = await startSharedBroker(at)
    running.push(server)
    return { ...server, api: createApi(server, installation) }
  }
  const ready = async ({ url }: RunningServer) =>
    (await fetch(`${url}/readyz`)).json() as Promise<{ status: string; reason: string }>
  const open = (api: Api) =>
    api.open([asks.orders]).then(
      () => 'opened',
      (error: Error) => /"code":"(\w+)"/.exec(error.message)?.[1],
    )
  const newer = () =>
    installation.configure({
      settings,
      agents: { release: { ...installation.agents.release, purpose: 'Releases the api, newly' } },
    })
  const registryAt = async (server: RunningServer) => registryOf(server.url, await operatorTokenOf(server))

  test('a rolling update: whoever is left behind mints nothing and says why, until it has the files', async () => {
    const [a, b] = [await start(installation), await start(older)]
    expect([await open(a.api), await open(b.api)]).toEqual(['opened', 'opened'])
    await newer()
    await a.reload()
    expect(await open(a.api)).toBe('opened')
    // At once, by the ledger: its own look at the generation is still to come.
    expect(await open(b.api)).toBe('configuration_stale')
    await until(async () => (await ready(b)).status === 'not ready')
    expect((await ready(b)).reason).toMatch(/files are not those in force .* configuration_version/)
    // The files come to its host, and nobody tells it: it looks.
    await cp(installation.directory, older.directory, { recursive: true })
    await until(async () => {
      installation.clock.advance(1_000)
      return (await open(b.api)) === 'opened'
    })
    expect((await ready(b)).status).toBe('ready')
    expect(b.broker.agents().get('release')?.purpose).toBe('Releases the api, newly')
  })

  test('a broker that starts with files which were superseded puts nothing back', async () => {
    const a = await start(installation)
    await newer()
    await a.reload()
    const before = await a.broker.ledger.read.registry()
    const b = await start(older)
    expect(await open(b.api)).toBe('configuration_stale')
    expect(await a.broker.ledger.read.registry()).toEqual(before)
    expect(await open(a.api)).toBe('opened')
    await expect(b.reload()).rejects.toThrow(/are not those in force/)
    expect(await a.broker.ledger.read.registry()).toEqual(before)
  })

  test('a rollback on purpose: a higher configuration_version puts the older files in force', async () => {
    const a = await start(installation)
    await newer()
    await a.reload()
    await configureOlder({ configuration_version: 1 })
    const b = await start(older)
    expect(await open(b.api)).toBe('opened')
    expect(await open(a.api)).toBe('configuration_stale')
    // What is of a lower version is behind, though it was never seen before.
    await installation.configure({
      settings,
      agents: { release: { ...installation.agents.release, purpose: 'Releases something else' } },
    })
    await expect(a.reload()).rejects.toThrow(/are not those in force/)
  })

  test('a rollback in place: a broker whose files are in force may go back to older ones', async () => {
    const a = await start(installation)
    await newer()
    await a.reload()
    await installation.configure({ settings })
    await a.reload()
    expect(await open(a.api)).toBe('opened')
    expect(a.broker.agents().get('release')?.purpose).toBe('Releases the api from its main branch')
  })

  test('what a team registers at one broker the other has within seconds: agent, issuer and key', async () => {
    const [a, b] = [await start(installation), await start(older)]
    const { issuer, secret, agent, ask } = appOf(installation)
    await (await registryAt(a)).register({ documents: [issuer(), agent()], secrets: [secret] })
    const evidence = { type: 'jwt', token: installation.svid('/payments/payer') }
    await until(() => b.broker.agents().has('payments.payer'))
    const task = await b.api.open([ask], { evidence })
    expect((await b.api.credential(task)).status).toBe(201)
    // Ended at the other one, by what it has installed itself.
    await createApi(a, installation).complete(task)
    expect((await b.api.until(task, 'settled')).body.credentials[0]).toMatchObject({ closed_as: 'revoked' })
  })

  test('a request that meets a change is judged again, and not refused', async () => {
    const [a, b] = [await start(installation), await start(older)]
    const registry = await registryAt(a)
    for (let round = 1; round <= 5; round += 1) {
      await registry.register({ documents: [payer({ purpose: `Pays, round ${round}` })] })
      expect(await open(b.api)).toBe('opened')
    }
  })

  test('what was committed and not installed is installed by the other, and after a restart', async () => {
    const [a, b] = [await start(installation), await start(older)]
    const registry = await registryAt(a)
    const planned = await registry.plan({ documents: [payer()] })
    const applying = registry.apply({ documents: [payer()] }, planned.body).catch(() => undefined)
    await until(async () => (await b.broker.ledger.read.registry())?.generation === 2)
    await a.stop()
    await applying
    await until(() => b.broker.agents().has('payments.payer'))
    const again = await start(installation)
    expect(again.broker.agents().has('payments.payer')).toBe(true)
  })

  test('of two who apply at two brokers one wins', async () => {
    const [a, b] = [await start(installation), await start(older)]
    const token = await operatorTokenOf(a)
    const both = [registryOf(a.url, token), registryOf(b.url, token)] as const
    const sets = ['one', 'two'].map(name => ({ documents: [payer({ purpose: `Pays, ${name}` })] }))
    const plans = await Promise.all(both.map((one, index) => one.plan(sets[index]!)))
    const answers = await Promise.all(both.map((one, index) => one.apply(sets[index]!, plans[index]!.body)))
    expect(answers.map(answer => answer.status).sort()).toEqual([200, 409])
  })

  async function configureOlder(changes: Record<string, unknown>): Promise<void> {
    const before = parse(await readFile(older.configPath, 'utf8'))
    await writeFile(older.configPath, stringify({ ...before, ...changes }))
  }
}
