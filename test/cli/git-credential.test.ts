/** The system's git, unchanged, against a server that enforces every token by GitHub's own truth. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createMayfly, type Task } from '../../src/client/index.ts'
import type { RunningServer } from '../../src/server.ts'
import { type RunningSidecar, startSidecar } from '../../src/sidecar/sidecar.ts'
import { type GitServer, startGitServer } from '../fakes/git-server/git-server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { until } from '../support/until.ts'
import { createGit, type Git, ask as helper } from './git-helper.ts'

const CODER = 'spiffe://acme.test/agent/coder'
const DOCS = readFileSync(join(import.meta.dirname, '../../docs/git.md'), 'utf8')

let installation: Installation
let broker: RunningServer
let server: GitServer
let git: Git

beforeAll(async () => {
  installation = await createInstallation()
  const { coder } = installation.agents
  const limits = { ...(coder!.limits as object), task_minutes: 240 }
  await installation.configure({ agents: { coder: { ...coder, limits } } })
  broker = await startBroker(installation)
  server = await startGitServer({
    github: installation.github,
    repositories: [
      { id: 1, name: 'acme/api' },
      { id: 2, name: 'acme/web' },
    ],
  })
  git = await createGit()
  await git.shell(commandsOf('Setting it up', 0))
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), server?.close(), git?.close()])
})
afterEach(() => {
  server.before = () => {}
  server.requests.length = 0
  git.asked.length = 0
})

/** A block of commands of docs/git.md, for this test's server instead of github.com. */
function commandsOf(heading: string, index: number): string {
  const section = DOCS.split(/^#+ /m).find(one => one.startsWith(`${heading}\n`))!
  return [...section.matchAll(/```sh\n(.*?)```/gs)][index]![1]!.replaceAll('https://github.com', server.url)
}

type HeldTask = { id: string; file: string; env: { MAYFLY_TASK_TOKEN_FILE: string } }
let files = 0

/** As `mayfly task open` leaves it. */
async function openTask(...authorization_details: object[]): Promise<HeldTask> {
  const { task, task_token } = (await call('POST', '/v1/tasks', undefined, {
    evidence: { type: 'jwt', token: installation.svid(CODER) },
    purpose: 'fix it',
    minutes: 240,
    authorization_details,
  })) as { task: { id: string }; task_token: string }
  files += 1
  const file = join(git.home, `task-${files}.json`)
  await writeFile(file, JSON.stringify({ broker: broker.url, task: task.id, task_token }), { mode: 0o600 })
  return { id: task.id, file, env: { MAYFLY_TASK_TOKEN_FILE: file } }
}

async function call(method: string, path: string, token?: string, body?: unknown): Promise<unknown> {
  const answer = await fetch(broker.url + path, {
    method,
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const told = await answer.text()
  expect(answer.status, told).toBeLessThan(300)
  return JSON.parse(told)
}

async function complete({ id, file }: HeldTask): Promise<void> {
  const { task_token } = JSON.parse(readFileSync(file, 'utf8')) as { task_token: string }
  await call('POST', `/v1/tasks/${id}/complete`, task_token, { outcome: 'completed' })
  await until(async () => (await broker.broker.ledger.read.task(id))?.state === 'settled')
}

const alive = () => installation.github.credentials().filter(one => one.alive)
const leasesOf = async ({ id }: Pick<HeldTask, 'id'>) =>
  (await broker.broker.ledger.read.leases({ task: id }, { limit: 100 })).items
const commit = (text: string) => `echo '${text}' >> README.md && git commit -qam '${text}'`

describe('a task’s file', () => {
  test('clone, fetch and push, each with a token of its own, all dead with the task', async () => {
    const task = await openTask(asks.api)
    // The whole program, once; it says nothing of its own.
    const cloned = await git.shell(`git clone -q ${server.url}/acme/api work`, { ...task, real: true })
    expect(cloned).toEqual({ code: 0, out: '', err: '' })

    const cwd = join(git.home, 'work')
    const pushed = await git.shell(`${commit('one')} && git push -q && git fetch -q && git status -sb`, {
      ...task,
      cwd,
    })
    expect(pushed, pushed.err).toEqual({ code: 0, out: '## main...origin/main\n', err: '' })
    expect(git.asked.map(({ args }) => args.join(' '))).toEqual([
      ...['git-credential get', 'git-credential store', 'git-credential get', 'git-credential store'],
    ])
    expect(git.asked[0]!.input).toContain('path=acme/api\n')

    const let_in = server.requests.filter(({ status }) => status === 200)
    expect(new Set(let_in.map(({ user }) => user))).toEqual(new Set(['x-access-token']))
    expect(new Set(let_in.map(({ sha256 }) => sha256)).size).toBe(3)
    expect(alive()).toHaveLength(3)
    const kept = await git.shell('grep -rl ghs_ . || true', task)
    expect(kept.out).toBe('')

    await complete(task)
    expect(alive()).toEqual([])
    const after = await git.shell('git fetch -q', { ...task, cwd })
    expect(after.code).not.toBe(0)
    expect(after.err).toContain(`mayfly: task ${task.id} has ended (completed)`)
    expect(after.err).toContain('told us to quit')
    expect(after.err).not.toMatch(/terminal prompts disabled|Username/)
  })

  test('a token that may only read does not push, and stays good', async () => {
    const task = await openTask(asks.apiRead)
    await git.shell(`git clone -q ${server.url}/acme/api reader`, task)
    const cwd = join(git.home, 'reader')
    const pushed = await git.shell(`${commit('no')} && git push`, { ...task, cwd })
    expect(pushed.err).toContain('The requested URL returned error: 403')
    expect(pushed.code).not.toBe(0)
    expect(git.asked.map(({ args }) => args[1])).not.toContain('erase')
    expect((await git.shell('git fetch', { ...task, cwd })).code).toBe(0)
    expect(server.requests.at(-1)).toMatchObject({ status: 200 })
    await complete(task)
  })

  test('another repository is refused before anything is sent there', async () => {
    const task = await openTask(asks.apiRead)
    const { code, err } = await git.shell(`git clone ${server.url}/acme/web`, task)
    expect(code).not.toBe(0)
    expect(err).toMatch(/^mayfly: task tsk_\w+ may not have acme\/web \(decision dec_\w+\)\. .*$/m)
    expect(err).toContain('--ask github=acme/web:contents:read')
    expect(err).toContain('the agent coder')
    expect(server.requests.filter(({ sha256 }) => sha256 !== undefined)).toEqual([])
    expect(await leasesOf(task)).toEqual([])

    const gist = await git.shell(`git clone ${server.url}/gist/0123abcd`, task)
    expect(gist.err).toContain('"gist/0123abcd" is no repository that a task can ask for')
    await complete(task)
  })

  test('a wiki belongs to its repository', async () => {
    const task = await openTask(asks.apiRead)
    const cloned = await git.shell(`git clone -q ${server.url}/acme/api.wiki.git && ls api.wiki`, task)
    expect(cloned).toEqual({ code: 0, out: 'Home.md\n', err: '' })
    const foreign = await git.shell(`git clone -q ${server.url}/acme/web.wiki.git`, task)
    expect(foreign.err).toContain('may not have acme/web')
    await complete(task)
  })

  test('a token that dies on the way is given back, and the next one is fresh', async () => {
    const task = await openTask(asks.api)
    await git.shell(`git clone -q ${server.url}/acme/api midway`, task)
    const cwd = join(git.home, 'midway')
    server.before = async ({ method, service }, password) => {
      if (method !== 'POST' || service !== 'git-receive-pack') return
      server.before = () => {}
      const headers = { authorization: `Bearer ${password}`, 'user-agent': 'somebody' }
      await fetch(`${installation.github.url}/installation/token`, { method: 'DELETE', headers })
    }
    const first = await git.shell(`${commit('two')} && git push -q`, { ...task, cwd })
    expect(first.err).toContain('401')
    const { sha256 } = server.requests.findLast(({ status }) => status === 401)!
    expect(git.asked.at(-1)).toMatchObject({ args: ['git-credential', 'erase'], code: 0, out: '', err: '' })
    await until(
      async () => (await leasesOf(task)).find(one => one.secret_sha256 === sha256)?.state === 'closed',
    )
    expect((await leasesOf(task)).filter(one => one.state === 'active')).toHaveLength(1)

    const second = await git.shell('git push -q', { ...task, cwd })
    expect(second).toEqual({ code: 0, out: '', err: '' })
    expect(server.requests.at(-1)!.sha256).not.toBe(sha256)
    await complete(task)
  })

  test('what another helper’s password was is nobody’s business', async () => {
    const task = await openTask(asks.api)
    await git.shell(`git ls-remote -q ${server.url}/acme/api`, task)
    const body = (password: string) =>
      `printf 'protocol=http\\nhost=${new URL(server.url).host}\\npath=acme/api\\nusername=ada\\npassword=${password}\\n' | mayfly git-credential erase`
    const erased = await git.shell(body('hunter2'), task)
    expect(erased).toEqual({ code: 0, out: '', err: '' })
    expect((await leasesOf(task)).map(one => one.state)).toEqual(['active'])
    await complete(task)
  })

  test('past one hour the push still works, and every generation is dead at the end', async () => {
    const task = await openTask(asks.api)
    await git.shell(`git clone -q ${server.url}/acme/api long`, task)
    const cwd = join(git.home, 'long')
    expect((await git.shell(`${commit('before')} && git push -q`, { ...task, cwd })).code).toBe(0)
    installation.clock.advance(61 * 60_000)
    expect(alive()).toEqual([])
    expect((await git.shell(`${commit('after')} && git push -q`, { ...task, cwd })).err).toBe('')
    expect(alive()).toHaveLength(1)
    await broker.look()
    await complete(task)
    expect(alive()).toEqual([])
    expect((await leasesOf(task)).map(one => one.state)).toEqual(['closed', 'closed', 'closed'])
    const { out } = await git.shell(`git -C ${server.pathOf('acme/api')} log --format=%s main -2`, task)
    expect(out).toBe('after\nbefore\n')
  })

  test('a file that is gone, and a broker that is gone, stop git without a prompt', async () => {
    const gone = { env: { MAYFLY_TASK_TOKEN_FILE: join(git.home, 'gone.json') } }
    const { err } = await git.shell(`git clone -q ${server.url}/acme/api nowhere`, gone)
    expect(err).toMatch(
      /^mayfly: there is no .*gone\.json: the task whose token was in it was ended from here already/,
    )
    expect(err).toContain('told us to quit')

    const file = join(git.home, 'no-broker.json')
    const nobody = createServer().listen(0, '127.0.0.1')
    await once(nobody, 'listening')
    const url = `http://127.0.0.1:${(nobody.address() as AddressInfo).port}`
    nobody.close()
    await once(nobody, 'close')
    const held = { broker: url, task: `tsk_${'0'.repeat(26)}`, task_token: 'mft_x' }
    await writeFile(file, JSON.stringify(held), { mode: 0o600 })
    const away = await git.shell(`git clone -q ${server.url}/acme/api nowhere`, {
      env: { MAYFLY_TASK_TOKEN_FILE: file },
    })
    expect(away.err).toContain(`mayfly: no broker answers at ${url}`)
    expect(away.err).not.toContain('Username')
  })

  test('without a task git goes on as if the helper were not there', async () => {
    const { err } = await git.shell(`git clone -q ${server.url}/acme/api nowhere`)
    expect(err).not.toContain('mayfly')
    expect(err).toContain('terminal prompts disabled')
  })
})

describe('a local credential server', () => {
  let task: Task
  let sidecar: RunningSidecar
  let env: { MAYFLY_SOCKET: string }
  const world = {
    fetch,
    now: () => installation.clock.now(),
    schedule(ms: number, run: () => void) {
      const timer = setTimeout(run, ms)
      return () => clearTimeout(timer)
    },
    random: (bytes: number) => randomBytes(bytes),
  }
  const fails = (error: unknown) => expect.unreachable(String(error))

  beforeEach(async () => {
    const evidence = () => installation.svid(CODER)
    const mayfly = createMayfly({ ...world, url: broker.url, evidence })
    task = await mayfly.openTask({ purpose: 'fix it', minutes: 240, asks: [asks.api] })
    files += 1
    env = { MAYFLY_SOCKET: join(git.home, `${files}.sock`) }
    sidecar = await startSidecar(world, {
      ...{ socket: { path: env.MAYFLY_SOCKET, claim: false }, loopback: true, report: fails },
    })
    sidecar.keeper.add({ task, purpose: 'fix it' })
  })
  afterEach(async () => {
    await sidecar.close()
    if (task.state === 'active') await task.complete()
  })

  test('commands share a token; one that dies is replaced, and so is one whose hour is over', async () => {
    await git.shell(`git clone -q ${server.url}/acme/api held`, { env })
    const cwd = join(git.home, 'held')
    const push = (text: string) => git.shell(`${commit(text)} && git push -q`, { env, cwd })
    expect(await push('three')).toEqual({ code: 0, out: '', err: '' })
    expect(alive()).toHaveLength(1)

    const { sha256 } = alive()[0]!
    server.before = async ({ method }, password) => {
      if (method !== 'POST') return
      server.before = () => {}
      const headers = { authorization: `Bearer ${password}`, 'user-agent': 'somebody' }
      await fetch(`${installation.github.url}/installation/token`, { method: 'DELETE', headers })
    }
    expect((await push('four')).code).not.toBe(0)
    expect((await git.shell('git push -q', { env, cwd })).err).toBe('')
    expect(alive().map(one => one.sha256)).not.toContain(sha256)

    installation.clock.advance(61 * 60_000)
    expect(await push('five')).toEqual({ code: 0, out: '', err: '' })
    await task.complete()
    await broker.look()
    await until(async () => (await broker.broker.ledger.read.task(task.id))?.state === 'settled')
    expect(alive()).toEqual([])
    const leases = await leasesOf(task)
    expect(leases.map(one => one.state)).toEqual(['closed', 'closed', 'closed'])
    expect(new Set(leases.map(one => one.secret_sha256)).size).toBe(3)
  })

  test('what it refuses is said in one line, and git stops', async () => {
    const web = await git.shell(`git clone -q ${server.url}/acme/web`, { env })
    expect(web.err).toMatch(
      /^mayfly: task tsk_\w+ may not have acme\/web \(decision dec_\w+\)\. .*github=acme\/web:contents:read.*\n.*told us to quit/,
    )
    await task.complete()
    const ended = await git.shell(`git clone -q ${server.url}/acme/api nowhere`, { env })
    expect(ended.err).toMatch(new RegExp(`^mayfly: task ${task.id} has ended.*\n.*told us to quit`))
    await sidecar.close()
    const gone = await git.shell(`git clone -q ${server.url}/acme/api nowhere`, { env })
    expect(gone.err).toMatch(/^mayfly: no local credential server answers.*\n.*told us to quit/)
  })

  test('is asked on loopback where that is said, and is silent for other hosts', async () => {
    const { url, tokens } = sidecar.loopback!
    const local = { MAYFLY_LOCAL_URL: url, MAYFLY_LOCAL_TOKEN: tokens.local.reveal() }
    const { host } = new URL(server.url)
    const get = (host: string, env: Record<string, string>) =>
      helper('get', `protocol=http\nhost=${host}\npath=acme/api\n`, { env })
    expect((await get(host, local)).out).toMatch(/^username=x-access-token\npassword=ghs_/)
    expect(await get('localhost', local)).toEqual({ code: 0, out: '', err: '' })
    expect((await get(host, { ...local, MAYFLY_LOCAL_TOKEN: 'wrong' })).out).toBe('quit=1\n')
    const remote = await get(host, { ...local, MAYFLY_LOCAL_URL: 'http://evil.test' })
    expect(remote).toMatchObject({ code: 2, out: '', err: expect.stringContaining('MAYFLY_LOCAL_URL') })

    const erase = (password: string) =>
      helper('erase', `protocol=http\nhost=${host}\npassword=${password}\n`, { env: local })
    expect(await erase('hunter2')).toEqual({ code: 0, out: '', err: '' })
    expect(alive()).toHaveLength(1)
  })
})

describe('docs/git.md', () => {
  test('under mayfly exec: nothing to set up, and dead with the command', async () => {
    const svid = join(git.home, 'svid')
    await writeFile(svid, installation.svid(CODER))
    const env = { HOME: '/nonexistent', MAYFLY_URL: broker.url, MAYFLY_EVIDENCE_FILE: svid }
    const command = `mayfly exec --quiet --ask github=acme/api:contents:read -- git ls-remote -q ${server.url}/acme/api HEAD`
    const seen = await git.shell(command, { env, real: true })
    expect(seen).toEqual({ code: 0, out: expect.stringContaining('HEAD'), err: '' })
    expect(server.requests.at(-1)).toMatchObject({ status: 200, user: 'x-access-token' })
    expect(alive()).toEqual([])
  })

  test('in CI: settings from the environment alone', async () => {
    const task = await openTask(asks.apiRead)
    const home = join(git.home, 'ci')
    const command = `mkdir ${home}; ${commandsOf('In CI', 0)}\ngit ls-remote -q ${server.url}/acme/api HEAD`
    const seen = await git.shell(command, { env: { ...task.env, HOME: home } })
    expect(seen).toEqual({ code: 0, out: expect.stringContaining('HEAD'), err: '' })
    await complete(task)
  })

  test('in a container: the system’s settings, and nobody’s home', async () => {
    const task = await openTask(asks.apiRead)
    const system = {
      GIT_CONFIG_NOSYSTEM: '0',
      GIT_CONFIG_SYSTEM: join(git.home, 'system'),
      HOME: '/nonexistent',
    }
    const command = `${commandsOf('In a container', 0)}\ngit ls-remote -q ${server.url}/acme/api HEAD`
    const seen = await git.shell(command, { env: { ...task.env, ...system } })
    expect(seen).toEqual({ code: 0, out: expect.stringContaining('HEAD'), err: '' })
    await complete(task)
  })

  test('one repository alone, whatever helpers the user has', async () => {
    const task = await openTask(asks.apiRead)
    const home = join(git.home, 'user')
    const env = { ...task.env, HOME: home }
    const other = `!echo asked >> ${git.home}/other; cat >/dev/null; echo username=ada; echo password=hunter2; :`
    const cloned = await git.shell(
      `mkdir ${home}; git config --global credential.helper '${other}'
       git init -q user/work && cd user/work && git remote add origin ${server.url}/acme/api
       ${commandsOf('Setting it up', 1)}
       git fetch -q origin main && ! test -e ${git.home}/other`,
      { env },
    )
    expect(cloned).toEqual({ code: 0, out: '', err: '' })
    await complete(task)
  })
})
