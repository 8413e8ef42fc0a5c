/** A revocation of what does not exist never reads as success: `relaese` ended nothing, and `revoke` exited with 0. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let shell: Shell
let broker: RunningServer

beforeAll(async () => {
  installation = await createInstallation()
  shell = await createShell()
  const out = join(shell.home, 'operator.token')
  await shell.ok(['operator', 'init', '--config', installation.configPath, '--out', out])
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker.stop()
  await Promise.all([installation.close(), shell.close()])
})

const asOperator = () => ({
  env: {
    MAYFLY_OPERATOR_URL: broker.url,
    MAYFLY_OPERATOR_TOKEN_FILE: join(shell.home, 'operator.token'),
  },
})
const order = (...target: string[]) => ['revoke', '--reason', 'a test', ...target]
const blocking = async () =>
  JSON.parse((await shell.ok(['revocations', '--blocking', '--json'], asOperator())).out).items.length

test.each([
  [
    'an agent',
    ['--agent', 'relaese', '--hold'],
    'no agent is called "relaese"; names that come near: release',
  ],
  ['an issuer', ['--issuer', 'gihub'], 'no issuer is called "gihub"; names that come near: github'],
  [
    'an issuer of an agent',
    ['--agent', 'release', '--issuer', 'gihub', '--dry-run'],
    'names that come near: github',
  ],
  ['one that is like no other', ['--agent', 'zzzzzzzz'], 'no name comes near'],
])('%s that nobody knows is refused, and nothing is held', async (_what, target, said) => {
  const { err, out } = await shell.fails(1, order(...target), asOperator())
  expect(err).toContain(said)
  expect(err).toContain('--unregistered')
  expect(out).toBe('')
  expect(await blocking()).toBe(0)
})

test.each([
  ['a repository', ['--repository', 'acme/apii']],
  ['a role', ['--role', 'arn:aws:iam::1:role/none']],
  ['a human', ['--human', 'https://idp#nobody']],
  ['a repository, looked at first', ['--repository', 'acme/apii', '--dry-run']],
  ['a repository of an agent', ['--agent', 'release', '--repository', 'acme/apii', '--json']],
])('%s that matches nothing is told loudly, and the exit code is 5', async (_what, target) => {
  const { err } = await shell.fails(5, order(...target), asOperator())
  expect(err).toContain('NOTHING MATCHED')
  expect(err).toContain(target.at(target.indexOf('--agent') === 0 ? 3 : 1))
})

test('what was to be held stands all the same, and what is not registered is held where that is said', async () => {
  const held = await shell.fails(5, order('--repository', 'acme/apii', '--hold'), asOperator())
  expect(held.err).toContain('stands all the same')
  expect(await blocking()).toBe(1)
  const unregistered = ['--agent', 'not-yet', '--hold', '--unregistered']
  expect((await shell.ok(order(...unregistered), asOperator())).out).toContain('mayfly unblock')
  expect(await blocking()).toBe(2)
})

test('an agent and an issuer that hold nothing are a fine answer', async () => {
  await shell.ok(order('--agent', 'release'), asOperator())
  await shell.ok(order('--issuer', 'github', '--dry-run'), asOperator())
  await shell.ok(order('--agent', 'mayfly'), asOperator())
})

test('an issuer that is in no settings any more is known by what it minted', async () => {
  const api = createApi(broker, installation)
  const task = await api.open([asks.orders])
  expect((await api.credential(task)).status).toBe(201)
  const issuers = broker.broker.issuers as Map<string, unknown>
  const removed = issuers.get('jwt')
  issuers.delete('jwt')
  try {
    expect((await shell.ok(order('--issuer', 'jwt', '--dry-run'), asOperator())).out).toContain(
      '1 credential',
    )
  } finally {
    issuers.set('jwt', removed)
  }
})

test('offline the same, without a stack', async () => {
  await broker.stop()
  const offline = (...target: string[]) => [
    ...order(...target, '--offline', '--config', installation.configPath),
  ]
  const { err } = await shell.fails(1, offline('--agent', 'relaese', '--hold'))
  expect(err).toContain('names that come near: release')
  expect(err).not.toContain('    at ')
  expect((await shell.fails(5, offline('--repository', 'acme/apii'))).err).toContain('NOTHING MATCHED')
  expect((await shell.fails(5, offline('--repository', 'acme/apii', '--dry-run'))).err).toContain('NOTHING')
  await shell.ok(offline('--agent', 'nobody-yet', '--hold', '--unregistered'))
})
