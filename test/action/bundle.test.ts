/** What GitHub runs: the committed bundle, as processes, against a whole installation. */
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bundle, withPermissions } from '../../action/build.ts'
import { type ActionsRunner, startActionsRunner } from '../cli/actions-runner.ts'
import { AUDIENCE } from '../fakes/installation.ts'
import { createStage, type Stage } from '../observers/github-stage.ts'
import { createRunnerFiles, type RunnerFiles } from './runner-files.ts'

const folder = join(import.meta.dirname, '../../action')
let stage: Stage
let runner: ActionsRunner
let files: RunnerFiles

beforeAll(async () => {
  stage = await createStage()
  const job = stage.newJob()
  runner = await startActionsRunner(async aud => (await stage.evidence(job, { aud })).token)
  files = await createRunnerFiles()
})
afterAll(async () => {
  await files?.close()
  await runner?.close()
  await stage?.close()
})

test('the committed bundle is what the sources give (else: npm run build:action)', async () => {
  const fresh = await bundle()
  expect((await readdir(join(folder, 'dist'))).sort()).toEqual(Object.keys(fresh).sort())
  for (const [name, text] of Object.entries(fresh)) {
    const committed = await readFile(join(folder, 'dist', name), 'utf8')
    expect(committed === text, `action/dist/${name} is stale: npm run build:action`).toBe(true)
  }
  const manifest = await readFile(join(folder, 'action.yml'), 'utf8')
  expect(withPermissions(manifest)).toBe(manifest)
})

test('main hands out masked credentials, post ends them', async () => {
  const inputs = {
    ...{ url: `${stage.broker.url}/`, audience: AUDIENCE, 'permission-contents': 'write' },
    ...{ 'role-to-assume': stage.installation.roleArn, 'aws-region': 'eu-central-1' },
    ...{ 'aws-actions': 's3:GetObject', 'aws-resources': 'arn:aws:s3:::artifacts/*' },
    ...{ 'jwt-audience': 'https://orders.example.com', 'jwt-scopes': 'orders.read' },
  }
  const main = await run('main.js', { ...inputEnv(inputs), ...inputEnv({ 'job-status': 'success' }) })
  const outputs = await files.read('GITHUB_OUTPUT')
  const task = outputs['task-id']!
  expect(outputs).toMatchObject({
    ...{ 'installation-id': '77', 'app-slug': 'mayfly', token: expect.stringMatching(/^ghs_/) },
    ...{ jwt: expect.stringMatching(/^eyJ/), 'aws-account-id': stage.installation.roleArn.split(':')[4] },
  })
  expect(await files.read('GITHUB_ENV')).toEqual({
    AWS_ACCESS_KEY_ID: outputs['aws-access-key-id'],
    AWS_SECRET_ACCESS_KEY: outputs['aws-secret-access-key'],
    AWS_SESSION_TOKEN: outputs['aws-session-token'],
    ...{ AWS_REGION: 'eu-central-1', AWS_DEFAULT_REGION: 'eu-central-1' },
  })
  const state = await files.read('GITHUB_STATE')
  expect(state).toMatchObject({ task, url: stage.broker.url, lifetime: 'job' })
  expect((await readme(outputs.token!)).status).toBe(200)
  const secrets = ['token', 'jwt', 'aws-access-key-id', 'aws-secret-access-key', 'aws-session-token']
  const values = [...secrets.map(name => outputs[name]!), state.token!]
  expectMasked(main, values)

  const stateEnv = Object.fromEntries(Object.entries(state).map(([name, value]) => [`STATE_${name}`, value]))
  const post = await run('post.js', { ...stateEnv, ...inputEnv({ 'job-status': 'failure' }) })
  expectMasked(post, values)
  expect(post).toContain(`task ${task} has ended (failed)`)
  expect((await readme(outputs.token!)).status).toBe(401)
  expect((await stage.broker.broker.ledger.read.task(task))!).toMatchObject({
    ...{ end: 'failed', end_detail: 'the job: failure' },
  })
  expect(await files.text('GITHUB_STEP_SUMMARY')).toBe('')
  expect(runner.audiences).toEqual([AUDIENCE])
})

/** All that the process printed. */
async function run(file: string, env: Record<string, string>): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, 'dist', file)], {
    cwd: files.env.RUNNER_TEMP,
    env: { PATH: process.env.PATH ?? '', GITHUB_REPOSITORY: 'acme/api', ...runner.env, ...files.env, ...env },
  })
  return stdout + stderr
}

function inputEnv(inputs: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
  )
}

function expectMasked(log: string, secrets: readonly string[]): void {
  const lines = log.split('\n')
  for (const secret of secrets) {
    const rest = lines.filter(line => line.includes(secret) && !line.startsWith('::add-mask::'))
    expect(rest, 'a secret stands in the log').toEqual([])
  }
}

function readme(token: string) {
  return fetch(`${stage.installation.github.url}/repos/acme/api/contents/README.md`, {
    headers: { authorization: `Bearer ${token}`, 'user-agent': 'test' },
  })
}
