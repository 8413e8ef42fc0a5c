/** Another key-encryption key for a ledger in use: docs/operations.md as it is typed, and brokers that go on. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sealCanary } from '../src/keys/canary.ts'
import { kekOf } from '../src/keys/kek.ts'
import { createKeyring } from '../src/keys/keyring.ts'
import { receiptKeySet, verifyReceipt } from '../src/receipts/verify-receipt.ts'
import type { RunningServer } from '../src/server.ts'
import type { Ledger } from '../src/store/ledger.ts'
import { openPostgresLedger } from '../src/store/postgres.ts'
import { openSqliteLedger } from '../src/store/sqlite.ts'
import { createShell, type Shell } from './cli/mayfly.ts'
import { asks, createInstallation, type Installation, silent, startBroker } from './fakes/installation.ts'
import { liveCredentials } from './faults/truth.ts'
import { createApi, type OpenedTask } from './support/api.ts'
import { operatorTokenOf } from './support/operator.ts'
import { missingPostgres, startPostgres, type TestPostgres } from './support/postgres.ts'
import { createSharedInstallation, startSharedBroker } from './support/shared-installation.ts'

const KINDS = ['a ledger with a root key', 'a ledger of before root keys'] as const
let installation: Installation
let shell: Shell

const at = (name: string) => join(installation.directory, name)
const rotate = (...args: string[]) => ['kek', 'rotate', '--config', installation.configPath, ...args]

/** As a broker of before left it: the canary sealed under the key itself, and no root key. */
async function makeOfBefore(ledger: Ledger, kekFile: string): Promise<void> {
  const root = kekOf(Buffer.from((await readFile(kekFile, 'utf8')).trim(), 'hex'))
  const canary = sealCanary(createKeyring({ root, random: randomBytes }))
  await ledger.write(tx => tx.setMeta('kek-canary', canary))
  await ledger.close()
}

async function newKey(name: string): Promise<string> {
  await writeFile(at(name), `${randomBytes(32).toString('hex')}\n`, { mode: 0o600 })
  return at(name)
}

type Before = { live: OpenedTask; receipt: string; operator: string }

/** A task with a sealed credential, a receipt, and an operator's token. */
async function work(broker: RunningServer): Promise<Before> {
  const api = createApi(broker, installation)
  const live = await api.open([asks.api])
  expect((await api.credential(live)).status).toBe(201)
  const over = await api.open([])
  await api.complete(over)
  await api.until(over, 'settled')
  await expect.poll(() => receiptOf(broker, over)).toMatch(/^ey/)
  return { live, receipt: await receiptOf(broker, over), operator: await operatorTokenOf(broker) }
}

async function receiptOf(broker: RunningServer, task: OpenedTask): Promise<string> {
  const answer = await createApi(broker, installation).call('GET', `/v1/tasks/${task.id}/receipt`, task.token)
  return answer.body.receipt
}

/** Tokens are found, MACs verify, what was sealed opens, and receipts are of the same keys. */
async function expectGoesOn(broker: RunningServer, { live, receipt, operator }: Before): Promise<void> {
  const api = createApi(broker, installation)
  expect((await api.show(live)).body.state).toBe('active')
  expect((await api.call('GET', '/v1/leases', operator)).status).toBe(200)
  const keys = receiptKeySet.parse((await api.call('GET', '/.well-known/receipt-jwks.json')).body)
  expect(await verifyReceipt(receipt, keys)).toMatchObject({ ok: true })
}

/** The credential that was minted and sealed before is revoked at its provider. */
async function expectEnds(broker: RunningServer, { live }: Before): Promise<void> {
  const api = createApi(broker, installation)
  expect(liveCredentials(installation)).toHaveLength(1)
  await api.complete(live)
  await api.until(live, 'settled')
  expect(liveCredentials(installation)).toEqual([])
}

describe.each(KINDS)('%s, embedded', kind => {
  let broker: RunningServer | undefined
  const start = async () => {
    broker = await startBroker(installation)
    return broker
  }
  const stop = async () => {
    await broker?.stop()
    broker = undefined
  }
  const ledgerFile = () => at('data/mayfly.db')

  beforeEach(async () => {
    installation = await createInstallation()
    shell = await createShell()
    if (kind === KINDS[0]) return
    await mkdir(at('data'))
    await newKey('data/kek')
    await makeOfBefore(await openSqliteLedger({ path: ledgerFile(), now: Date.now }), at('data/kek'))
  })
  afterEach(async () => {
    await stop()
    await Promise.all([shell.close(), installation.close()])
  })

  test('is rotated by what docs/operations.md has one type', async () => {
    const before = await work(await start())
    await stop()
    const { lines, mayfly } = await walkThrough()
    expect(lines.filter(line => line.startsWith('mayfly kek'))).toHaveLength(2)
    const said: string[] = []
    for (const line of lines)
      if (line.startsWith('mayfly kek')) said.push((await shell.ok(mayfly(line))).out)
      else if (line.startsWith('mayfly serve')) await start()
      else await promisify(execFile)('sh', ['-c', line], { cwd: installation.directory })
    expect(said[0]).toMatch(
      /^Both keys open the ledger now: [0-9a-f]{16}, and [0-9a-f]{16}, which is to stay/,
    )
    expect(said[1]).toMatch(/^Key [0-9a-f]{16} alone opens the ledger now/)
    expect(said[1]!.includes('before there were root keys')).toBe(kind === KINDS[1])
    await expectGoesOn(broker!, before)
    await expectEnds(broker!, before)
    await stop()

    await rename(at('data/kek.old'), at('data/kek'))
    await expect(startBroker(installation)).rejects.toThrow(
      /does not open this ledger any more: it was rotated/,
    )
    const again = await shell.fails(1, rotate('--finish'))
    expect(again.err).toMatch(/^mayfly: The key-encryption key does not open this ledger any more/)
  })

  test('opens with either key between the steps; a backup of before, with the old one, and is rotated again', async () => {
    const before = await work(await start())
    await stop()
    await copyFile(ledgerFile(), at('backup.db'))
    const next = await newKey('next')
    await shell.ok(rotate('--new-kek-file', next))
    await copyFile(at('data/kek'), at('old'))
    for (const key of [at('old'), next]) {
      await copyFile(key, at('data/kek'))
      const info = vi.fn()
      broker = await startBroker(installation, { ...silent, info })
      const both = { from: expect.stringMatching(/^[0-9a-f]{16}$/), to: expect.any(String) }
      expect(info).toHaveBeenCalledWith(both, expect.stringContaining('two key-encryption keys'))
      await expectGoesOn(broker, before)
      await stop()
    }
    expect(JSON.parse((await shell.ok(rotate('--finish', '--json'))).out)).toMatchObject({ changed: true })
    expect((await shell.ok(rotate('--finish'))).out).toContain('No rotation is under way')

    await copyFile(at('backup.db'), ledgerFile())
    for (const beside of ['-wal', '-shm']) await rm(ledgerFile() + beside, { force: true })
    const restored = ['ledger', 'restored', '--config', installation.configPath]
    expect((await shell.fails(1, restored)).err).toMatch(/does not open this ledger/)
    await copyFile(at('old'), at('data/kek'))
    await shell.ok(restored)
    await shell.ok(rotate('--new-kek-file', next))
    await copyFile(next, at('data/kek'))
    await shell.ok(rotate('--finish'))
    await expectEnds(await start(), before)
  })
})

describe('mayfly kek rotate', () => {
  beforeEach(async () => {
    installation = await createInstallation()
    shell = await createShell()
  })
  afterEach(() => Promise.all([shell.close(), installation.close()]))

  test('refuses a ledger that a broker has, and keys that are none', async () => {
    const broker = await startBroker(installation)
    try {
      const running = await shell.fails(1, rotate('--new-kek-file', await newKey('next')))
      expect(running.err).toContain('rotated while no broker has it')
    } finally {
      await broker.stop()
    }
    const missing = await shell.fails(1, rotate('--new-kek-file', at('nowhere')))
    expect(missing.err).toContain(`openssl rand -hex 32 > ${at('nowhere')}`)
    await writeFile(at('short'), 'ab\n', { mode: 0o600 })
    expect((await shell.fails(1, rotate('--new-kek-file', at('short')))).err).toContain('64 lower-case')
    await writeFile(at('open'), `${'ab'.repeat(32)}\n`, { mode: 0o644 })
    expect((await shell.fails(1, rotate('--new-kek-file', at('open')))).err).toContain('chmod 600')
    const same = await shell.ok(rotate('--new-kek-file', at('data/kek')))
    expect(same.out).toMatch(/alone opens the ledger already: nothing changed/)
  })

  test('wants one step at a time, and a ledger', async () => {
    for (const step of [[], ['--finish', '--new-kek-file', 'x']])
      expect((await shell.fails(2, rotate(...step))).err).toContain('say which step')
    await newKey('kek')
    expect((await shell.fails(1, rotate('--finish'))).err).toContain('there is no ledger at')
  })
})

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'on PostgreSQL', () => {
  let postgres: TestPostgres
  beforeEach(async () => {
    postgres = await startPostgres()
    ;({ installation } = await createSharedInstallation(postgres))
    shell = await createShell()
  })
  afterEach(async () => {
    await Promise.all([shell?.close(), installation?.close()])
    await postgres?.close()
  })

  test.each(KINDS)('%s is rotated under running brokers, which are started again one by one', async kind => {
    if (kind === KINDS[1]) {
      const { installation: made, database } = await createSharedInstallation(postgres)
      await installation.close()
      installation = made
      const address = { ...(await postgres.createDatabase()), database }
      await makeOfBefore(await openPostgresLedger({ address, connections: 2, log: quiet }), at('kek'))
    }
    const brokers = [await startSharedBroker(installation), await startSharedBroker(installation)]
    const startAgain = async (index: number) => {
      await brokers[index]!.stop()
      brokers[index] = await startSharedBroker(installation)
    }
    try {
      const before = await work(brokers[0]!)
      const next = await newKey('next')
      await copyFile(at('kek'), at('old'))
      await shell.ok(rotate('--new-kek-file', next))
      await copyFile(next, at('kek'))
      await startAgain(0)
      for (const broker of brokers) await expectGoesOn(broker, before)
      // One that is started again with the old file, in between.
      await copyFile(at('old'), at('kek'))
      await startAgain(1)
      expect((await shell.fails(1, rotate('--finish'))).err).toContain('still holds key')
      await copyFile(next, at('kek'))
      const { out } = await shell.ok(rotate('--finish'))
      expect(out.includes('before there were root keys')).toBe(kind === KINDS[1])

      for (const broker of brokers) await expectGoesOn(broker, before)
      await copyFile(at('old'), at('kek'))
      await expect(startSharedBroker(installation)).rejects.toThrow(/any more: it was rotated/)
      await expectEnds(brokers[1]!, before)
    } finally {
      await Promise.all(brokers.map(broker => broker.stop()))
    }
  })
})

const quiet = { warn() {}, error() {} }

/** The commands of the guide, in their order; the settings' place is the installation's. */
async function walkThrough() {
  const guide = await readFile(join(import.meta.dirname, '../docs/operations.md'), 'utf8')
  const section = guide.slice(guide.indexOf('### Rotating the key-encryption key'))
  const lines = (/```sh\n([\s\S]*?)```/.exec(section)?.[1] ?? '')
    .split('\n')
    .map(line => line.replace(/\s+#.*/, ''))
    .filter(line => line !== '')
  const mayfly = (line: string) =>
    line
      .split(' ')
      .slice(1)
      .map(word =>
        word === 'config/mayfly.yaml' ? installation.configPath : word.startsWith('data/') ? at(word) : word,
      )
  return { lines, mayfly }
}
