import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer | undefined
let shell: Shell
let tokenFile: string

beforeAll(async () => {
  installation = await createInstallation()
  shell = await createShell()
  tokenFile = join(shell.home, 'operator.token')
  await operatorInit()
})
afterAll(() => Promise.all([installation?.close(), shell?.close()]))
beforeEach(async () => {
  broker = await startBroker(installation)
})
afterEach(stop)

async function stop(): Promise<void> {
  await broker?.stop()
  broker = undefined
}

const operatorInit = (...more: string[]) =>
  shell.ok(['operator', 'init', '--config', installation.configPath, '--out', tokenFile, ...more])

/** The environment of an operator of the running broker. */
const asOperator = () => ({
  env: { MAYFLY_OPERATOR_URL: broker!.url, MAYFLY_OPERATOR_TOKEN_FILE: tokenFile },
})

async function openTask(details: object[] = [asks.api]): Promise<string> {
  const call = async (path: string, body: object, token?: string) => {
    const response = await fetch(broker!.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    })
    if (response.status !== 201) throw new Error(`not opened: ${response.status}`)
    return (await response.json()) as { task: { id: string; asks: { id: string }[] }; task_token: string }
  }
  const evidence = { type: 'jwt', token: await installation.jobToken() }
  const { task, task_token } = await call('/v1/tasks', {
    evidence,
    purpose: 'release',
    authorization_details: details,
  })
  for (const { id } of task.asks) await call(`/v1/tasks/${task.id}/credentials`, { ask: id }, task_token)
  return task.id
}

const patiently = { timeout: 15_000 }
const alive = () => installation.github.credentials().filter(one => one.alive)

test('init refuses kindly: while the broker runs, and where the file is there', async () => {
  const before = await readFile(tokenFile, 'utf8')
  const init = ['operator', 'init', '--config', installation.configPath, '--out']
  const other = join(shell.home, 'other.token')
  const running = await shell.fails(1, [...init, other])
  expect(running.err).toContain('the broker is running')
  expect(running.err).toContain('mayfly operator renew')
  await expect(stat(other)).rejects.toThrow('ENOENT')

  await stop()
  const exists = await shell.fails(1, [...init, tokenFile])
  expect(exists.err).toContain('exists already')
  expect(exists.err).toContain('--replace')
  expect(await readFile(tokenFile, 'utf8')).toBe(before)
  // The token in the file is still the one that counts.
  broker = await startBroker(installation)
  await shell.ok(['leases'], asOperator())
})

test('init --replace, and renew from the running broker: each token ends the one before it', async () => {
  await stop()
  const first = await readFile(tokenFile, 'utf8')
  const { out } = await operatorInit('--replace', '--json')
  const made = JSON.parse(out) as { file: string; expires_at: string }
  const second = await readFile(tokenFile, 'utf8')
  expect(made.file).toBe(tokenFile)
  expect(second).toMatch(/^mfo_\w+\n$/)
  expect(second).not.toBe(first)
  expect((await stat(tokenFile)).mode & 0o777).toBe(0o600)

  broker = await startBroker(installation)
  const renewed = await shell.ok(['operator', 'renew'], asOperator())
  const third = await readFile(tokenFile, 'utf8')
  expect(third).not.toBe(second)
  expect((await stat(tokenFile)).mode & 0o777).toBe(0o600)
  expect(`${out}${renewed.out}${renewed.err}`).not.toContain('mfo_')
  await shell.ok(['leases'], asOperator())
  const audit = await broker.broker.ledger.read.audit({}, { limit: 100 })
  expect(audit.items.filter(row => row.event === 'operator.token_created').at(-1)?.actor).toBe(
    'operator:first operator',
  )

  const old = join(shell.home, 'old.token')
  await writeFile(old, second, { mode: 0o600 })
  const env = { ...asOperator().env, MAYFLY_OPERATOR_TOKEN_FILE: old }
  const refused = await shell.fails(3, ['operator', 'renew'], { env })
  expect(refused.err).toContain('unauthenticated')
  expect(await readFile(old, 'utf8')).toBe(second)
})

test('budgets: what is used up of what', async () => {
  const task = await openTask()
  const table = await shell.ok(['budgets', '--agent', 'release'], asOperator())
  expect(table.out).toMatch(
    /^WHOSE +BUDGET +USED +LIMIT +BEGINS ANEW\nagent release +active_tasks +\d+ +10000 +-\n/,
  )
  expect(table.out).toMatch(/agent release +credentials_per_hour +\d+ +100000 +\S+Z\n2 budgets\n$/)
  const json = await shell.ok(['budgets', '--json', '--task', task], asOperator())
  expect(JSON.parse(json.out)).toEqual({ items: [], next: null })
  expect((await shell.fails(1, ['budgets', '--agent', 'nobody'], asOperator())).err).toContain(
    'no such agent',
  )
  await shell.ok(['revoke', '--task', task, '--reason', 'seen'], asOperator())
})

test('leases, for people and for programs; revoke ends a task and what it holds', async () => {
  const task = await openTask()
  const table = await shell.ok(['leases', '--task', task], asOperator())
  expect(table.out).toMatch(/^LEASE +STATE +AGENT +TASK +UNTIL +WHAT\nlse_\w+ +active +release +tsk_/)
  expect(table.out).toContain('github=acme/api:contents:write')
  expect(table.out).toMatch(/\n1 lease\n$/)
  const json = await shell.ok(['leases', '--json', '--state', 'active', '--agent', 'release'], asOperator())
  const { items } = JSON.parse(json.out) as { items: { lease: string; task: string }[] }
  expect(items.map(one => one.task)).toEqual([task])
  expect(json.out).not.toMatch(/ghs_|sealed/)
  const page = await shell.ok(['leases', '--limit', '1'], asOperator())
  expect(page.out).toMatch(/older ones: --after \S+/)

  const revoked = await shell.ok(['revoke', '--task', task, '--reason', 'enough'], asOperator())
  expect(revoked.out).toBe('1 task ended; 1 credential: 1 dead\n')
  expect(alive()).toEqual([])
  const again = await shell.fails(5, ['revoke', '--task', task, '--reason', 'enough'], asOperator())
  expect(again.err).toContain('NOTHING MATCHED')
  const nobody = await shell.ok(['revoke', '--agent', 'coder', '--reason', 'x', '--json'], asOperator())
  expect(JSON.parse(nobody.out)).toMatchObject({ tasks_ended: 0, credentials: { reached: 0 } })
})

test('one credential is taken back, and its task goes on', async () => {
  const task = await openTask()
  const lease = (await broker!.broker.ledger.read.leases({ task }, { limit: 1 })).items[0]!
  await shell.ok(['revoke', '--lease', lease.id, '--reason', 'leaked'], asOperator())
  await expect.poll(() => alive(), patiently).toEqual([])
  expect((await broker!.broker.ledger.read.task(task))?.state).toBe('active')
  await shell.ok(['revoke', '--everything', '--reason', 'tidy up'], asOperator())
})

test('a token that others can read is not used, nor one that is none', async () => {
  const open = join(shell.home, 'open.token')
  await writeFile(open, await readFile(tokenFile, 'utf8'))
  await chmod(open, 0o640)
  const env = (file: string) => ({ env: { ...asOperator().env, MAYFLY_OPERATOR_TOKEN_FILE: file } })
  expect((await shell.fails(1, ['leases'], env(open))).err).toContain('chmod 600')
  await chmod(open, 0o600)
  await writeFile(open, 'mfo_not-one')
  const { err } = await shell.fails(1, ['leases'], env(open))
  expect(err).toContain('does not hold an operator token')
  expect(err).not.toContain('mfo_not-one')
})

/** Of a task in the ledger of a stopped broker. */
async function statusOf(task: string): Promise<string | undefined> {
  const again = await startBroker(installation)
  try {
    return (await again.broker.ledger.read.task(task))?.state
  } finally {
    await again.stop()
  }
}

test('revoke --dry-run changes nothing; --hold refuses until unblock; revocations tells of both', async () => {
  const task = await openTask()
  const dry = await shell.ok(
    ['revoke', '--repository', 'acme/api', '--dry-run', '--reason', 'x'],
    asOperator(),
  )
  expect(dry.out).toMatch(/\nlse_\w+ +active +release +tsk_/)
  expect(dry.out).toContain('0 tasks would end, 1 credential would be revoked; nothing was changed')
  const all = await shell.ok(['revoke', '--agent', 'release', '--dry-run', '--reason', 'x'], asOperator())
  expect(all.out).toContain(`${task}  release  release\n`)
  expect(alive()).toHaveLength(1)

  const order = ['revoke', '--repository', 'acme/api', '--agent', 'release', '--hold', '--reason', 'leaked']
  const held = await shell.ok([...order, '--json'], asOperator())
  const { id } = JSON.parse(held.out) as { id: string }
  expect(alive()).toEqual([])
  await expect(openTask()).rejects.toThrow('403')
  const listed = await shell.ok(['revocations', '--blocking'], asOperator())
  expect(listed.out).toMatch(
    /refuses .* operator:first operator +agent=release repository=acme\/api +leaked\n/,
  )
  expect((await shell.ok(['revocations', id], asOperator())).out).toContain(`mayfly unblock ${id}`)
  expect((await shell.ok(['unblock', id], asOperator())).out).toContain('refuses nothing')
  await openTask()

  await shell.fails(2, ['revoke', '--reason', 'x'], asOperator())
  await shell.fails(2, ['revoke', '--everything', '--agent', 'release', '--reason', 'x'], asOperator())
  await shell.fails(2, ['revoke', '--everything', '--hold', '--dry-run', '--reason', 'x'], asOperator())
  await shell.ok(['revoke', '--everything', '--reason', 'tidy up'], asOperator())
})

test('what the provider does not take back in time is told, and fails', async () => {
  await openTask()
  installation.github.faults = () => ({ status: 503 })
  const order = ['revoke', '--everything', '--reason', 'x', '--watch-seconds', '1']
  const { err, out } = await shell.fails(4, order, asOperator())
  installation.github.faults = () => 'ok'
  expect(out).toContain('1 waiting to be revoked')
  expect(err).toContain('watch it with: mayfly revocations rev_')
})

const offline = (...target: string[]) => [
  ...['revoke', '--offline', '--config', installation.configPath, '--reason', 'the broker is gone'],
  ...target,
]

test('offline, by ledger and key alone: what can be revoked is, what cannot is listed', async () => {
  const first = await openTask([asks.api, asks.orders, asks.artifacts(installation.roleArn)])
  const refused = await shell.fails(1, offline('--everything'))
  expect(refused.err).toContain('the broker is running')
  expect(refused.err).toContain('leave --offline away')
  await stop()

  const { out } = await shell.ok(offline('--everything'))
  expect(out).toContain('1 task ended; 3 credentials: 2 dead, 1 that cannot be revoked')
  await expect(statusOf(first)).resolves.toBe('ended')
  expect(out).toMatch(/1 credential left\n {2}lse_\w+ aws=arn:.* it cannot be revoked and stops by itself\n$/)
  expect(alive()).toEqual([])
})

test('offline, with the same filters: a dry run, one issuer, and a refusal that the broker finds', async () => {
  await openTask([asks.api, asks.orders])
  await stop()
  const dry = await shell.ok(offline('--issuer', 'github', '--dry-run'))
  expect(dry.out).toContain('1 credential would be revoked; nothing was changed')
  expect(alive()).toHaveLength(1)
  const { out } = await shell.ok(offline('--issuer', 'github', '--hold'))
  expect(alive()).toEqual([])
  const [, id] = /mayfly unblock (rev_\w+)/.exec(out) ?? []
  broker = await startBroker(installation)
  await expect(openTask()).rejects.toThrow('403')
  await shell.ok(['unblock', id!], asOperator())
  await openTask()
  await shell.ok(['revoke', '--everything', '--reason', 'tidy up'], asOperator())
})

test('offline, settings that lead to no ledger are told, and none is made', async () => {
  const config = join(shell.home, 'mayfly.yaml')
  await writeFile(config, await readFile(installation.configPath, 'utf8'))
  const args = ['revoke', '--offline', '--everything', '--reason', 'x', '--config', config]
  expect((await shell.fails(1, args)).err).toContain('there is no ledger at')
  await expect(stat(join(shell.home, 'data'))).rejects.toThrow('ENOENT')
})

test('offline, with the provider down: it says what is left and why, and fails', async () => {
  const task = await openTask()
  await stop()
  installation.github.faults = () => ({ status: 503 })
  const { out } = await shell.fails(4, offline('--task', task))
  installation.github.faults = () => 'ok'
  expect(out).toMatch(/lse_\w+ github=acme\/api.* it is being revoked; last try: /)
  expect(alive()).toHaveLength(1)

  // Nothing is given up: the broker goes on with it.
  installation.clock.advance(10_000)
  broker = await startBroker(installation)
  await expect.poll(() => alive(), patiently).toEqual([])
})
