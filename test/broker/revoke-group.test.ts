/** AWS sessions from mint to proof, ended one by one through a whole broker. */

import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DeleteRolePolicyCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListRolePoliciesCommand,
} from '@aws-sdk/client-iam'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { createReaper, type Reaper } from '../../src/broker/credentials/reaper.ts'
import { announceRestored } from '../../src/broker/tasks/restored.ts'
import type { RunningServer } from '../../src/server.ts'
import type { LeaseRow } from '../../src/store/rows.ts'
import { lease as leaseRow, task as taskRow } from '../conformance/store/subject.ts'
import type { FaultHook } from '../fakes/faults.ts'
import {
  asks,
  BUCKET,
  createInstallation,
  edgeFor,
  type Installation,
  silent,
  startBroker,
} from '../fakes/installation.ts'
import { createApi, type OpenedTask } from '../support/api.ts'

const minute = 60_000

let installation: Installation
let server: RunningServer
/** Alarms that were logged. */
let alarms: unknown[]

beforeEach(async () => {
  alarms = []
  installation = await createInstallation()
  const { url } = installation.aws
  const probe = { call: 'ec2:DescribeRegions', endpoint: url }
  await installation.configure({
    aws: { revocation: { role_policy: true, iam_endpoint: url, probe } },
    agents: { release: { ...installation.agents.release, limits: LIMITS } },
  })
  server = await start()
})
afterEach(async () => {
  await server?.stop()
  await installation?.close()
})

const LIMITS = { task_minutes: 60, active_tasks: 10_000, credentials_per_hour: 100_000 }

const start = () =>
  startBroker(installation, {
    ...silent,
    error: fields => alarms.push(fields.alarm ?? fields),
  })

type Held = { task: OpenedTask; lease: string; keys: string }

async function mint(): Promise<Held> {
  const api = createApi(server, installation)
  const task = await api.open([asks.artifacts(installation.roleArn)])
  const { body } = await api.credential(task)
  expect(body.revocability, JSON.stringify(body)).toBe('propagating')
  return { task, lease: body.lease, keys: JSON.stringify(body.credential) }
}

const end = ({ task }: Held) => createApi(server, installation).complete(task)

async function read(keys: string): Promise<string> {
  const parts = JSON.parse(keys)
  const s3 = new S3Client({
    endpoint: installation.aws.url,
    region: 'eu-central-1',
    maxAttempts: 1,
    forcePathStyle: true,
    systemClockOffset: installation.clock.now() - Date.now(),
    credentials: {
      accessKeyId: parts.AccessKeyId,
      secretAccessKey: parts.SecretAccessKey,
      sessionToken: parts.SessionToken,
    },
  })
  return s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'build.txt' })).then(
    () => 'read',
    (error: Error) => error.name,
  )
}

const leaseOf = async (id: string): Promise<LeaseRow> => (await server.broker.ledger.read.lease(id))!

async function pass(ms: number): Promise<void> {
  installation.clock.advance(ms)
  await server.look()
}

/** Moves on in small steps until it holds. Ends by the test's own time limit. */
async function until(holds: () => Promise<boolean>, step = 10_000): Promise<void> {
  while (!(await holds())) await pass(step)
}

const isClosed = async (id: string) => (await leaseOf(id)).state === 'closed'
const isTold = async (id: string) => (await leaseOf(id)).revoked_at !== null

/** The role's inline policies, as the broker's own user sees and changes them. */
const iam = () =>
  new IAMClient({
    endpoint: installation.aws.url,
    region: 'eu-central-1',
    systemClockOffset: installation.clock.now() - Date.now(),
    credentials: { accessKeyId: 'AKIABROKER0000000000', secretAccessKey: 'a-secret-of-the-broker-user' },
  })
const policies = async () =>
  (await iam().send(new ListRolePoliciesCommand({ RoleName: 'deploy' }))).PolicyNames ?? []
const documents = async () =>
  Promise.all(
    (await policies()).map(async PolicyName => {
      const command = new GetRolePolicyCommand({ RoleName: 'deploy', PolicyName })
      return decodeURIComponent((await iam().send(command)).PolicyDocument ?? '')
    }),
  )
const removePolicy = (PolicyName: string) =>
  iam().send(new DeleteRolePolicyCommand({ RoleName: 'deploy', PolicyName }))

function count(pattern: RegExp): string[] {
  const seen: string[] = []
  installation.aws.faults = ({ operation, when }) => {
    if (when === 'before' && pattern.test(operation)) seen.push(operation)
    return 'ok'
  }
  return seen
}

const alive = () => installation.aws.credentials().filter(one => one.alive)

test.each([0, 45_000, 300_000])(
  'two sessions of one role, one task ended, denies taking %i ms: the first is denied and proven dead, the second goes on',
  async delay => {
    installation.aws.denyDelayMs = delay
    const [first, second] = [await mint(), await mint()]
    await pass(3_000)
    expect(JSON.parse((await leaseOf(first.lease)).proof!)).toMatchObject({ denials: 0 })
    await end(first)
    await pass(1)
    expect(await isTold(first.lease)).toBe(true)
    await until(async () => (await read(first.keys)) === 'AccessDenied')
    expect(await read(second.keys)).toBe('read')
    await until(() => isClosed(first.lease))
    const closed = await leaseOf(first.lease)
    expect(closed).toMatchObject({ closed_as: 'revoked', sealed_secret: null })
    expect(closed.confirmed_dead_at! - closed.revoked_at!).toBeGreaterThanOrEqual(delay + minute)
    expect(closed.confirmed_dead_at!).toBeLessThan(closed.provider_expires_at!)
    const { items } = await server.broker.ledger.read.audit({ lease: first.lease }, { limit: 50 })
    expect(items.map(({ event }) => event)).toContain('lease.revoked')
    const { dead_after_ms } = JSON.parse(items.find(({ event }) => event === 'lease.closed')!.data)
    expect(dead_after_ms).toBeGreaterThanOrEqual(delay)
    expect(dead_after_ms).toBeLessThan(delay + minute)
    expect(await read(second.keys)).toBe('read')
    expect(alive()).toHaveLength(1)
  },
)

test('a hundred ends of one role at once are few writes, and nobody is left out', async () => {
  const held: Held[] = []
  for (let n = 0; n < 100; n += 1) held.push(await mint())
  await pass(3_000)
  const writes = count(/^(Put|Delete)RolePolicy$/)
  await Promise.all(held.map(end))
  await until(async () => (await Promise.all(held.map(({ lease }) => isTold(lease)))).every(Boolean), 1_100)
  expect(writes.length).toBeLessThanOrEqual(8)
  expect(alive()).toEqual([])
}, 60_000)

test('what has expired is taken out, and the last one takes the policies with it', async () => {
  const held = await mint()
  await end(held)
  await pass(1)
  expect(await policies()).not.toEqual([])
  await until(() => isClosed(held.lease))
  expect(await policies(), 'its deny stays while it could be alive').not.toEqual([])
  await pass(62 * minute)
  expect(await policies()).toEqual([])
  expect((await server.broker.ledger.read.claimsDue('group/', Number.MAX_SAFE_INTEGER, 9)).length).toBe(0)
})

test('a policy that somebody deleted is written again at the next pass', async () => {
  const held = await mint()
  await end(held)
  await pass(1)
  await Promise.all((await policies()).map(name => removePolicy(name)))
  expect(await read(held.keys)).toBe('read')
  await pass(5 * minute + 1_000)
  expect(await read(held.keys)).toBe('AccessDenied')
})

describe('a call that fails', () => {
  const calls = ['GetRole', 'ListRolePolicies', 'PutRolePolicy', 'PutRolePolicy again', 'DescribeRegions']
  const cases = calls.flatMap(name => (['before', 'after'] as const).map(when => ({ name, when })))
  test.each(cases)(
    '$name, lost $when its effect: it is made again, and the session is proven dead',
    async ({ name, when }) => {
      const held = await mint()
      await pass(3_000)
      installation.aws.faults = failing(name, when)
      await end(held)
      await until(() => isClosed(held.lease))
      expect(await leaseOf(held.lease)).toMatchObject({ closed_as: 'revoked' })
      expect(alive()).toEqual([])
    },
  )

  const failing = (name: string, when: string): FaultHook => {
    const [wanted, again] = name.split(' ')
    let left = again === undefined ? 0 : 1
    let isDone = false
    return call => {
      if (isDone || call.operation !== wanted || call.when !== when) return 'ok'
      if (left-- > 0) return 'ok'
      isDone = true
      return 'drop'
    }
  }
})

test('a broker that died between the ledger and the role is made good by the next one', async () => {
  const held = await mint()
  const { broker } = server
  // The ledger knows of the end, and nothing else ever does.
  await broker.ledger.write(tx => tx.revokeLeasesOf([held.task.id]))
  await broker.ledger.write(tx =>
    tx.takeClaim(`group/aws/${installation.roleArn}`, installation.clock.now() + minute),
  )
  await server.stop()
  expect(await read(held.keys)).toBe('read')
  server = await start()
  await pass(1_000)
  expect(await read(held.keys)).toBe('AccessDenied')
})

test('a ledger that was put back lets go of nobody whom it has forgotten, for a day', async () => {
  const [known, late] = [await mint(), await mint()]
  await server.stop()
  const file = join(installation.directory, 'data/mayfly.db')
  await copyFile(file, `${file}.backup`)
  server = await start()
  const forgotten = await mint()
  for (const one of [forgotten, late]) await end(one)
  await pass(1)
  await server.stop()
  await copyFile(`${file}.backup`, file)
  for (const beside of ['-wal', '-shm']) await rm(file + beside, { force: true })
  server = await start()
  await announceRestored(server.broker, 'operator:test')

  await end(known)
  await until(() => isTold(known.lease))
  for (const { keys } of [known, late, forgotten]) expect(await read(keys)).toBe('AccessDenied')
  await until(() => isClosed(known.lease))
  await pass(62 * minute)
  expect(await policies()).not.toEqual([])
  await pass(23 * 60 * minute)
  expect(await policies()).toEqual([])
})

// Everybody whom a document named was kept for a day: those who were over crowded out those who were alive.
test('after a ledger was put back, sessions whose life is over make room for those that end', async () => {
  await announceRestored(server.broker, 'operator:test')
  await pass(2 * minute)
  for (let batch = 0; batch < 4; batch += 1) {
    const held = await mint()
    const ids = await endMany(`tsk_${batch}`, 59, batch * 100)
    await end(held)
    for (let n = 0; n < 5; n += 1) await pass(1_100)
    expect(await Promise.all([held.lease, ...ids].map(isTold))).toEqual(Array(60).fill(true))
    expect(await read(held.keys)).toBe('AccessDenied')
    await pass(70 * minute)
  }
  expect(alarms).not.toContain('group_full')
  expect(await policies()).toEqual([])
}, 60_000)

test('a session whose mint has no known outcome is ended by its name', async () => {
  installation.aws.faults = ({ operation, when }) =>
    operation === 'AssumeRole' && when === 'after' ? 'drop' : 'ok'
  const api = createApi(server, installation)
  const answer = await api.credential(await api.open([asks.artifacts(installation.roleArn)]))
  expect(answer.body.code).toBe('provider_unavailable')
  expect(alive()).toHaveLength(1)
  await pass(1)
  expect(alive()).toEqual([])
})

describe('two brokers on one ledger', () => {
  let other: Reaper
  beforeEach(() => {
    // The same installation opened a second time would be refused: the embedded ledger is one process's.
    const second: Broker = { ...server.broker }
    other = createReaper(second, edgeFor(installation).schedule)
  })
  afterEach(() => other.stop())

  test.each([1, 2])(
    'one writes at a time, and what a slow one wrote over the other is written again (write %i stalls)',
    async stalled => {
      const [first, second] = [await mint(), await mint()]
      await pass(3_000)
      const gate = Promise.withResolvers<void>()
      const reached = Promise.withResolvers<void>()
      let writes = 0
      const stall = async ({ operation, when }: Parameters<FaultHook>[0]): Promise<'ok'> => {
        if (operation !== 'PutRolePolicy' || when !== 'before') return 'ok'
        writes += 1
        if (writes === stalled) {
          reached.resolve()
          await gate.promise
        }
        return 'ok'
      }
      installation.aws.faults = stall
      await end(first)
      await reached.promise
      // While it is at it nobody else is; when its time is over, another is.
      await end(second)
      other.wake()
      await other.idle()
      expect(await isTold(second.lease)).toBe(false)
      installation.clock.advance(minute + 1_000)
      other.wake()
      await other.idle()
      expect(await isTold(second.lease)).toBe(true)
      expect(await read(second.keys)).toBe('AccessDenied')
      gate.resolve()
      await server.look()
      await pass(1_100)
      await pass(1_100)
      expect(await read(first.keys)).toBe('AccessDenied')
      expect(await read(second.keys)).toBe('AccessDenied')
      for (const document of await documents()) {
        expect(document).toContain(first.lease)
        expect(document).toContain(second.lease)
      }
    },
  )

  test('both reap the same ends, and everybody is told once', async () => {
    const held: Held[] = []
    for (let n = 0; n < 12; n += 1) held.push(await mint())
    await Promise.all(held.map(end))
    const told = async () => (await Promise.all(held.map(({ lease }) => isTold(lease)))).every(Boolean)
    while (!(await told())) {
      other.wake()
      await Promise.all([pass(1_100), other.idle()])
    }
    expect(alive()).toEqual([])
    for (const { lease } of held) {
      const { items } = await server.broker.ledger.read.audit({ lease }, { limit: 50 })
      expect(items.filter(({ event }) => event === 'lease.revoked')).toHaveLength(1)
    }
  })
})

/** Rows of sessions that live for half an hour, all taken back; the stand-in never minted them. */
async function endMany(task: string, count: number, from = 0): Promise<string[]> {
  const now = installation.clock.now()
  const ids = Array.from({ length: count }, (_, n) => `lse_${String(from + n).padStart(26, '0')}`)
  const over = {
    issuer: 'aws',
    state: 'revoking',
    revocability: 'propagating',
    revocation_group: installation.roleArn,
    granted: JSON.stringify({
      role: installation.roleArn,
      statements: [],
      allow_role_chaining: false,
      allow_iam_writes: false,
    }),
    active_at: now,
    provider_expires_at: now + 30 * minute,
    dead_by: now + 90 * minute,
    due_at: now,
  } as const
  await server.broker.ledger.write(async tx => {
    await tx.insertTask(taskRow(task, { opened_at: now, deadline: now + 60 * minute }), [])
    for (const id of ids) await tx.insertLease(leaseRow(id, task, over))
    await tx.endTasks([task], 'completed', null)
  })
  return ids
}

describe('2,000 revoked sessions on one role', () => {
  test('few writes; whoever fits is told, whoever does not is an alarm, and is over at its expiry', async () => {
    const { ledger } = server.broker
    await endMany('tsk_many', 2_000)
    const writes = count(/^(Put|Delete)RolePolicy$/)
    for (let n = 0; n < 10; n += 1) await pass(1_100)
    expect(writes.length).toBeLessThanOrEqual(6)
    const outstanding = async () => (await ledger.read.leases({ state: 'revoking' }, { limit: 3_000 })).items
    const leases = await outstanding()
    expect(leases).toHaveLength(2_000)
    const told = leases.filter(({ revoked_at }) => revoked_at !== null)
    expect(told.length).toBe(182)
    const left = leases.filter(({ revoked_at }) => revoked_at === null)
    expect(left.every(({ last_error }) => last_error?.includes('more roles'))).toBe(true)
    expect(alarms).toContain('group_full')
    // None of these was ever minted by the stand-in, so none can be proven.
    await pass(32 * minute)
    await until(async () => (await outstanding()).length === 0)
    expect(await policies()).toEqual([])
    const counts = await ledger.read.leaseCounts()
    expect(counts).toEqual([{ state: 'closed', issuer: 'aws', count: 2_000 }])
    expect((await leaseOf(`lse_${'0'.repeat(26)}`)).closed_as).toBe('expired_unconfirmed')
  }, 60_000)
})

test('a role that is not the broker’s to write: an alarm, and the session is over at its deadline', async () => {
  const held = await mint()
  const denied =
    '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>'
  installation.aws.faults = ({ operation, when }) =>
    operation === 'ListRolePolicies' && when === 'before'
      ? { status: 403, headers: { 'content-type': 'text/xml' }, body: denied }
      : 'ok'
  await end(held)
  await pass(1)
  expect(alarms).toContain('group_full')
  expect((await leaseOf(held.lease)).last_error).toContain('does not let the broker')
  await pass(62 * minute)
  await until(() => isClosed(held.lease))
  expect(await leaseOf(held.lease)).toMatchObject({ closed_as: 'expired_unconfirmed', revoked_at: null })
  expect(alarms).toContain('expired_unconfirmed')
})
