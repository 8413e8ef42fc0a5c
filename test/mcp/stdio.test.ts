/** `mayfly mcp` as a client's own process, set up as docs/mcp.md says, and what the agent's commands make of it. */
import { readFileSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { approve } from '../../src/broker/approvals/answer-approval.ts'
import type { Operator } from '../../src/broker/people/operator.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { noPolicy } from '../../src/policy/facts.ts'
import type { RunningServer } from '../../src/server.ts'
import { createGit, type Git } from '../cli/git-helper.ts'
import { runInProcess } from '../cli/in-process.ts'
import { startFaultyWire } from '../client/faulty-wire.ts'
import type { FaultDecision } from '../fakes/faults.ts'
import { type GitServer, startGitServer } from '../fakes/git-server/git-server.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { people } from '../support/humans.ts'
import { until } from '../support/until.ts'
import type { Data } from './mcp-room.ts'

const DOCS = readFileSync(join(import.meta.dirname, '../../docs/mcp.md'), 'utf8')
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const COMPILED = join(import.meta.dirname, '../../node_modules/.cache/mayfly')
const CODER = 'spiffe://acme.test/agent/coder'

let installation: Installation
let broker: RunningServer
let server: GitServer
let git: Git
let evidence: string
let socket: string

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  broker.broker.people = people()
  const repositories = [{ id: 1, name: 'acme/api' }]
  server = await startGitServer({ github: installation.github, repositories })
  git = await createGit()
  evidence = join(git.home, 'evidence.jwt')
  socket = join(git.home, '.local/state/mayfly/mcp.sock')
  await freshEvidence()
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), server?.close(), git?.close()])
})

const freshEvidence = () => writeFile(evidence, installation.svid(CODER))
const alive = () => installation.github.credentials().filter(one => one.alive)
const api = { kind: 'github', repositories: ['acme/api'], permissions: { contents: 'write' } }
const orders = { kind: 'jwt', audience: ORDERS, scopes: ['orders.read'] }
const blocks = (language: string) =>
  [...DOCS.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(match => match[1]!)

type Started = { command: string; args: string[]; env: Record<string, string> }

/** Of each client's settings in the guide. */
function documented(): Started[] {
  const all = blocks('json').map(text => JSON.parse(text) as Record<string, Record<string, Started>>)
  return all.flatMap(({ mcpServers, servers }) => (mcpServers ?? servers)?.mayfly ?? [])
}

/** With this test's places in place of the guide's. */
function startable({ command, args, env }: Started): Started {
  const place = (text: string) =>
    text
      .replace('/run/user/1000/mayfly/evidence.jwt', evidence)
      .replace('https://mayfly.example.com', broker.url)
  const surroundings = {
    PATH: `${git.home}/carried:${process.env.PATH}`,
    HOME: git.home,
    NODE_COMPILE_CACHE: COMPILED,
  }
  const given = Object.entries(env).map(([name, value]) => [name, place(value)] as const)
  return {
    command: command === 'mayfly' ? process.execPath : command,
    args: [MAIN, ...args.map(place)],
    env: { ...surroundings, ...Object.fromEntries(given) },
  }
}

/** Commands of the guide, for this test's server instead of github.com. */
const setUp = () => blocks('sh')[1]!.replaceAll('https://github.com', server.url)

test('every client’s settings in the guide are the same command', () => {
  const [first, ...more] = documented().map(({ command, args, env }) => ({ command, args, env }))
  expect(more).toEqual([first])
  const [toml] = blocks('toml')
  expect(toml).toContain(`args = ${JSON.stringify(first!.args).replaceAll(',', ', ')}`)
})

test('a task from its opening to its end, by a client, git and a human, and the end of the client', async () => {
  const transport = new StdioClientTransport({
    ...startable(documented()[0]!),
    stderr: 'pipe',
    cwd: git.home,
  })
  let said = ''
  transport.stderr!.on('data', (text: Buffer) => {
    said += text.toString()
  })
  const client = new Client({ name: 'a-test', version: '1' })
  const traffic: string[] = []
  const call = async (
    name: string,
    args: Record<string, unknown>,
  ): Promise<{ text: string; data: Data; isError: boolean }> => {
    const result = (await client.callTool({ name, arguments: args })) as CallToolResult
    traffic.push(JSON.stringify(result))
    const [content] = result.content
    const text = content?.type === 'text' ? content.text : ''
    return { text, data: result.structuredContent, isError: result.isError === true }
  }
  await client.connect(transport)
  expect(client.getServerVersion()).toMatchObject({ name: 'mayfly' })
  expect((await client.listTools()).tools).toHaveLength(7)

  // Nothing is set up, and it says so.
  expect((await call('status', {})).data.setup).toMatchObject({
    ...{ socket, run: 'mayfly mcp exec', notes: [] },
    git: { ready: false, says: expect.stringContaining('is not its helper') },
    aws: { ready: false },
  })
  await git.shell('git config --global init.defaultBranch main && git init -q work')
  const cwd = git.home
  await git.shell(setUp().replaceAll('git config ', 'git config --global '), { cwd })

  const opened = await call('open_task', { purpose: 'fix #12', asks: [api, orders] })
  expect(opened.data, opened.text).toMatchObject({ state: 'active', agent: 'coder' })
  expect(opened.data.asks[0].how_to_use).toMatch(/^git works as it is on/)
  const { task } = opened.data
  const push = `cd api && echo more >> README.md && git commit -qam more && git push -q`
  const pushed = await git.shell(`git clone -q ${server.url}/acme/api && ${push}`)
  expect(pushed, pushed.err).toEqual({ code: 0, out: '', err: '' })
  expect(git.asked[0]).toMatchObject({ env: { MAYFLY_SOCKET: socket } })

  await expectExec(task)
  await freshEvidence()
  const denied = await call('open_task', {
    purpose: 'fix #12',
    asks: [{ ...api, repositories: ['acme/web'] }],
  })
  expect([denied.isError, denied.text]).toEqual([true, expect.stringContaining('code: ask_denied')])

  broker.broker.policy = askingPolicy()
  const more = { ...api, permissions: { contents: 'write', issues: 'write' } }
  const { data: pending } = await call('ask', { task, ask: more })
  expect(pending.state).toBe('pending')
  const waiting = call('wait_for_approval', { task })
  const ada = {
    id: 'https://people.test#ada',
    name: 'ada',
    groups: ['approvers'],
    kind: 'human',
    fresh: true,
  }
  await approve(broker.broker, ada as Operator, pending.approval.id, null)
  expect((await waiting).data).toMatchObject({ answered: true })
  broker.broker.policy = noPolicy

  expect(alive().length).toBeGreaterThan(0)
  const ended = await call('end_task', { task, outcome: 'completed' })
  expect(ended.data).toMatchObject({ end: 'completed' })
  expect(alive()).toEqual([])
  expect((await git.shell('cd api && git fetch -q')).err).toContain('has ended')

  // The client goes, in the middle of another task.
  await freshEvidence()
  const last = await call('open_task', { purpose: 'fix #13', asks: [api] })
  await git.shell('cd api && git fetch -q')
  expect(alive()).toHaveLength(1)
  await client.close()
  expect(await broker.broker.ledger.read.task(last.data.task)).toMatchObject({
    ...{ end: 'cancelled', end_detail: 'mayfly mcp ended' },
  })
  await until(() => alive().length === 0)
  await until(() => said.includes('1 task ended'))
  expect(await readdir(join(socket, '..'))).toEqual([])
  for (const text of [...traffic, said]) expect(text).not.toMatch(/ghs_|mft_|eyJ/)
})

/** What a command is started with by `mayfly mcp exec`, without starting it. */
async function expectExec(task: string): Promise<void> {
  let env: Readonly<Record<string, string>> = {}
  const run: Terminal['run'] = (_command, _args, given) => {
    env = given
    return { signal() {}, ended: Promise.resolve({ how: 'exited', code: 7 }) }
  }
  const args = ['mcp', 'exec', '--', 'gh', 'pr', 'list']
  const surroundings = { HOME: git.home, GH_TOKEN: 'the user’s own', MAYFLY_EVIDENCE_FILE: evidence }
  expect(await inProcess(args, { env: surroundings, terminal: { run } })).toMatchObject({ code: 7 })
  expect(env).toMatchObject({
    ...{ GH_TOKEN: expect.stringMatching(/^ghs_/), MAYFLY_TOKEN_JWT: expect.stringMatching(/^eyJ/) },
    ...{ MAYFLY_SOCKET: socket, GIT_CONFIG_COUNT: '3', HOME: git.home },
  })
  expect(env.MAYFLY_EVIDENCE_FILE).toBeUndefined()
  expect(
    (await inProcess(['mcp', 'exec', '--handle', task, '--', 'gh'], { env: surroundings })).err,
  ).toContain('no task that is open here has the ask')
}

type Said = { code: number; err: string }
async function inProcess(
  args: string[],
  { env, terminal }: { env: Record<string, string>; terminal?: Partial<Terminal> },
): Promise<Said> {
  const said: Said = { code: 0, err: '' }
  const err = (text: string) => {
    said.err += text
  }
  const rest = { home: git.home, input: '', out: err, err, ...(terminal && { terminal }) }
  said.code = await runInProcess(args, { env, ...rest })
  return said
}

describe('without a process', () => {
  test('a second window has a socket of its own, and a signal ends it', async () => {
    const streams = { input: new PassThrough(), output: new PassThrough() }
    const signals = new Map<string, () => void>()
    const onSignal: Terminal['onSignal'] = (name, run) => {
      signals.set(name, run)
      return () => signals.delete(name)
    }
    const terminal = { streams: () => streams, onSignal }
    const first = inProcess(['mcp', '--socket', socket], { env: {}, terminal })
    const told = async (line: object): Promise<string> => {
      streams.input.write(`${JSON.stringify({ jsonrpc: '2.0', ...line })}\n`)
      const [chunk] = (await new Promise(resolve =>
        streams.output.once('data', (...all) => resolve(all)),
      )) as Buffer[]
      return chunk!.toString()
    }
    expect(await told({ id: 1, method: 'ping' })).toContain('"id":1')

    const other = { input: new PassThrough(), output: new PassThrough() }
    const second = inProcess(['mcp', '--socket', socket], {
      ...{ env: {}, terminal: { streams: () => other, onSignal: () => () => {} } },
    })
    other.input.end()
    const { code, err } = await second
    expect([code, err]).toEqual([0, expect.stringContaining(`another server answers at ${socket}`)])

    // What is no message is no reason to end.
    streams.input.write('this is not JSON\n')
    expect(await told({ id: 2, method: 'ping' })).toContain('"id":2')
    signals.get('SIGTERM')!()
    expect(await first).toMatchObject({ code: 0, err: expect.stringContaining('0 tasks ended') })
    expect(signals.size).toBe(0)
  })

  test('a task that is being opened when the client goes is ended as soon as it is open', async () => {
    const wire = await startFaultyWire(broker.url)
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const { promise: gone, resolve: go } = Promise.withResolvers<void>()
    wire.fault = async ({ operation, when }): Promise<FaultDecision> => {
      if (operation !== 'POST /v1/tasks' || when === 'before') return 'ok'
      ask()
      await gone
      return 'ok'
    }
    await freshEvidence()
    const streams = { input: new PassThrough(), output: new PassThrough() }
    const running = inProcess(['mcp', '--socket', socket, '--evidence-file', evidence], {
      env: { MAYFLY_URL: wire.url },
      terminal: { streams: () => streams, onSignal: () => () => {} },
    })
    const opening = { name: 'open_task', arguments: { purpose: 'too late', asks: [api] } }
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: opening }
    streams.input.write(`${JSON.stringify(call)}\n`)
    await asked
    const isGone = new Promise(resolve => streams.input.once('close', resolve))
    streams.input.end()
    await until(async () => !(await readdir(join(socket, '..'))).includes('mcp.sock'))
    go()
    expect(await running).toMatchObject({ code: 0, err: expect.stringContaining('1 task ended') })
    const { items } = await broker.broker.ledger.read.tasks({}, { limit: 1 })
    expect(items[0]).toMatchObject({ purpose: 'too late', end: 'cancelled' })
    await isGone
    await wire.close()
  })

  test.each([
    [['mcp', '--evidence-file', '-'], 'standard input is the MCP client'],
    [['mcp', '--broker', 'http://mayfly.example.com'], 'plain http'],
    [['mcp'], 'HOME is not set'],
    [['mcp', 'exec', '--socket', '/nowhere/mcp.sock', '--', 'true'], 'no local credential server answers'],
  ])('%j is refused', async (args, why) => {
    const streams = { input: new PassThrough(), output: new PassThrough() }
    const said = await inProcess(args, { env: {}, terminal: { streams: () => streams } })
    expect([said.code > 0, said.err]).toEqual([true, expect.stringContaining(why)])
  })
})
