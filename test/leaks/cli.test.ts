/** `mayfly leaked` and `mayfly scan`, against a broker. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { candidatesIn } from '../../src/cli/leaked.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { mayfly } from './terminal.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let folder: string
let operatorFile: string
let task: OpenedTask
let secret: string
let aws: Record<string, string>
let jwt: string
let env: Record<string, string>

beforeAll(async () => {
  installation = await createInstallation({ settings: { leaks: { quarantine: 'never' } } })
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  folder = await mkdtemp(join(tmpdir(), 'mayfly-leaks-'))
  operatorFile = join(folder, 'operator.token')
  await renew()
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
  if (folder !== undefined) await rm(folder, { recursive: true })
})

async function renew(): Promise<void> {
  await writeFile(operatorFile, await operatorTokenOf(broker), { mode: 0o600 })
  task = await api.open([asks.api, asks.artifacts(installation.roleArn), asks.orders])
  const [github, amazon, orders] = await Promise.all(task.asks.map(ask => api.credential(task, ask)))
  secret = github!.body.credential
  aws = amazon!.body.credential
  jwt = orders!.body.credential
  const taskFile = join(folder, `${task.id}.json`)
  const content = { broker: broker.url, task: task.id, task_token: task.token }
  await writeFile(taskFile, JSON.stringify(content), { mode: 0o600 })
  env = { MAYFLY_URL: broker.url, MAYFLY_TASK_TOKEN_FILE: taskFile, PATH: process.env.PATH ?? '' }
}

describe('leaked', () => {
  const asOperator = () => ({ MAYFLY_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: operatorFile })
  const state = async () => (await api.show(task)).body

  test('says whose it is, and ends nothing until it is told to', async () => {
    const seen = await mayfly(['leaked'], { env: asOperator(), input: `${secret}\n` })
    expect(seen).toMatchObject({ code: 1, err: expect.stringContaining('--yes') })
    expect(seen.out).toContain(`of agent release\n  task ${task.id} (active)\n  it may be alive`)
    expect(seen.out + seen.err).not.toContain(secret)
    expect((await state()).state).toBe('active')
    const done = await mayfly(['leaked', '--yes', '--reason', 'in a gist'], {
      env: asOperator(),
      input: secret,
    })
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('1 task ended') })
    expect((await state()).end).toBe('revoked')
    const again = await mayfly(['leaked', '-', '--yes', '--json'], { env: asOperator(), input: secret })
    expect(JSON.parse(again.out)).toMatchObject({ ended: true, found: [{ reported_before: true }] })
    await renew()
  })

  test.each<[string, () => string]>([
    ['a line of a log', () => `2026-11-22T07:00:00Z push with token=${secret} failed`],
    ['a variable', () => `export AWS_SECRET_ACCESS_KEY="${aws.SecretAccessKey}"`],
    ['JSON', () => JSON.stringify(aws, null, 2)],
    ['a header', () => `Bearer ${jwt}`],
    ['a JWT without its end', () => jwt.slice(0, jwt.lastIndexOf('.') + 9)],
    ['the task token', () => task.token],
  ])('of %s', async (_, input) => {
    const { out, code } = await mayfly(['leaked'], { env: asOperator(), input: input() })
    expect([code, out.match(/tsk_\w+ \(active\)/)?.[0]]).toEqual([1, `${task.id} (active)`])
  })

  test('an argument is seen by others, and said so; what nobody knows is told as that', async () => {
    const ran = await mayfly(['leaked', 'an-unknown-secret-of-somebody'], { env: asOperator() })
    expect(ran).toMatchObject({ code: 1, out: '' })
    expect(ran.err).toMatch(/seen by every process[\s\S]*no secret that this broker knows/)
    expect((await mayfly(['leaked'], { env: asOperator(), input: 'short' })).code).toBe(2)
  })

  test('without an operator the secret itself is the proof, where that is wanted', async () => {
    const plain = { MAYFLY_URL: broker.url }
    const asked = await mayfly(['leaked'], { env: plain, input: secret })
    expect(asked).toMatchObject({ code: 2, err: expect.stringContaining(`is sent to ${broker.url}`) })
    const done = await mayfly(['leaked', '--yes'], { env: plain, input: secret })
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('Reported to') })
    expect((await state()).end).toBe('revoked')
    await renew()
  })

  test('candidates are the text and what in it has the form of a secret', () => {
    expect(candidatesIn('  a-single-secret-text ')).toEqual(['a-single-secret-text'])
    expect(candidatesIn('KEY=value-of-the-key-1')).toEqual(['KEY=value-of-the-key-1', 'value-of-the-key-1'])
    expect(candidatesIn('too short')).toEqual([])
  })
})

describe('scan', () => {
  let repository: string
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@t', ...args]).toString()
  const put = async (path: string, text: string | Buffer) => {
    await mkdir(join(repository, path, '..'), { recursive: true })
    await writeFile(join(repository, path), text)
  }
  const scan = (...args: string[]) => mayfly(['scan', ...args], { env })
  const inDiff = (...args: string[]) => scan('--repository', repository, ...args)

  beforeEach(async () => {
    repository = await mkdtemp(join(folder, 'repository-'))
    git('init', '--quiet', '--initial-branch=main')
    await put('README.md', 'hello\nworld\n')
    await put('.github/workflows/ci.yml', WORKFLOW)
    git('add', '.')
    git('commit', '--quiet', '-m', 'first')
  })

  test('a clean tree is clean, by any way of looking', async () => {
    for (const args of [['--diff'], ['--staged'], []])
      expect(await inDiff(...args)).toMatchObject({ code: 0, out: '' })
    expect(await scan(join(repository, 'README.md'))).toMatchObject({ code: 0, out: '' })
  })

  test('what was given is found where it was put, by file, line and lease, and is never printed', async () => {
    await put('src/a b.ts', `one\nconst x = '${secret}'\n`)
    await put('.env', `AWS_SECRET_ACCESS_KEY=${aws.SecretAccessKey}\nAUTH=${btoa(`x:${secret}`)}\n`)
    await put('README.md', `hello\nworld\n${jwt}\n${task.token}\n`)
    git('add', '.')
    for (const args of [['--staged'], ['--diff'], ['--diff', 'HEAD']]) {
      const ran = await inDiff(...args)
      expect(ran.code).toBe(1)
      expect(ran.out.split('\n').map(line => line.replace(/lse_\w+|tsk_\w+/, 'ID'))).toEqual([
        '.env:1: credential: a credential of this task: ID, SecretAccessKey',
        '.env:2: credential: a credential of this task: ID (base64)',
        'README.md:3: credential: a credential of this task: ID',
        'README.md:4: credential: the token of task ID',
        'src/a b.ts:2: credential: a credential of this task: ID',
        '',
      ])
      for (const one of [secret, jwt, task.token, ...Object.values(aws)])
        expect(ran.out + ran.err).not.toContain(one)
    }
    git('commit', '--quiet', '-m', 'second')
    expect(await inDiff()).toMatchObject({ code: 0, out: '' })
    expect((await inDiff('--diff', 'HEAD~1')).code).toBe(1)
  })

  test('a file that git does not know yet is looked at whole; one that it ignores, and where a link leads, is not', async () => {
    await put('.gitignore', 'ignored.txt\n')
    await put('ignored.txt', secret)
    await put('new/notes.txt', `one\n${secret}\n`)
    await put('.github/workflows/new.yml', 'permissions: write-all\n')
    await symlink(join(repository, 'ignored.txt'), join(repository, 'link'))
    const places = ['.github/workflows/new.yml:1: write-all', 'new/notes.txt:2: credential']
    for (const args of [[], ['--diff'], ['--diff', 'HEAD'], ['--repository', join(repository, 'new')]]) {
      const ran = await inDiff(...args)
      expect(ran.code).toBe(1)
      const found = ran.out.trim().split('\n')
      expect(found.map(line => line.split(': ').slice(0, 2).join(': '))).toEqual(places)
    }
    expect(await inDiff('--staged')).toMatchObject({ code: 0, out: '' })
  })

  test('as SARIF', async () => {
    await put('README.md', `hello\nworld ${secret}\n`)
    const ran = await inDiff('--json')
    const { runs } = JSON.parse(ran.out)
    expect(runs[0].results).toMatchObject([
      {
        ...{ ruleId: 'credential', level: 'error' },
        locations: [
          { physicalLocation: { artifactLocation: { uri: 'README.md' }, region: { startLine: 2 } } },
        ],
        properties: { certainty: 'certain', lease: expect.stringMatching(/^lse_/) },
      },
    ])
    expect(ran.out).not.toContain(secret)
  })

  test('a folder: into everything but .git and where links lead, binary or long', async () => {
    const outside = await mkdtemp(join(folder, 'outside-'))
    await writeFile(join(outside, 'secret.txt'), secret)
    await symlink(outside, join(repository, 'link'))
    await symlink(join(outside, 'secret.txt'), join(repository, 'file-link'))
    await put('.git/kept', secret)
    await put(
      'deep/er/image.bin',
      Buffer.concat([randomBytes(5_000), Buffer.from(secret), randomBytes(5_000)]),
    )
    const long = Buffer.alloc(3_000_000, 'x\n')
    // Over the place at which a long file is cut.
    Buffer.from(secret).copy(long, 1_048_576 - 10)
    await put('long.txt', long)
    const ran = await scan(repository)
    expect(ran.code).toBe(1)
    const places = ran.out.trim().split('\n')
    expect(places.map(line => line.slice(repository.length + 1).split(':')[0])).toEqual([
      '.github/workflows/ci.yml',
      'deep/er/image.bin',
      'long.txt',
    ])
    expect(places[2]).toContain(`:${(1_048_576 - 10) / 2 + 1}:`)
    // What is named is looked at, wherever it lies.
    expect((await scan(join(repository, 'file-link'))).code).toBe(1)
  })

  test('standard input: a diff by what it adds, and any other text whole', async () => {
    await put('README.md', `hello\n${secret}\n`)
    const input = git('diff')
    const ran = await mayfly(['scan', '-'], { env, input })
    expect(ran.out).toMatch(/^README\.md:2: credential/)
    const back = input
      .replaceAll(/^\+(?!\+)/gm, '!')
      .replaceAll(/^-(?!-)/gm, '+')
      .replaceAll(/^!/gm, '-')
    expect((await mayfly(['scan', '-'], { env, input: back })).code).toBe(0)
    expect(await mayfly(['scan', '-'], { env, input: `a\n${secret}` })).toMatchObject({
      ...{ code: 1, out: expect.stringMatching(/^-:2: credential/) },
    })
  })

  test("another task's credential is not this one's to know: it is found by its form", async () => {
    const other = await api.open([asks.api])
    const { credential } = (await api.credential(other)).body
    await put('README.md', `hello\n${credential}\n`)
    expect((await inDiff()).out).toBe('README.md:2: github-token: has the form of a GitHub token\n')
    const alone = await mayfly(['scan', '--repository', repository], { env: { PATH: env.PATH ?? '' } })
    expect(alone).toMatchObject({ code: 1, err: expect.stringContaining('no task is named') })
  })

  test('what cannot be looked at is no clean bill', async () => {
    expect((await scan(join(folder, 'nowhere'))).code).toBe(2)
    for (const args of [[], ['--diff'], ['--staged']])
      expect(await scan('--repository', folder, ...args)).toMatchObject({
        ...{ code: 2, err: expect.stringContaining('not a git repository') },
      })
    expect((await inDiff('--diff', 'no-such-commit')).code).toBe(2)
    expect((await inDiff('--diff', '--staged')).code).toBe(2)
    const gone = { ...env, MAYFLY_TASK_TOKEN_FILE: join(folder, 'none.json') }
    expect((await mayfly(['scan', '--repository', repository], { env: gone })).code).toBe(2)
  })

  test('broad access that is added, and none that was there', async () => {
    const changed = WORKFLOW.replace('permissions: read-all', 'permissions: write-all')
      .replace('  push:\n', '  push:\n  pull_request_target:\n')
      .replace('      contents: read', '      contents: read\n      id-token: write')
      .replace('- run: make', '- uses: somebody/action@v1\n      - run: "echo permissions: write-all"')
      .concat('    secrets: inherit\n')
    await put('.github/workflows/ci.yml', changed)
    const found = ['pull_request_target', 'write-all', 'id-token', 'unpinned-uses', 'secrets-inherit']
    const kinds = (out: string) =>
      out
        .trim()
        .split('\n')
        .map(line => line.split(': ')[1])
    expect(kinds((await inDiff()).out)).toEqual(found)
    expect(kinds((await mayfly(['scan', '-'], { env, input: git('diff', '-U0') })).out)).toEqual(found)
    // Moved, re-indented, or another version of what was there already: nothing was added.
    git('add', '.')
    git('commit', '--quiet', '-m', 'second')
    await put(
      '.github/workflows/ci.yml',
      changed.replace('third/party@v1', 'third/party@v2').replace(/^on:/m, '\n\non:'),
    )
    expect(await inDiff()).toMatchObject({ code: 0, out: '' })
    // A diff has no whole file to parse: what stands in braces is found all the same.
    const inBraces = WORKFLOW.replace('- run: make', '- {uses: evil/act@main, with: {a: b}}')
    await put('.github/workflows/ci.yml', inBraces)
    expect((await mayfly(['scan', '-'], { env, input: git('diff') })).out).toContain('evil/act')
    await put('.github/workflows/ci.yml', changed)
    // A whole file is looked at as it stands.
    expect(kinds((await scan(join(repository, '.github'))).out)).toContain('write-all')
  })
})

const WORKFLOW = `name: ci
on:
  push:
permissions: read-all
jobs:
  build:
    runs-on: ubuntu-latest
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@v6
      - uses: third/party@v1
      - uses: pinned/action@${'0a'.repeat(20)} # v3
      - run: make
  call:
    uses: ./.github/workflows/other.yml
`
