/** Two brokers on one PostgreSQL, and policies that only one of them has heard of. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { requestCredential } from '../../src/broker/credentials/grant-ask.ts'
import type { WantedAsk } from '../../src/broker/credentials/resolve-asks.ts'
import { type OpenedTask, openTask } from '../../src/broker/tasks/open-task.ts'
import { withFreshConfiguration } from '../../src/broker/with-fresh-configuration.ts'
import type { RunningServer } from '../../src/server.ts'
import { type Installation, ORDERS } from '../fakes/installation.ts'
import { overlap } from '../support/overlap.ts'
import { missingPostgres, startPostgres, type TestPostgres } from '../support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from '../support/shared-installation.ts'
import { until } from '../support/until.ts'

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'policies on two brokers', policies)

const ALL = '@id("all") permit(principal, action in Mayfly::Action::"*:*", resource);'
const NO_WRITES = `${ALL}\n@id("no-writes") forbid(principal, action in Mayfly::Action::"*:propose", resource);`
/** Running code (the JWTs of the installation do) and writing to the repository, never both. */
const NEVER_BOTH = `${ALL}
@id("no-execute-after-write") forbid(principal, action in Mayfly::Action::"*:execute", resource)
when { context.held.phases.agent.contains("propose") };
@id("no-write-after-execute") forbid(principal, action in Mayfly::Action::"*:propose", resource)
when { context.held.phases.agent.contains("execute") };`

const write = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'write' } } }
const read = { issuer: 'github', ask: { repositories: ['acme/api'], permissions: { contents: 'read' } } }
const run = { issuer: 'jwt', ask: { audience: ORDERS, scopes: ['orders.read'] } }

const soon = { timeout: 15_000, interval: 5 }

function policies(): void {
  let postgres: TestPostgres
  let installation: Installation
  let database: string
  let servers: RunningServer[]
  let a: Broker
  let b: Broker
  beforeAll(async () => {
    postgres = await startPostgres()
    const settings = { policies_dir: 'policies' }
    ;({ installation, database } = await createSharedInstallation(postgres, { settings }))
    await mkdir(join(installation.directory, 'policies'))
    await put(ALL)
    servers = [await startSharedBroker(installation), await startSharedBroker(installation)]
    ;[a, b] = servers.map(({ broker }) => broker) as [Broker, Broker]
  })
  afterAll(async () => {
    await Promise.all((servers ?? []).map(running => running.stop()))
    await installation?.close()
    await postgres?.close()
  })
  beforeEach(async () => {
    // Out of the window of what was given out before, and dead.
    installation.clock.advance(25 * 3_600_000)
    await inForce(ALL)
  })

  let sets = 0
  /** Each is another set: what was superseded is not taken again from files. */
  const put = (text: string) => {
    sets += 1
    const file = join(installation.directory, 'policies', 'all.cedar')
    return writeFile(file, text.replace('@id("all")', `@id("all") @description("${sets}")`))
  }
  const inForce = async (text: string) => {
    await put(text)
    for (const server of servers) await server.reload()
  }
  const waiting = () => postgres.waiting(database)
  let job = 0
  const open = async (broker: Broker, asks: WantedAsk[] = [write]): Promise<OpenedTask> => {
    job += 1
    const token = await installation.jobToken({ run_id: `${job}`, check_run_id: `${job}` })
    const evidence = { type: 'jwt' as const, token }
    return withFreshConfiguration(broker, within =>
      openTask(within, { evidence, purpose: 'a race', asks, mintFirst: false }),
    )
  }
  const mint = (broker: Broker, { task, asks }: OpenedTask, index = 0) =>
    withFreshConfiguration(broker, within => requestCredential(within, task, { ask: asks[index]!.id }))
  const code = (result: PromiseSettledResult<unknown>) =>
    result.status === 'fulfilled' ? 'done' : ((result.reason as { code?: string }).code ?? result.reason)
  const codeOf = async (doing: Promise<unknown>) => code((await Promise.allSettled([doing]))[0]!)
  const alive = () => installation.github.credentials().filter(one => one.alive)
  const writes = () => alive().filter(one => one.permissions.contents === 'write')

  test('a broker that has the older set mints and opens nothing by it', async () => {
    const opened = await open(a)
    await put(NO_WRITES)
    await servers[1]!.reload()
    // It has not looked since: whatever it still believes, the ledger knows better.
    const late = [await codeOf(mint(a, opened)), await codeOf(open(a))]
    expect(late).toEqual(['ask_denied', 'ask_denied'])
    expect(await codeOf(mint(b, opened))).toBe('ask_denied')
    expect(writes()).toEqual([])
  })

  test('what is live dies by the narrower set, whichever broker minted it, and the rest lives on', async () => {
    for (const broker of [a, b])
      for (const wanted of [write, read]) await mint(broker, await open(broker, [wanted]))
    // A token of a broker's own, for a name, may still be on its way out.
    await expect.poll(() => alive().length, soon).toBe(4)
    await put(NO_WRITES)
    await servers[1]!.reload()
    await until(async () => {
      await Promise.all(servers.map(running => running.look()))
      return writes().length === 0
    })
    await expect.poll(() => alive().length, soon).toBe(2)
  })

  test('a mint that was under way when the set was changed is taken back', async () => {
    const opened = await open(a)
    await put(NO_WRITES)
    const { first, second } = await overlap(
      [a, 'insertLease', broker => mint(broker, opened)],
      () => servers[1]!.reload(),
      waiting,
    )
    expect(code(second)).toBe('done')
    expect(['done', 'configuration_stale', 'task_not_active']).toContain(code(first))
    await until(async () => {
      await Promise.all(servers.map(running => running.look()))
      return writes().length === 0
    })
  })

  test('what never goes together is never given together, by two brokers at once', async () => {
    await inForce(NEVER_BOTH)
    let [both, one] = [0, 0]
    for (let time = 0; time < 8; time += 1) {
      const opened = await open(a, [write, run])
      const doing = [mint(a, opened, 0), mint(b, opened, 1)]
      const given = (await Promise.allSettled(time % 2 === 0 ? doing : doing.reverse())).map(code)
      const done = given.filter(result => result === 'done').length
      if (done === 2) both += 1
      if (done === 1) one += 1
      for (const result of given) expect(['done', 'ask_denied', 'configuration_stale']).toContain(result)
      // Out of the window again.
      installation.clock.advance(25 * 3_600_000)
    }
    expect([both, one > 0]).toEqual([0, true])
  })

  test('nor where one is held at its COMMIT', async () => {
    await inForce(NEVER_BOTH)
    const opened = await open(a, [write, run])
    const { first, second } = await overlap(
      [a, 'insertLease', broker => mint(broker, opened, 1)],
      () => mint(b, opened, 0),
      waiting,
    )
    const given = [code(first), code(second)]
    expect(given.filter(result => result === 'done')).toHaveLength(1)
    const { items } = await a.ledger.read.leases({ task: opened.task.id }, { limit: 9 })
    expect(items.filter(row => row.closed_as !== 'never_minted')).toHaveLength(1)
  })
}
