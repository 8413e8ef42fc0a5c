/** `mayfly exec --scan`: nothing that was minted is committed, and what was pushed is ended at once. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Secret } from '../../issuers/shared/secret.ts'
import { beginScan, type ExecScan } from '../../src/cli/exec-scan.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let folder: string
let repository: string
let task: OpenedTask
let secret: string
let lease: string
let said: string

beforeAll(async () => {
  installation = await createInstallation({ settings: { leaks: { quarantine: 'never' } } })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  folder = await mkdtemp(join(tmpdir(), 'mayfly-exec-scan-'))
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
  if (folder !== undefined) await rm(folder, { recursive: true })
})
beforeEach(async () => {
  said = ''
  repository = await mkdtemp(join(folder, 'repository-'))
  const remote = await mkdtemp(join(folder, 'remote-'))
  execFileSync('git', ['init', '--quiet', '--bare', remote])
  git('init', '--quiet', '--initial-branch=main')
  git('remote', 'add', 'origin', remote)
  await put('hello\n')
  commit()
  git('push', '--quiet', 'origin', 'main')
  task = await api.open([asks.api])
  const { body } = await api.credential(task)
  secret = body.credential
  lease = body.lease
})

const git = (...args: string[]) =>
  execFileSync('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args], {
    stdio: 'pipe',
  })
const put = (text: string) => writeFile(join(repository, 'README.md'), text)
const commit = () => {
  git('add', '.')
  git('commit', '--quiet', '--message', 'x')
}
const begin = (at = repository): Promise<ExecScan> => {
  const terminal = {
    ...{ env: { PATH: process.env.PATH }, fetch: globalThis.fetch, schedule: () => () => {} },
    err: (text: string) => {
      said += text
    },
  }
  // What it does not use is not there.
  return beginScan(terminal as Partial<Terminal> as Terminal, at)
}
const finish = (scan: ExecScan) =>
  scan.finish({ broker: broker.url, id: task.id, token: new Secret(task.token) })
const state = async () => (await api.show(task)).body

test('a command that adds none of it is as good as it says', async () => {
  const scan = await begin()
  await put('hello\nworld\n')
  commit()
  git('push', '--quiet', 'origin', 'main')
  expect([await finish(scan), said]).toEqual([true, ''])
})

test.each<[string, () => void]>([
  ['in the working tree', () => {}],
  ['in the index', () => void git('add', '.')],
])('%s: it fails, and says where', async (_, then) => {
  const scan = await begin()
  await put(`hello\n${secret}\n`)
  then()
  expect(await finish(scan)).toBe(false)
  expect(said).toContain(`README.md:2: credential: a credential of this task: ${lease}`)
  expect(said).not.toContain(secret)
  expect((await state()).state).toBe('active')
})

test.each<[string, () => Promise<void>]>([
  ['as it stands', async () => {}],
  [
    'taken away by a later one',
    async () => {
      await put('hello\n')
      commit()
    },
  ],
  [
    'on a branch that was left',
    async () => {
      git('branch', 'side')
      git('reset', '--quiet', '--hard', 'HEAD~1')
    },
  ],
])('in a commit, %s: it fails, and is told to leave the history', async (_, then) => {
  const scan = await begin()
  await put(`hello\n${btoa(secret)}\n`)
  commit()
  await then()
  expect(await finish(scan)).toBe(false)
  expect(said).toMatch(/README\.md:2: credential: .* \(base64\)[\s\S]*take it out of the history/)
  expect((await state()).state).toBe('active')
})

test('pushed: it is reported as leaked, by its lease, and its task ends', async () => {
  const scan = await begin()
  git('checkout', '--quiet', '-b', 'feature')
  await put(`hello\n${secret}\n`)
  commit()
  git('push', '--quiet', 'origin', 'feature')
  git('checkout', '--quiet', 'main')
  expect(await finish(scan)).toBe(false)
  expect(said).toContain('reported as leaked')
  expect(await state()).toMatchObject({
    end: 'revoked',
    end_detail: `credential ${lease} was reported as leaked (holder)`,
  })
})

test("what others pushed meanwhile, and what merely looks like a token of somebody, is not the command's", async () => {
  const scan = await begin()
  await put(`hello\nghp_${'a1'.repeat(18)}\n`)
  commit()
  await put('hello\n')
  commit()
  expect(await finish(scan)).toBe(true)
})

test('a repository without a commit, and a folder that is none', async () => {
  const empty = await mkdtemp(join(folder, 'empty-'))
  execFileSync('git', ['init', '--quiet', empty])
  repository = empty
  const scan = await begin(empty)
  expect(await finish(scan)).toBe(true)
  await put(secret)
  git('add', '.')
  expect(await finish(scan)).toBe(false)
  await expect(begin(folder)).rejects.toMatchObject({ exitCode: 2 })
})

test('what cannot be looked at counts as failed', async () => {
  const scan = await begin()
  await rm(join(repository, '.git'), { recursive: true })
  expect(await finish(scan)).toBe(false)
  expect(said).toContain('could not be looked at')
})
