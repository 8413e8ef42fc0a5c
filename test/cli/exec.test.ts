import { execFileSync } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRevocation } from '../../src/broker/revocations/revocations.ts'
import type { RunningServer } from '../../src/server.ts'
import {
  AUDIENCE,
  BUCKET,
  createInstallation,
  type Installation,
  ORDERS,
  startBroker,
} from '../fakes/installation.ts'
import { until } from '../support/until.ts'
import { type ActionsRunner, REQUEST_TOKEN, startActionsRunner } from './actions-runner.ts'
import { createShell, readJson, type Shell, script } from './mayfly.ts'

const GITHUB = 'github=acme/api:contents:write'
const SDK = join(import.meta.dirname, '../../node_modules/@aws-sdk/client-s3')
const JWT = `jwt=${ORDERS}#orders.read`

let installation: Installation
let broker: RunningServer
let runner: ActionsRunner
let shell: Shell

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  runner = await startActionsRunner(audience => installation.jobToken({ aud: audience }))
  shell = await createShell({ ...runner.env, MAYFLY_URL: broker.url, MAYFLY_AUDIENCE: AUDIENCE })
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([runner?.close(), installation?.close(), shell?.close()])
})

/** The newest task, as the ledger has it. */
async function lastTask() {
  const all = await broker.broker.ledger.read.tasks({}, { limit: 100 })
  return all.items.filter(task => task.system === 0).toSorted((a, b) => (a.id < b.id ? 1 : -1))[0]!
}

const patiently = { timeout: 15_000 }
const alive = () => installation.github.credentials().filter(one => one.alive)

describe('a command with credentials', () => {
  test('uses them, and they are dead when it is over', async () => {
    const report = join(shell.home, 'github.json')
    const { out, err } = await shell.ok(
      [
        ...['exec', '--ask', GITHUB],
        ...script(`
          const { execSync } = require('node:child_process')
          const { writeFileSync } = require('node:fs')
          const headers = { authorization: 'Bearer ' + process.env.GH_TOKEN, 'user-agent': 'test' }
          const url = '${installation.github.url}/repos/acme/api/contents/README.md'
          fetch(url, { headers }).then(({ status }) => console.log('GitHub says', status))
          const processes = execSync('ps -eww -o args').toString()
          writeFileSync('${report}', JSON.stringify({ ...process.env, processes }))
        `),
      ],
      { env: { MAYFLY_OPERATOR_TOKEN_FILE: '/operator.token', MAYFLY_EVIDENCE_FILE: '', OTHER: 'kept' } },
    )
    expect(out).toBe('GitHub says 200\n')
    const { processes, ...env } = await readJson(report)
    expect(env.GITHUB_TOKEN).toBe(env.GH_TOKEN)
    expect(env.OTHER).toBe('kept')
    expect(env.GITHUB_WORKFLOW).toBe('release')
    const names = Object.keys(env)
    for (const gone of [/^ACTIONS_ID_TOKEN/, /^MAYFLY_(EVIDENCE|OPERATOR|TASK|TOKEN)/, /^AWS_/])
      expect(names.filter(name => gone.test(name))).toEqual([])
    for (const secret of [env.GH_TOKEN!, REQUEST_TOKEN, 'mft_', 'eyJ'])
      for (const [where, text] of Object.entries({ err, processes }))
        expect(text!.includes(secret), `${secret.slice(0, 4)}... in ${where}`).toBe(false)
    expect(JSON.stringify(env)).not.toMatch(/mft_|mfo_|the-request-token/)
    expect(err).toMatch(/task tsk_\w+ completed, 1 credential gone/)
    expect(alive()).toEqual([])
    const task = await lastTask()
    expect(task).toMatchObject({
      end: 'completed',
      purpose: 'release / publish, run 4711',
      heartbeat_ms: 60_000,
    })
    expect(runner.audiences.at(-1)).toBe(AUDIENCE)
  })

  test('three kinds at once; what cannot be revoked is told with its time', async () => {
    const report = join(shell.home, 'all.json')
    const { err } = await shell.ok(
      [
        ...['exec', '--env', 'variables', '--ask', GITHUB, '--ask', JWT],
        ...['--ask', `aws=${installation.roleArn}#s3:GetObject@arn:aws:s3:::${BUCKET}/*`],
        ...script(`require('node:fs').writeFileSync('${report}', JSON.stringify(process.env))`),
      ],
      { env: { AWS_PROFILE: 'mine', AWS_REGION: 'eu-central-1', GH_TOKEN: 'an older one' } },
    )
    const env = await readJson(report)
    expect(env).toMatchObject({ AWS_REGION: 'eu-central-1', MAYFLY_TOKEN_JWT: expect.stringMatching(/^eyJ/) })
    expect(env.GH_TOKEN).not.toBe('an older one')
    expect(
      Object.keys(env).filter(name => /^(AWS_PROFILE|AWS_CONTAINER|MAYFLY_SOCKET|GIT_CONFIG)/.test(name)),
    ).toEqual([])
    const session = installation.aws.credentials().at(-1)!
    expect([env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.AWS_SESSION_TOKEN]).toEqual([
      session.accessKeyId,
      session.secretAccessKey,
      session.sessionToken,
    ])
    expect(err).toContain('2 credentials gone, 1 still alive')
    expect(err).toMatch(
      /aws=arn:aws:iam::\d+:role\/deploy#.* until 20\S+Z at the latest: it cannot be revoked/,
    )
    for (const secret of [
      env.GH_TOKEN!,
      env.MAYFLY_TOKEN_JWT!,
      env.AWS_SECRET_ACCESS_KEY!,
      env.AWS_SESSION_TOKEN!,
    ])
      expect(err.includes(secret)).toBe(false)
    expect(alive()).toEqual([])
  })

  test('handles instead of secrets, where the client asks again; nothing is left of the server', async () => {
    const report = join(shell.home, 'handles.json')
    const aws = `aws=${installation.roleArn}#s3:GetObject@arn:aws:s3:::${BUCKET}/*`
    const code = `
      const { request } = require('node:http')
      const { writeFileSync } = require('node:fs')
      const { env } = process
      const over = (options, body) => new Promise(resolve => {
        const headers = { host: 'localhost', 'content-type': 'application/json' }
        request({ socketPath: env.MAYFLY_SOCKET, method: 'POST', headers, ...options }, async response => {
          let text = ''
          for await (const chunk of response) text += chunk
          resolve(JSON.parse(text))
        }).end(JSON.stringify(body))
      })
      const main = async () => {
        const authorization = env.AWS_CONTAINER_AUTHORIZATION_TOKEN
        const session = await (await fetch(env.AWS_CONTAINER_CREDENTIALS_FULL_URI, { headers: { authorization } })).json()
        const git = { protocol: 'https', host: '127.0.0.1', path: 'acme/api.git' }
        const token = await over({ path: '/v1/credentials' }, { git })
        const { S3Client, GetObjectCommand } = require('${SDK}')
        const s3 = new S3Client({ region: 'eu-central-1', endpoint: '${installation.aws.url}', forcePathStyle: true })
        const { Body } = await s3.send(new GetObjectCommand({ Bucket: '${BUCKET}', Key: 'build.txt' }))
        console.log(await Body.transformToString())
        const refused = await over({ path: '/v1/tasks' }, { purpose: 'another' })
        const more = { authorization_details: { type: 'jwt', audience: '${ORDERS}' } }
        const asked = await over({ path: '/v1/tasks/' + token.task + '/asks' }, more)
        writeFileSync('${report}', JSON.stringify({ env, session, token, refused, asked }))
      }
      main()`
    const before = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'user.name', GIT_CONFIG_VALUE_0: 'me' }
    // Where the SDKs look before they ask a container's server.
    await mkdir(join(shell.home, '.aws'))
    const mine = '[default]\naws_access_key_id = AKIAMINE\naws_secret_access_key = mine\n'
    await writeFile(join(shell.home, '.aws', 'credentials'), mine)
    const command = ['exec', '--env', 'handles', '--ask', GITHUB, '--ask', aws, ...script(code)]
    const { out } = await shell.ok(command, {
      env: {
        ...before,
        GH_TOKEN: 'an older one',
        AWS_ACCESS_KEY_ID: 'AKIAOLDER',
        MAYFLY_LOCAL_TOKEN: 'outer',
      },
    })
    expect(out).toBe('built\n')
    const { env, session, token, refused, asked } = JSON.parse(await readFile(report, 'utf8'))
    expect(session).toMatchObject({
      AccessKeyId: installation.aws.credentials().at(-1)!.accessKeyId,
      AccountId: installation.roleArn.split(':')[4],
    })
    expect(token).toMatchObject({ kind: 'github', secret: expect.stringMatching(/^ghs_/) })
    for (const one of [refused, asked]) expect(one).toMatchObject({ status: 403, code: 'opening_refused' })
    const text = JSON.stringify(env)
    for (const secret of [
      token.secret,
      session.SecretAccessKey,
      'an older one',
      'AKIAOLDER',
      'outer',
      'mft_',
    ])
      expect(text.includes(secret), secret.slice(0, 4)).toBe(false)
    expect(env).toMatchObject({ ...before, GIT_CONFIG_COUNT: '4', GIT_CONFIG_KEY_1: 'credential.helper' })
    expect(env.GIT_CONFIG_VALUE_2).toMatch(/^!.*mayfly\.js git-credential$/)
    await expect(stat(dirname(env.MAYFLY_SOCKET))).rejects.toThrow('ENOENT')
    await expect(fetch(env.AWS_CONTAINER_CREDENTIALS_FULL_URI)).rejects.toThrow()
    expect(alive()).toEqual([])
  })

  test('where no socket can be had there is a port and a token', async () => {
    const runtime = join(shell.home, 'x'.repeat(100))
    await mkdir(runtime)
    const code = `
      const { MAYFLY_SOCKET, MAYFLY_LOCAL_URL, MAYFLY_LOCAL_TOKEN } = process.env
      const headers = { authorization: 'Bearer ' + MAYFLY_LOCAL_TOKEN }
      fetch(MAYFLY_LOCAL_URL + '/v1/tasks', { headers }).then(async answer => {
        console.log(answer.status, (await answer.json()).tasks.length, MAYFLY_SOCKET)
      })`
    const env = { XDG_RUNTIME_DIR: runtime }
    const { out } = await shell.ok(['exec', '--env', 'handles', '--ask', JWT, ...script(code)], { env })
    expect(out).toBe('200 1 undefined\n')
    expect(await readdir(runtime)).toEqual([])
  })

  test('--quiet leaves stderr to the command', async () => {
    const { err } = await shell.ok(['exec', '--quiet', '--ask', JWT, ...script('console.error("mine")')])
    expect(err).toBe('mine\n')
  })
})

describe('exit codes are the command’s', () => {
  test.each([
    ['its own', script('process.exit(3)'), 3, 'exit code 3'],
    ['128 and its signal', script('process.kill(process.pid, "SIGTERM")'), 143, 'ended by SIGTERM'],
    [
      '127 for a program that is not there',
      ['--', 'no-such-program'],
      127,
      'the command could not be started',
    ],
  ])('%s', async (_, command, code, detail) => {
    await shell.fails(code, ['exec', '--ask', JWT, ...command])
    expect(await lastTask()).toMatchObject({ end: 'failed', end_detail: detail })
  })

  test('126 for a file that is no program', async () => {
    const file = join(shell.home, 'text')
    await writeFile(file, 'text')
    await chmod(file, 0o644)
    const { err } = await shell.fails(126, ['exec', '--ask', JWT, '--', file])
    expect(err).toContain('EACCES')
    expect(await lastTask()).toMatchObject({ end: 'failed' })
  })
})

describe('signals', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s reaches the command, and the task ends',
    async signal => {
      const code = `process.on('${signal}', () => process.exit(7)); console.log('ready'); setInterval(() => {}, 1e6)`
      const running = shell.start(['exec', '--ask', GITHUB, ...script(code)])
      await running.says(/ready/)
      expect(alive()).toHaveLength(1)
      running.kill(signal)
      expect(await running.ended).toMatchObject({ code: 7 })
      expect(alive()).toEqual([])
      expect(await lastTask()).toMatchObject({ end: 'failed', end_detail: 'exit code 7' })
    },
  )

  test('job control and what a command makes of signals is its own', async () => {
    const said = (signal: string, text: string) => `process.on('${signal}', () => console.log('${text}'));`
    const code = `${said('SIGTSTP', 'paused')} ${said('SIGCONT', 'goes on')} ${said('SIGWINCH', 'resized')}
      process.on('SIGUSR1', () => process.exit(9)); console.log('ready'); setInterval(() => {}, 1e6)`
    const running = shell.start(['exec', '--ask', JWT, ...script(code)])
    await running.says(/ready/)
    running.kill('SIGTSTP')
    await running.says(/paused/)
    await until(() =>
      execFileSync('ps', ['-o', 'state=', '-p', String(running.pid)], { encoding: 'utf8' }).startsWith('T'),
    )
    running.kill('SIGCONT')
    await running.says(/goes on/)
    running.kill('SIGWINCH')
    await running.says(/resized/)
    running.kill('SIGUSR1')
    expect(await running.ended).toMatchObject({ code: 9 })
  })

  test('before the command has started: it does not start, and nothing stays open', async () => {
    const gate = Promise.withResolvers<void>()
    runner.gate = gate.promise
    const before = runner.audiences.length
    const running = shell.start(['exec', '--ask', GITHUB, ...script('console.log("started")')])
    await expect.poll(() => runner.audiences.length, patiently).toBe(before + 1)
    running.kill('SIGTERM')
    // The signal is handled before anything that the answer causes.
    runner.gate = undefined
    gate.resolve()
    const { code, out } = await running.ended
    expect({ code, out }).toEqual({ code: 143, out: '' })
    expect(await lastTask()).toMatchObject({ end: 'failed', end_detail: 'the command was not started' })
    expect(alive()).toEqual([])
  })

  test('a task that an operator ends takes its command along, by force where it must', async () => {
    const code = `process.on('SIGTERM', () => console.log('not yet')); console.log('ready'); setInterval(() => {}, 1e6)`
    const args = ['exec', '--heartbeat-seconds', '10', '--grace-seconds', '1', '--ask', GITHUB]
    const running = shell.start([...args, ...script(code)])
    await running.says(/ready/)
    const task = await lastTask()
    const order = { filter: { task: task.id }, reason: 'enough', hold: false }
    await startRevocation(broker.broker, order, 'operator:test')
    const { code: exit, out, err } = await running.ended
    expect(exit, err).toBe(137)
    expect(out).toContain('not yet')
    expect(err).toContain(`task ${task.id} has ended: the command is being stopped`)
    expect(alive()).toEqual([])
    expect(await lastTask()).toMatchObject({ id: task.id, end: 'revoked' })
  })
})

describe('what is refused starts nothing', () => {
  const touch = (file: string) => script(`require('node:fs').writeFileSync('${file}', '')`)

  test('an ask above the ceiling', async () => {
    const { err, out } = await shell.fails(3, [
      'exec',
      '--ask',
      'github=acme/web:contents:write',
      ...script('console.log(1)'),
    ])
    expect(out).toBe('')
    expect(err).toMatch(
      /Denied: .*\(ask_denied\)\n {2}Quote decision dec_\w+ .*\n {4}mayfly explain dec_\w+\n {2}Ask for less/,
    )
  })

  test('no broker', async () => {
    const file = join(shell.home, 'started')
    const nobody = await startActionsRunner(async () => '')
    const url = new URL(nobody.env.ACTIONS_ID_TOKEN_REQUEST_URL!).origin
    await nobody.close()
    const { err } = await shell.fails(4, ['exec', '--broker', url, '--ask', JWT, ...touch(file)])
    expect(err).toContain(`no broker answers at ${url}`)
    await expect(readFile(file)).rejects.toThrow('ENOENT')
  })

  test('a provider that says no: the task that was opened for it ends', async () => {
    installation.github.faults = ({ operation, when }) =>
      operation === 'apps/create-installation-access-token' && when === 'before' ? { status: 422 } : 'ok'
    const { err } = await shell.run(['exec', '--ask', GITHUB, ...script('1')])
    installation.github.faults = () => 'ok'
    expect(err).toMatch(/mayfly: .*\(provider_/)
    expect(await lastTask()).toMatchObject({ end: 'failed', end_detail: 'the command was not started' })
    expect(alive()).toEqual([])
  })
})

test('a runner that stumbles is asked again', async () => {
  runner.failures = 2
  await shell.ok(['exec', '--ask', JWT, ...script('1')])
  expect(runner.failures).toBe(0)
})

test('killed outright, its silence ends the task', async () => {
  const args = ['exec', '--heartbeat-seconds', '10', '--ask', GITHUB]
  const pid = join(shell.home, 'pid')
  const code = `require('node:fs').writeFileSync('${pid}', String(process.pid)); console.log('ready')`
  const running = shell.start([...args, ...script(`${code}; setInterval(() => {}, 1e6)`)])
  await running.says(/ready/)
  running.kill('SIGKILL')
  expect(alive()).toHaveLength(1)
  // Time in which the broker did not look is not held against anyone: it looks, and then only time passes.
  await broker.look()
  installation.clock.advance(12_000)
  await broker.look()
  await expect.poll(async () => (await lastTask()).state, patiently).toBe('settled')
  expect(await lastTask()).toMatchObject({ end: 'lapsed' })
  expect(alive()).toEqual([])
  // The command outlives its parent, as any does.
  process.kill(Number(await readFile(pid, 'utf8')), 'SIGKILL')
  await running.ended
})
