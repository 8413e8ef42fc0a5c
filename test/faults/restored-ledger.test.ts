/**
 * A backup that is really put back, with every program a process of its own: the ledger is copied while brokers
 * work on it, they go on, it is lost, the copy takes its place, and an operator does what docs/operations.md
 * says. What is alive then is what GitHub and the introspection say.
 */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createShell, type Shell } from '../cli/mayfly.ts'
import { asks, type Installation, RESOURCE_SERVER } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'
import { missingPostgres } from '../support/postgres.ts'
import { type BrokerProcess, spawnBroker } from './broker-process.ts'
import { mintUnderWay } from './mint-under-way.ts'
import { type Restorable, restorableFile, restorablePostgres } from './restorable.ts'
import { liveCredentials } from './truth.ts'

/** Just inside what brokers take for an issuer's clock that is ahead: evidence is new without a minute's wait. */
const AHEAD_MS = 58_000
const patiently = { timeout: 15_000, interval: 100 }

let subject: Restorable
let installation: Installation
let shell: Shell
let processes: BrokerProcess[]
beforeEach(async () => {
  shell = await createShell()
  processes = []
})
afterEach(async () => {
  for (const { kill, gone } of processes) {
    kill()
    await gone
  }
  await Promise.all([subject?.close(), shell?.close()])
})

type Running = { process: BrokerProcess; api: Api }

async function start(): Promise<Running> {
  const process = await spawnBroker(installation.configPath)
  processes.push(process)
  return { process, api: createApi(process, installation) }
}

async function end({ kill, gone }: BrokerProcess): Promise<void> {
  kill()
  await gone
}

const config = () => ['--config', installation.configPath]
const tokenFile = () => join(shell.home, 'operator.token')
const makeToken = (...more: string[]) =>
  shell.ok(['operator', 'init', ...config(), '--out', tokenFile(), ...more])
const operatorAt = ({ url }: BrokerProcess) => ({
  env: { MAYFLY_OPERATOR_URL: url, MAYFLY_OPERATOR_TOKEN_FILE: tokenFile() },
})

type Held = { task: OpenedTask; lease: string; secret: string }

async function hold(api: Api, ask: object, extra: Record<string, unknown> = {}): Promise<Held> {
  const task = await api.open([ask], extra)
  const answer = await api.credential(task)
  expect(answer).toMatchObject({ status: 201 })
  return { task, lease: answer.body.lease, secret: answer.body.credential }
}

const evidenceOf = (token: string) => ({ evidence: { type: 'jwt', token } })
const attempt = (api: Api, token: string) =>
  api.call('POST', '/v1/tasks', undefined, {
    ...{ purpose: 'a test', authorization_details: [asks.api] },
    ...evidenceOf(token),
  })

async function isActive(api: Api, token: string): Promise<boolean> {
  const basic = Buffer.from(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`).toString('base64')
  const answer = await api.form('/oauth/introspect', { token }, { authorization: `Basic ${basic}` })
  expect(answer.status).toBe(200)
  return answer.body.active
}

const live = () => liveCredentials(installation)
const isAlive = ({ lease }: Held) => live().some(one => one.lease === lease)

/** What the backup holds: work under way, and work that will be over before the ledger is lost. */
async function workBefore(api: Api) {
  return {
    goingOn: await hold(api, asks.api),
    jwt: await hold(api, asks.orders),
    endsLater: await hold(api, asks.api),
    idle: await api.open([asks.apiRead]),
  }
}

/** What the backup does not hold. */
async function workAfter(api: Api, { endsLater, idle }: Before) {
  const used = await installation.jobToken()
  const forgotten = await hold(api, asks.api, evidenceOf(used))
  const forgottenJwt = await hold(api, asks.orders)
  expect(await isActive(api, forgottenJwt.secret)).toBe(true)
  const over = await hold(api, asks.api)
  for (const task of [endsLater.task, over.task, idle]) {
    expect((await api.complete(task)).status).toBe(200)
    await api.until(task, 'settled')
  }
  expect([endsLater, over].filter(isAlive)).toEqual([])
  return { used, forgotten, forgottenJwt, unused: await installation.jobToken() }
}

type Before = Awaited<ReturnType<typeof workBefore>>
type After = Awaited<ReturnType<typeof workAfter>>

/** `mayfly ledger restored`, as an operator runs it. */
async function announce(): Promise<{ block: string; revoke_only_until: string }> {
  const said = await shell.start(['ledger', 'restored', ...config(), '--json']).ended
  expect(said.code, said.err).toBe(0)
  installation.clock.advance(AHEAD_MS)
  return JSON.parse(said.out)
}

/** Everything that the ledger knows ends, and nothing begins. */
async function expectEndsOnly({ process, api }: Running, before: Before, after: After) {
  const { goingOn, jwt, endsLater, idle } = before
  for (const task of [after.forgotten.task, after.forgottenJwt.task])
    expect((await api.show(task)).status).toBe(401)
  for (const token of [after.used, after.unused])
    expect(await attempt(api, token)).toMatchObject({ status: 401, body: { code: 'evidence_rejected' } })
  await expectRestored(api)
  for (const task of [goingOn.task, jwt.task, endsLater.task, idle])
    expect(await api.credential(task)).toMatchObject({ status: 503, body: { code: 'ledger_restored' } })

  expect(await isActive(api, after.forgottenJwt.secret)).toBe(false)
  expect(await isActive(api, jwt.secret)).toBe(true)
  for (const { task } of [goingOn, jwt, endsLater]) {
    expect((await api.complete(task)).status).toBe(200)
    await api.until(task, 'settled')
  }
  expect(await isActive(api, jwt.secret)).toBe(false)
  expect(live().map(one => one.lease)).toEqual([after.forgotten.lease])
  const closed = new Map((await leases(process)).map(one => [one.lease, one.closed_as]))
  expect([goingOn, endsLater].map(one => closed.get(one.lease))).toEqual(['revoked', 'already_gone'])
}

/** Fresh evidence is good, and the ledger is what refuses. */
async function expectRestored(api: Api): Promise<void> {
  await vi.waitFor(
    async () =>
      expect(await attempt(api, await installation.jobToken())).toMatchObject({
        status: 503,
        body: { code: 'ledger_restored' },
      }),
    patiently,
  )
}

async function leases(broker: BrokerProcess): Promise<Listed[]> {
  const { out } = await shell.ok(['leases', '--json'], operatorAt(broker))
  return JSON.parse(out).items
}
type Listed = { lease: string; sha256: string | null; closed_as: string | null }

/** What is forgotten and alive is found by its hash at GitHub, which is in no lease. */
async function expectFoundByHash(broker: BrokerProcess, { goingOn }: Before, { forgotten }: After) {
  const known = new Set((await leases(broker)).map(lease => lease.sha256))
  const alive = installation.github.credentials().filter(one => one.alive)
  expect(alive.filter(one => known.has(one.sha256))).toMatchObject([{ sha256: hashOf(goingOn) }])
  expect(alive.filter(one => !known.has(one.sha256))).toMatchObject([
    { sha256: hashOf(forgotten), userAgent: expect.stringContaining(forgotten.lease) },
  ])
}

const hashOf = ({ secret }: Held) => createHash('sha256').update(secret).digest('hex')

/** The operator ends the wait, and work goes on; evidence of before does not. */
async function expectGoesOn({ process, api }: Running, block: string, after: After) {
  const operator = operatorAt(process)
  expect((await shell.ok(['revocations', '--blocking'], operator)).out).toContain(block)
  await shell.ok(['unblock', block], operator)
  const work = await hold(api, asks.api)
  for (const token of [after.used, after.unused])
    expect(await attempt(api, token)).toMatchObject({ status: 401, body: { code: 'evidence_rejected' } })
  expect((await api.complete(work.task)).status).toBe(200)
  await api.until(work.task, 'settled')
  await shell.ok(['revoke', '--everything', '--reason', 'what the backup brought back'], operator)
  expect(live().map(one => one.lease)).toEqual([after.forgotten.lease])
}

/** What the ledger has forgotten lives until GitHub's own expiry. */
function expectOverInAnHour(): void {
  installation.clock.advance(60 * 60_000)
  expect(live()).toEqual([])
}

test('an older copy of the embedded ledger', async () => {
  subject = await restorableFile()
  installation = subject.installation
  const first = await start()
  const before = await workBefore(first.api)
  await subject.backUp()
  const after = await workAfter(first.api, before)
  await end(first.process)

  await subject.putBack()
  const { block } = await announce()
  await makeToken()
  const again = await start()
  await expectFoundByHash(again.process, before, after)
  await expectEndsOnly(again, before, after)
  await expectGoesOn(again, block, after)
  expectOverInAnHour()
})

const missing = missingPostgres()
describe.skipIf(missing !== undefined)(missing ?? 'a PostgreSQL', () => {
  test('that is recovered to an earlier moment, under a broker that nobody stopped', async () => {
    subject = await restorablePostgres()
    installation = subject.installation
    const [first, left] = [await start(), await start()]
    const before = await workBefore(first.api)
    await subject.backUp()
    const after = await workAfter(first.api, before)
    await takeNewFiles(left)
    const goOn = await mintUnderWay(left.api, installation.github)
    await end(first.process)

    await subject.putBack()
    await goOn()
    // Nobody has announced anything yet: its generation is one that the ledger has forgotten.
    await vi.waitFor(
      async () =>
        expect(await left.api.credential(before.goingOn.task)).toMatchObject({
          body: { code: 'configuration_stale' },
        }),
      patiently,
    )

    const { block } = await announce()
    await makeToken()
    const again = await start()
    await expectFoundByHash(again.process, before, after)
    await expectEndsOnly(again, before, after)
    await expectRestored(left.api)
    await expectGoesOn(again, block, after)
    const work = await hold(left.api, asks.orders)
    expect(await isActive(again.api, work.secret)).toBe(true)
    expectOverInAnHour()
  })
})

/** A generation more, which this broker installs. */
async function takeNewFiles({ process, api }: Running): Promise<void> {
  const release = {
    ...installation.agents.release,
    purpose: 'Releases the api, as it was put after the backup',
  }
  const file = join(installation.directory, 'agents/release.yaml')
  await writeFile(file, JSON.stringify({ name: 'release', ...release }))
  process.reload()
  await vi.waitFor(() => expect(process.lastWords()).toContain('"generation":2'), patiently)
  await hold(api, asks.orders)
}
