import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createApi, type OpenedTask } from '../support/api.ts'
import { until } from '../support/until.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer | undefined
let shell: Shell
let tokenFile: string

beforeAll(async () => {
  installation = await createInstallation()
  shell = await createShell()
  tokenFile = join(shell.home, 'operator.token')
  await shell.ok(['operator', 'init', '--config', installation.configPath, '--out', tokenFile])
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

const patiently = { timeout: 30_000 }
const asOperator = () => ({
  env: { MAYFLY_OPERATOR_URL: broker!.url, MAYFLY_OPERATOR_TOKEN_FILE: tokenFile },
})
const ok = async (...args: string[]) => (await shell.ok(['agents', ...args], asOperator())).out
const alive = () => installation.github.credentials().filter(one => one.alive)

async function holding(agent: 'coder' | 'release'): Promise<{ task: OpenedTask; secret: string }> {
  const api = createApi(broker!, installation)
  const evidence = { type: 'jwt', token: installation.svid('/agent/coder') }
  const task = await api.open([asks.api], agent === 'coder' ? { evidence } : {})
  return { task, secret: (await api.credential(task)).body.credential }
}

test('an agent is listed, shown, suspended with a reason, and taken back', patiently, async () => {
  const list = await ok()
  expect(list).toMatch(/^AGENT +STATUS +OWNER/)
  expect(list).toMatch(/coder +active +product@acme\.test +high/)
  expect(list).toContain('3 agents')
  await holding('coder')
  const suspended = await ok('suspend', 'coder', '--reason', 'leaked key')
  expect(suspended).toMatch(/^coder is suspended since .*, by operator:first operator: leaked key\n/)
  expect(suspended).toMatch(/mayfly revocations rev_/)
  const shown = JSON.parse(await ok('show', 'coder', '--json'))
  expect(shown).toMatchObject({ status: 'suspended', active_tasks: 0 })
  const run = (await shell.ok(['revocations', shown.standing.revocation], asOperator())).out
  expect(run).toContain('done')
  expect((await shell.ok(['revocations'], asOperator())).out).toContain('agent=coder')
  expect(await ok('activate', 'coder', '--reason', 'rotated')).toMatch(/^coder is active/)
  expect(await ok('quarantine', 'coder', '--reason', 'odd')).toMatch(/^coder is quarantined/)
  expect((await shell.ok(['revocations'], asOperator())).out).toContain('above_read=true')
  await ok('activate', 'coder', '--reason', 'fine')
  expect(await ok('certify', 'coder', '--reason', 'reviewed', '--until', '2039-01-01')).toContain(
    'certified until 2039-01-01',
  )
})

test('what cannot be done is said: exit codes, and what is possible', patiently, async () => {
  await shell.fails(2, ['agents', 'suspend', 'coder'], asOperator())
  await shell.fails(2, ['agents', 'activate', 'coder', '--reason', 'x', '--offline'], asOperator())
  await shell.fails(2, ['agents', 'certify', 'coder', '--reason', 'x', '--until', 'soon'], asOperator())
  const nobody = await shell.fails(1, ['agents', 'suspend', 'nobody', '--reason', 'x'], asOperator())
  expect(nobody.err).toContain('no such agent')
})

test('flags are found by anybody who looks', patiently, async () => {
  await stop()
  await installation.configure({
    settings: { life_cycle: { owners: ['platform@acme.test'], certify: true, unused_days: 30 } },
  })
  broker = await startBroker(installation)
  expect(await ok('--flagged')).toMatch(/release .* ownerless uncertified/)
  expect(await ok('--flag', 'unused')).toContain('0 agents')
  await stop()
  await installation.configure({})
  broker = await startBroker(installation)
  expect(await ok('--flagged')).toContain('0 agents')
})

test('without a broker: by ledger and key alone', patiently, async () => {
  await holding('coder')
  const args = [
    'agents',
    'suspend',
    'coder',
    '--reason',
    'at night',
    '--offline',
    '--config',
    installation.configPath,
  ]
  expect((await shell.fails(1, args)).err).toContain('the broker is running')
  await stop()
  expect((await shell.ok(args)).out).toBe('coder is suspended; 0 credentials left\n')
  expect(alive()).toEqual([])
  broker = await startBroker(installation)
  expect(await ok('show', 'coder')).toContain('by operator:offline: at night')
  await ok('activate', 'coder', '--reason', 'morning')
})

test('an agent leaves: what ended, what is proven, and what it made', patiently, async () => {
  const { secret } = await holding('release')
  const hashed_token = createHash('sha256').update(secret).digest('base64')
  const event = (fields: object) => ({ '@timestamp': installation.clock.now(), repo: 'acme/api', ...fields })
  const log = [
    event({ action: 'hook.create', hook_id: 9, hashed_token }),
    event({ action: 'public_key.create', title: 'back \u0007door', hashed_token }),
    event({ action: 'git.clone', hashed_token }),
    event({ action: 'repo.add_member', user: 'somebody', hashed_token: hashed_token.replace(/^./, 'x') }),
  ]
  const file = join(shell.home, 'audit.jsonl')
  await writeFile(file, log.map(one => JSON.stringify(one)).join('\n'))
  await shell.fails(1, ['agents', 'offboarding', 'release'], asOperator())
  await ok('offboard', 'release', '--reason', 'replaced')
  await until(async () => JSON.parse(await ok('show', 'release', '--json')).status === 'offboarded')
  await until(async () => {
    const { tasks } = JSON.parse(await ok('offboarding', 'release', '--json'))
    return tasks.receipts.every((one: { sha256: string | null }) => one.sha256 !== null)
  })
  const report = JSON.parse(await ok('offboarding', 'release', '--github-audit', file, '--json'))
  expect(report).toMatchObject({
    ...{ status: 'offboarded', systems: ['api'], open: { tasks: 0, credentials: 0, run: 0 } },
    tasks: { ended: 1 },
    credentials: { reached: 1, confirmed_dead: 1, complete: true },
    bindings: { attest_rules_void: 1, delegated_from: [] },
  })
  const made = report.made.map(({ kind, name }: { kind: string; name: string }) => [kind, name])
  expect(made).toEqual([
    ['hook', '9'],
    ['deploy_key', 'back \u0007door'],
  ])
  const words = await ok('offboarding', 'release', '--github-audit', file)
  expect(words).toMatch(/1 proven dead/)
  expect(words).toMatch(/deploy_key +back {2}door +acme\/api +lse_/)
  expect(words).toContain('[ ] api')
  const back = await shell.fails(1, ['agents', 'activate', 'release', '--reason', 'x'], asOperator())
  expect(back.err).toContain('register another agent')
})

test('a build digest is the same whatever the order of its files', patiently, async () => {
  for (const [name, text] of [
    ['model', 'm-1'],
    ['prompt', 'be kind'],
  ] as const)
    await writeFile(join(shell.home, name), text)
  const one = (await shell.ok(['agents', 'build-digest', 'model', 'prompt'])).out
  expect(one).toMatch(/^sha256:[0-9a-f]{64}\n$/)
  expect((await shell.ok(['agents', 'build-digest', 'prompt', 'model', 'model'])).out).toBe(one)
  await writeFile(join(shell.home, 'prompt'), 'be cruel')
  expect((await shell.ok(['agents', 'build-digest', 'model', 'prompt'])).out).not.toBe(one)
  await writeFile(join(shell.home, 'weights'), new Uint8Array([0xff, 0xfe, 0x00]))
  expect((await shell.fails(1, ['agents', 'build-digest', 'weights'])).err).toContain('not UTF-8')
})
