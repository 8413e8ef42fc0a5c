/** `mayfly agent`, and `mayfly aws-credentials` as AWS SDKs start it: with it, and with the file of a task. */
import { randomBytes } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fromProcess } from '@aws-sdk/credential-provider-process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { localAgent } from '../../src/cli/local-agent.ts'
import { localEnvironment } from '../../src/cli/local-environment.ts'
import { localEnd, localTasks } from '../../src/cli/local-tasks.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import type { RunningServer } from '../../src/server.ts'
import { connectSidecar } from '../../src/sidecar/call.ts'
import { type FaultyWire, startFaultyWire } from '../client/faulty-wire.ts'
import {
  AUDIENCE,
  asks,
  BUCKET,
  createInstallation,
  type Installation,
  startBroker,
} from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { until } from '../support/until.ts'
import { type ActionsRunner, startActionsRunner } from './actions-runner.ts'
import { createShell, type Shell } from './mayfly.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')

let installation: Installation
let broker: RunningServer
let wire: FaultyWire
let runner: ActionsRunner
let shell: Shell
let api: Api

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  wire = await startFaultyWire(broker.url)
  runner = await startActionsRunner(audience => installation.jobToken({ aud: audience }))
  shell = await createShell({ ...runner.env, MAYFLY_URL: wire.url, MAYFLY_AUDIENCE: AUDIENCE })
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([wire?.close(), runner?.close(), installation?.close(), shell?.close()])
})

const taskRow = async (id: string) => (await broker.broker.ledger.read.task(id))!

test('several tasks at once, through an outage of the broker, until it is told to end', async () => {
  const socket = join(shell.home, 'private', 'agent.sock')
  const aws = `aws=${installation.roleArn}#s3:GetObject@arn:aws:s3:::${BUCKET}/*`
  const running = shell.start(['agent', '--socket', socket, '--purpose', 'the first', '--ask', aws])
  const first = await running.reads(/task (tsk_\w+) until .*: the first/)
  const sidecar = connectSidecar({ socket })
  const second = await sidecar.open({ purpose: 'the second', asks: [asks.api] })
  const { secret } = await sidecar.credential({ handle: second.asks[0]!.handle })
  expect(secret).toMatch(/^ghs_/)

  const other = await shell.fails(1, ['agent', 'run', '--socket', socket])
  expect(other.err).toContain(`another mayfly agent answers at ${socket}`)

  wire.fault = ({ operation }) => (operation === 'POST /v1/tasks' ? { status: 503, body: '' } : 'ok')
  const refused = sidecar.open({ purpose: 'the third', asks: [asks.api] })
  await expect(refused).rejects.toMatchObject({ problem: { status: 503 } })
  wire.fault = ({ when }) => (when === 'before' ? 'drop' : 'ok')
  const asked = sidecar.ask(second.id, { authorization_details: asks.orders })
  await expect(asked).rejects.toMatchObject({ code: 'broker_unreachable' })
  expect(await sidecar.credential({ handle: second.asks[0]!.handle })).toMatchObject({ secret })
  wire.reset()
  await sidecar.read(second.id)
  await running.says(/does not answer[\s\S]*answers again/)

  let shown = ''
  const terminal = { env: {}, out: (text: string) => (shown += text) } as Partial<Terminal> as Terminal
  await localTasks(terminal, { socket })
  expect(shown).toContain('purpose   the second')
  shown = ''
  await localEnvironment({ ...terminal, self: ['mayfly'] }, second.id, { socket })
  expect(shown).toMatch(/^export MAYFLY_SOCKET='.*'\n(export GIT_CONFIG_\w+='.*'\n)+$/)
  shown = ''
  await localEnvironment(terminal, first, { socket })
  const [, uri = ''] = /^export AWS_CONTAINER_CREDENTIALS_FULL_URI='(.*)'$/m.exec(shown) ?? []
  const [, authorization = ''] = /^export AWS_CONTAINER_AUTHORIZATION_TOKEN='(.*)'$/m.exec(shown) ?? []
  expect((await fetch(uri, { headers: { authorization } })).status).toBe(200)
  expect((await fetch(uri)).status).toBe(401)
  await localEnd(terminal, second.id, { socket, outcome: 'completed' })
  expect(await taskRow(second.id)).toMatchObject({ end: 'completed' })

  // The SDK starts the command as any user of a profile would.
  const config = join(shell.home, 'aws-config')
  const command = `env MAYFLY_SOCKET='${socket}' ${process.execPath} ${MAIN} aws-credentials`
  await writeFile(config, `[profile mayfly]\ncredential_process = ${command} --ask '${aws}'\n`)
  const credentials = await fromProcess({
    profile: 'mayfly',
    configFilepath: config,
    filepath: '/dev/null',
  })()
  const session = installation.aws.credentials().at(-1)!
  expect(credentials).toMatchObject({
    ...{ accessKeyId: session.accessKeyId, sessionToken: session.sessionToken },
    accountId: installation.roleArn.split(':')[4],
  })
  expect(installation.aws.credentials()).toHaveLength(1)

  running.kill('SIGTERM')
  const { code, err, out } = await running.ended
  expect([code, out]).toEqual([0, `MAYFLY_SOCKET=${socket}\n`])
  expect(err).toContain('1 task ended')
  expect(await taskRow(first)).toMatchObject({ end: 'cancelled', end_detail: 'mayfly agent ended' })
  expect(await readdir(join(shell.home, 'private'))).toEqual([])
  expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
  for (const text of [err, shown]) expect(text).not.toMatch(/ghs_|mft_|eyJ/)
})

test('with a key of its own the same evidence is good for one task after the other', async () => {
  const evidence = installation.svid('spiffe://acme.test/agent/coder')
  const known = 'http://127.0.0.1:8480'
  const told: string[] = []
  const end = Promise.withResolvers<() => void>()
  const terminal: Partial<Terminal> = {
    env: {},
    out: () => {},
    err: text => told.push(text),
    now: installation.clock.now,
    random: size => randomBytes(size),
    schedule: () => () => {},
    fetch: (input, init) => fetch(broker.url + String(input).slice(known.length), init),
    readFile: async () => ({ text: evidence, mode: 0o600 }),
    onSignal: (signal, run) => {
      if (signal === 'SIGTERM') end.resolve(run)
      return () => {}
    },
  }
  const socket = join(shell.home, 'bound', 'agent.sock')
  const options = { broker: known, evidenceFile: 'svid', boundKey: true, socket }
  const running = localAgent(terminal as Terminal, options)
  const stop = await end.promise
  const sidecar = connectSidecar({ socket })
  await until(() => told.length > 0)
  for (const purpose of ['the first', 'the second']) {
    const { asks: opened } = await sidecar.open({ purpose, asks: [asks.api], agent: 'coder' })
    const { secret } = await sidecar.credential({ handle: opened[0]!.handle })
    expect(secret).toMatch(/^ghs_/)
  }
  stop()
  await running
  expect(told.at(-1)).toContain('2 tasks ended')
})

test('without it: those that start at once get one session, kept under the token of the task', async () => {
  const task = await api.open([asks.artifacts(installation.roleArn), asks.orders])
  const file = join(shell.home, 'task.json')
  const content = JSON.stringify({ broker: broker.url, task: task.id, task_token: task.token })
  await writeFile(file, content, { mode: 0o600 })
  const minted = installation.aws.credentials().length
  const run = () => shell.ok(['aws-credentials', '--task-token-file', file])
  const both = (await Promise.all([run(), run()])).map(
    ({ out }) => JSON.parse(out) as Record<string, unknown>,
  )
  expect(both[0]).toEqual(both[1])
  expect(Object.keys(both[0]!).toSorted()).toEqual([
    ...['AccessKeyId', 'AccountId', 'Expiration', 'SecretAccessKey', 'SessionToken', 'Version'],
  ])
  expect(installation.aws.credentials()).toHaveLength(minted + 1)
  const ofAnother = ['aws-credentials', '--task-token-file', file, '--handle', task.asks[1]!]
  // It was a stack, with the beginning of the token in what the JSON parser said.
  expect((await shell.fails(1, ofAnother)).err).toBe('mayfly: that ask is not one for an AWS session\n')
  await api.complete(task)
  const { err } = await shell.fails(1, ofAnother)
  expect(err).toContain('(task_not_active)')
})
