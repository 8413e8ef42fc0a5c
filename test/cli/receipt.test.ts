import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer
let shell: Shell
let api: Api

const { type: _, ...ordersAsk } = asks.orders

beforeAll(async () => {
  installation = await createInstallation()
  const { type: __, ...awsAsk } = asks.artifacts(installation.roleArn)
  const { type: ___, ...broken } = asks.apiRead
  await installation.configure({
    settings: { drills: { jwt: { ask: ordersAsk }, aws: { ask: awsAsk }, github: { ask: broken } } },
  })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  shell = await createShell({ MAYFLY_URL: broker.url })
  await writeFile(
    at('keys.json'),
    JSON.stringify((await api.call('GET', '/.well-known/receipt-jwks.json')).body),
  )
  await writeFile(at('operator'), await operatorTokenOf(broker), { mode: 0o600 })
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const at = (name: string) => join(shell.home, name)
const operator = () => ['--operator-token-file', at('operator')]
const verify = (...files: string[]) => ['receipt', 'verify', '--keys', at('keys.json'), ...files.map(at)]

/** A task whose receipt is there, read with its own token. */
async function settled(details: unknown[], extra: object = {}): Promise<OpenedTask> {
  const task = await api.open(details, { ...extra })
  for (const ask of task.asks) expect((await api.credential(task, ask)).status).toBe(201)
  await api.complete(task)
  await api.until(task, 'settled')
  await broker.look()
  return task
}

/** Saves its receipt as a person would. */
async function save(task: { id: string }, name: string): Promise<void> {
  const { out } = await shell.ok(['receipt', 'show', task.id, '--jws', ...operator()])
  await writeFile(at(name), out)
}

test('a receipt is read from the broker in words, and says what was not checked', async () => {
  const task = await settled([asks.api, asks.orders])
  const { out } = await shell.ok(['receipt', 'show', task.id, ...operator()])
  expect(out).toContain(`${task.id} completed`)
  expect(out).toMatch(/seen dead at \S+, \d+ ms past the end/)
  expect(out).toMatch(/dead at \S+ for whoever introspects it; who checks only its signature takes it until/)
  expect(out).toContain('The signature was not checked here')
  const json = await shell.ok(['receipt', 'show', task.id, '--json', ...operator()])
  expect(JSON.parse(json.out)).toMatchObject({ sub: task.id, summary: { credentials: 2 } })
})

test('an operator reads it by what the environment or a session says, as every command of theirs does', async () => {
  const task = await settled([asks.orders])
  const env = { MAYFLY_OPERATOR_TOKEN_FILE: at('operator') }
  expect((await shell.ok(['receipt', 'show', task.id], { env })).out).toContain(`${task.id} completed`)
  // Who is no operator, and has no file of the task, is told of the file.
  expect((await shell.run(['receipt', 'show', task.id])).err).toContain(task.id)
})

test('task complete keeps the receipt, and its file needs no broker to be verified', async () => {
  const job = { env: { ...shell.env } }
  await writeFile(at('evidence'), await installation.jobToken())
  await shell.ok(
    [
      ...['task', 'open', '--purpose', 'release', '--evidence-file', at('evidence')],
      ...['--ask', 'github=acme/api:contents:read', '--task-token-file', at('task.json')],
    ],
    job,
  )
  const { task: id } = JSON.parse(await readFile(at('task.json'), 'utf8'))
  await shell.ok(['task', 'complete', '--task-token-file', at('task.json'), '--receipt', at('kept.jws')])
  await expect(stat(at('task.json'))).rejects.toMatchObject({ code: 'ENOENT' })
  const offline = { env: { MAYFLY_URL: 'http://127.0.0.1:9' } }
  const { out } = await shell.ok([...verify('kept.jws'), '--issuer', 'http://127.0.0.1:8480'], offline)
  expect(out).toContain(`good ${at('kept.jws')}: signed by`)
  expect(out).toContain(id)
  const shown = await shell.ok(['receipt', 'show', '--file', at('kept.jws')], offline)
  expect(shown.out).toContain(`${id} completed`)
})

test('a receipt that was altered, or is of others, is refused', async () => {
  const task = await settled([asks.orders])
  await save(task, 'good.jws')
  const [header, payload = '', signature] = (await readFile(at('good.jws'), 'utf8')).trim().split('.')
  const content = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
  const forged = Buffer.from(JSON.stringify({ ...content, credentials: [] })).toString('base64url')
  await writeFile(at('forged.jws'), `${header}.${forged}.${signature}\n`)
  const { out, err } = await shell.fails(1, verify('good.jws', 'forged.jws'))
  expect(out).toContain(`good ${at('good.jws')}`)
  expect(out).toContain(
    `REFUSED ${at('forged.jws')}: it was altered, or signed by another key (signature_wrong)`,
  )
  expect(err).toContain('1 receipt refused')

  const issuer = await shell.fails(1, [...verify('good.jws'), '--issuer', 'https://other.example.com'])
  expect(issuer.out).toContain('issuer_wrong')
  await writeFile(at('tasks.json'), JSON.stringify((await api.call('GET', '/.well-known/jwks.json')).body))
  const key = await shell.fails(1, ['receipt', 'verify', '--keys', at('tasks.json'), at('good.jws')])
  expect(key.out).toContain('unknown_key')
  const jwt = await api.open([asks.orders])
  await writeFile(at('jwt'), (await api.credential(jwt)).body.credential)
  expect((await shell.fails(1, verify('jwt'))).out).toContain('wrong_type')
  const none = await shell.fails(1, ['receipt', 'verify', '--keys', at('jwt'), at('good.jws')])
  expect(none.err).toContain('is not a key set of receipts')
  const json = await shell.fails(1, [...verify('forged.jws'), '--json'])
  expect(JSON.parse(json.out).receipts[0].verdict).toMatchObject({ ok: false, fault: 'signature_wrong' })
})

test('a tree is whole when every child that is named is given', async () => {
  const svid = (path: string) => ({ evidence: { type: 'jwt', token: installation.svid(path) } })
  const parent = await api.open([asks.apiRead], svid('/agent/coder'))
  const ticket = await api.call('POST', `/v1/tasks/${parent.id}/tickets`, parent.token, {
    ...{ agent: 'reviewer', minutes: 5, authorization_details: [asks.apiRead] },
  })
  const child = await settled([asks.apiRead], { ...svid('/agent/reviewer'), ticket: ticket.body.ticket })
  await api.complete(parent)
  await api.until(parent, 'settled')
  await broker.look()
  await save(parent, 'parent.jws')
  await save(child, 'child.jws')
  const { out } = await shell.ok([...verify('parent.jws', 'child.jws'), '--tree'])
  expect(out).not.toContain('not given')
  const alone = await shell.fails(1, [...verify('parent.jws'), '--tree'])
  expect(alone.out).toContain(`not given: the receipt of ${child.id}, a child of ${parent.id}`)
  await shell.ok(verify('parent.jws'))
})

test('a task that is not over has no receipt, and that is said', async () => {
  const task = await api.open([])
  const { err } = await shell.fails(1, ['receipt', 'show', task.id, ...operator()])
  expect(err).toContain('the task has not ended (receipt_not_ready)')
  await api.complete(task)
})

test('a drill says what it showed, by its exit code too', async () => {
  const passed = await shell.ok(['drill', 'jwt', ...operator()])
  expect(passed.out).toMatch(/jwt: passed\n.*canary.*\n.*introspection\n.*mint +\d+ ms\n/)
  const unprovable = await shell.ok(['drill', 'aws', '--json', ...operator()])
  expect(JSON.parse(unprovable.out)).toMatchObject({ state: 'unprovable', dead_ms: null })
  installation.github.faults = ({ when }) => (when === 'before' ? { status: 404 } : 'ok')
  const failed = await shell.fails(1, ['drill', 'github', ...operator()])
  expect(failed.out).toContain('github: failed')
  expect(failed.err).toContain('the drill of github failed')
  installation.github.faults = () => 'ok'
  const unknown = await shell.fails(1, ['drill', 'nobody', ...operator()])
  expect(unknown.err).toContain('no drill is configured')
})
