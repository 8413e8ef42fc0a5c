/** Brokers on one ledger: an identity is registered once, and what a push takes back at one, no other gives again. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { missingPostgres, startPostgres } from '../support/postgres.ts'
import { startSharedBroker } from '../support/shared-installation.ts'
import { until } from '../support/until.ts'
import { createOctoInstallation, exchangeAt, policyFor, pushTo } from './octo-installation.ts'

const missing = missingPostgres()

test.skipIf(missing !== undefined)(
  missing ?? 'a push to one broker counts at the other',
  async () => {
    await using stack = new AsyncDisposableStack()
    const postgres = await startPostgres()
    stack.defer(() => postgres.close())
    const { user, password, host, database } = await postgres.createDatabase()
    const installation = await createOctoInstallation()
    stack.defer(() => installation.close())
    const url = `postgres://${user}:${password}@localhost/${database}?host=${host}`
    for (const [name, text] of [
      ['ledger-url', url],
      ['kek', randomBytes(32).toString('hex')],
    ] as const)
      await writeFile(join(installation.directory, name), `${text}\n`, { mode: 0o600 })
    const ledger = { type: 'postgres', url_file: 'ledger-url' }
    await installation.configureOcto({}, { ledger, kek_file: 'kek' })
    const start = async () => {
      const broker = await startSharedBroker(installation)
      stack.defer(() => broker.stop())
      return broker
    }
    const [one, other] = [await start(), await start()]
    const exchange = async ({ url: at }: RunningServer) =>
      exchangeAt(at, { scope: 'acme/api', identity: 'deploy' }, await installation.octoToken())
    const works = async (token: string) => {
      const headers = { authorization: `Bearer ${token}`, 'user-agent': 'test' }
      return (await fetch(`${installation.github.url}/repos/acme/api/contents/README.md`, { headers })).status
    }

    installation.put(1, 'deploy', policyFor(installation, { permissions: { contents: 'write' } }))
    const wide = await Promise.all([one, other, one, other].map(exchange))
    expect(wide.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    const versions = await one.broker.ledger.read.resources()
    expect(versions.filter(({ name }) => name.startsWith('octo.')).map(({ version }) => version)).toEqual([1])

    installation.put(1, 'deploy', policyFor(installation))
    expect((await pushTo(one.url)).status).toBe(202)
    const narrow = await exchange(other)
    const { items } = await other.broker.ledger.read.leases({ task: narrow.body.task_id }, { limit: 1 })
    expect(items[0]?.granted).toContain('"contents":"read"')
    for (const { body } of wide) await until(async () => (await works(body.token)) === 401)
    expect(await works(narrow.body.token)).toBe(200)
  },
  60_000,
)
