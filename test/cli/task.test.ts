import { chmod, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Terminal } from '../../src/cli/terminal.ts'
import { token } from '../../src/cli/token.ts'
import type { RunningServer } from '../../src/server.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'
import { createShell, readJson, type Shell } from './mayfly.ts'

const GITHUB = 'github=acme/api:contents:write'
const CODER = 'spiffe://acme.test/agent/coder'

let installation: Installation
let broker: RunningServer
let shell: Shell
/** A workload with a JWT-SVID in a file, as an agent of SPIFFE's workload API leaves it there. */
let svid: string

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  shell = await createShell({ MAYFLY_URL: broker.url })
  svid = join(shell.home, 'svid.jwt')
})
// One that was used is good for reading only.
beforeEach(() => writeFile(svid, `${installation.svid(CODER)}\n`))
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const alive = () => installation.github.credentials().filter(one => one.alive)
const states = () => join(shell.home, '.local/state/mayfly')

test('a task is opened, shown, given a credential and completed; its token is never printed', async () => {
  const opened = await shell.ok([
    'task',
    'open',
    '--purpose',
    'fix it',
    '--ask',
    GITHUB,
    '--evidence-file',
    svid,
  ])
  const id = /^tsk_\w+/.exec(opened.out)![0]
  const file = join(states(), `${id}.json`)
  expect(opened.out).toContain(file)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await stat(states())).mode & 0o777).toBe(0o700)
  const { task_token } = await readJson(file)
  expect(task_token).toMatch(/^mft_/)

  const { out: credential, err } = await shell.ok(['token', '--ask', GITHUB, '--task-token-file', file])
  expect(err).toBe('')
  expect(credential).toMatch(/^ghs_\S+\n$/)
  const headers = { authorization: `Bearer ${credential.trim()}`, 'user-agent': 'test' }
  const read = () => fetch(`${installation.github.url}/repos/acme/api/contents/README.md`, { headers })
  expect((await read()).status).toBe(200)

  const shown = await shell.ok(['task', 'show', id])
  expect(shown.out).toContain('github=acme/api:contents:write,metadata:read until 20')
  expect(shown.out).toContain('purpose   fix it')
  const json = await shell.ok(['task', 'show', id, '--json'])
  expect(JSON.parse(json.out)).toMatchObject({
    id,
    state: 'active',
    agent: 'coder',
    credentials: [{ state: 'active' }],
  })

  const completed = await shell.ok(['task', 'complete', id, '--outcome', 'failed', '--detail', 'no luck'])
  expect(completed.out).toBe(`task ${id} failed, 1 credential gone\n`)
  expect((await read()).status).toBe(401)
  await expect(stat(file)).rejects.toThrow('ENOENT')
  for (const { out, err } of [opened, shown, json, completed])
    for (const secret of [task_token!, credential.trim(), 'eyJ'])
      expect(`${out}${err}`.includes(secret)).toBe(false)
  // It was told as a file that could not be read (ENOENT).
  for (const verb of ['complete', 'show', 'wait']) {
    const { err } = await shell.fails(1, ['task', verb, id])
    expect(err).toContain(`task ${id} was ended from here already, or is not known here`)
    expect(err).toContain('--task-token-file')
    expect(err).not.toContain('ENOENT')
  }
  expect((await shell.fails(1, ['task', 'show', '--task-token-file', file])).err).toContain(
    'the task whose token was in it was ended from here already',
  )
})

test('a file of one’s own, evidence on stdin, and JSON', async () => {
  const file = join(shell.home, 'own/task.json')
  const { out } = await shell.ok(
    ['task', 'open', '--purpose', 'x', '--minutes', '5', '--json', '--evidence-file', '-'],
    { input: installation.svid(CODER), env: { MAYFLY_TASK_TOKEN_FILE: file } },
  )
  const { task, task_token_file } = JSON.parse(out) as { task: { id: string }; task_token_file: string }
  expect(task_token_file).toBe(file)
  expect(out).not.toContain('mft_')

  // The next task does not overwrite it, and does not stay open unseen.
  const again = ['task', 'open', '--purpose', 'x', '--evidence-file', svid, '--task-token-file', file]
  expect((await shell.fails(1, again)).err).toContain('exists already')
  const last = (await broker.broker.ledger.read.tasks({ agent: 'coder' }, { limit: 100 })).items
  expect(last.filter(one => one.state === 'active').map(one => one.id)).toEqual([task.id])

  expect((await shell.fails(2, ['task', 'show', 'tsk_x', '--task-token-file', file])).err).toContain(
    'belongs to task',
  )
  await chmod(file, 0o644)
  expect((await shell.fails(1, ['task', 'complete', '--task-token-file', file])).err).toContain('chmod 600')
  await chmod(file, 0o600)
  await shell.ok(['task', 'complete'], { env: { MAYFLY_TASK_TOKEN_FILE: file } })
})

test('a credential without a task opens one that lives on, and says how to end it', async () => {
  const ask = `aws=${installation.roleArn}#s3:GetObject@arn:aws:s3:::artifacts/*`
  const { out, err } = await shell.ok(['token', '--ask', ask], { env: { MAYFLY_EVIDENCE_FILE: svid } })
  // What an AWS SDK expects of a credential_process.
  expect(JSON.parse(out)).toMatchObject({
    Version: 1,
    AccessKeyId: expect.stringMatching(/^ASIA/),
    SecretAccessKey: expect.any(String),
    SessionToken: expect.any(String),
    Expiration: expect.stringMatching(/Z$/),
  })
  const [, id, until] = /task (tsk_\w+) lives until (\S+Z)/.exec(err)!
  expect(Date.parse(until!)).toBeGreaterThan(installation.clock.now())
  expect(err).not.toContain((JSON.parse(out) as { SessionToken: string }).SessionToken)
  const { out: completed } = await shell.ok(['task', 'complete', id!])
  expect(completed).toMatch(/1 still alive:\n {2}lse_\w+ aws=arn:.* it cannot be revoked and stops by itself/)
  expect(completed).toContain('Look again with: mayfly task show')
  // The token stays where there is something left to ask with it.
  expect(await readdir(states())).toContain(`${id}.json`)
})

test('--json prints the whole answer', async () => {
  const args = ['token', '--json', '--ask', `jwt=${ORDERS}#orders.read`, '--evidence-file', svid]
  const { out } = await shell.ok(args)
  expect(JSON.parse(out)).toMatchObject({
    issuer: 'jwt',
    credential: expect.stringMatching(/^eyJ/),
    revocability: 'introspected',
    authorization_details: { type: 'jwt', audience: ORDERS },
  })
})

test('a credential that is not minted leaves no task behind, and no file', async () => {
  installation.github.faults = ({ operation }) =>
    operation === 'apps/create-installation-access-token' ? { status: 422 } : 'ok'
  const before = await readdir(states())
  const { out, err } = await shell.run(['token', '--ask', GITHUB, '--evidence-file', svid])
  installation.github.faults = () => 'ok'
  expect(out).toBe('')
  expect(err).toContain('provider_')
  expect(await readdir(states())).toEqual(before)
  expect(alive()).toEqual([])
})

test('a task whose opening was answered into the void is opened again, and only the second one stays', async () => {
  let requests = 0
  // A network that takes the request to the broker and loses the first answer.
  const network = createServer(async (request, response) => {
    requests += 1
    const answer = await fetch(broker.url + request.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: await text(request),
    })
    const body = await answer.text()
    if (requests === 1) request.socket.destroy()
    else response.writeHead(answer.status).end(body)
  })
  await new Promise<void>(resolve => network.listen(0, '127.0.0.1', resolve))
  const { port } = network.address() as AddressInfo
  const job = await installation.jobToken()
  const args = ['task', 'open', '--json', '--purpose', 'x', '--ask', GITHUB, '--evidence-file', '-']
  const { out } = await shell.ok([...args, '--broker', `http://127.0.0.1:${port}`], { input: job })
  network.close()
  const { task } = JSON.parse(out) as { task: { id: string } }
  const { items } = await broker.broker.ledger.read.tasks({ agent: 'release' }, { limit: 100 })
  expect(requests).toBe(2)
  expect(items.filter(one => one.state === 'active').map(one => one.id)).toEqual([task.id])
  expect(items.filter(one => one.end === 'cancelled')).toHaveLength(1)
})

test('a terminal is shown no credential that nobody asked to see', async () => {
  const terminal = { outIsTerminal: true, env: {} } as Terminal
  await expect(token(terminal, { ask: [GITHUB] })).rejects.toThrow('would be shown on this terminal')
  await expect(token(terminal, { ask: [GITHUB], json: true })).rejects.toThrow('--print')
})

test('evidence that is no JWT is not sent, and not quoted', async () => {
  const file = join(shell.home, 'secret.txt')
  await writeFile(file, 'hunter2-not-a-jwt')
  const { err } = await shell.fails(2, ['token', '--ask', 'jwt=a#', '--evidence-file', file])
  expect(err).toContain('does not hold a JWT')
  expect(err).not.toContain('hunter2')
  expect(await readFile(file, 'utf8')).toBe('hunter2-not-a-jwt')
})

test('evidence that the broker refuses is told as denied', async () => {
  const file = join(shell.home, 'foreign.jwt')
  await writeFile(file, installation.svid('spiffe://acme.test/agent/nobody'))
  const { err } = await shell.fails(3, ['token', '--ask', `jwt=${ORDERS}#`, '--evidence-file', file])
  expect(err).toContain('agent_unmatched')
  expect(err).not.toContain('eyJ')
})

test('a lifetime is asked for by name, and the broker says where the evidence cannot end by it', async () => {
  const job = join(shell.home, 'job.jwt')
  await writeFile(job, await installation.jobToken())
  const open = (evidence: string, lifetime: string) =>
    shell.run(['task', 'open', '--purpose', 'x', '--evidence-file', evidence, '--lifetime', lifetime])
  const opened = await open(job, 'run')
  const id = /^tsk_\w+/.exec(opened.out)![0]
  expect(await broker.broker.ledger.read.taskWork(id)).toMatchObject({ lifetime: 'run' })
  expect((await open(svid, 'run')).err).toContain('names no run')
  expect((await open(svid, 'forever')).err).toContain('step, job, run')
})
