import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../src/server.ts'
import { createShell, type Shell } from './cli/mayfly.ts'
import { asks, createInstallation, type Installation, startBroker } from './fakes/installation.ts'
import { type Api, createApi, type OpenedTask } from './support/api.ts'
import { operatorTokenOf } from './support/operator.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let shell: Shell
let operator: string

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  operator = await operatorTokenOf(broker)
  shell = await createShell({ MAYFLY_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: 'operator' })
  await writeFile(join(shell.home, 'operator'), operator, { mode: 0o600 })
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const sha256 = (text: string, encoding: 'base64' | 'hex') =>
  createHash('sha256').update(text).digest(encoding)
const saveLog = (name: string, entries: object[]) =>
  writeFile(join(shell.home, name), entries.map(entry => JSON.stringify(entry)).join('\n'))

/** A task that read the repository and ended; its token, as only its holder knows it. */
async function finishedTask(): Promise<OpenedTask & { secret: string; lease: string }> {
  const task = await api.open([asks.apiRead], { purpose: 'reads the api' })
  const { body } = await api.credential(task)
  await api.complete(task)
  await api.until(task, 'settled')
  await broker.look()
  return { ...task, secret: body.credential, lease: body.lease }
}

test('a trail tells a task from its evidence to its receipt, and what was done with its token', async () => {
  const task = await finishedTask()
  await saveLog('github.jsonl', [
    {
      ...{ action: 'repo.add_deploy_key', '@timestamp': installation.clock.now(), actor: 'mayfly[bot]' },
      ...{ repo: 'acme/api', hashed_token: sha256(task.secret, 'base64'), title: 'left behind' },
    },
    {
      action: 'git.clone',
      '@timestamp': installation.clock.now(),
      hashed_token: sha256('another', 'base64'),
    },
  ])
  const { out } = await shell.ok(['trail', task.id, '--github-audit', 'github.jsonl'])
  const inOrder = [
    `${task.id} of release: reads the api`,
    'proven by actions: repo:acme/api:ref:refs/heads/main',
    ': allow (within the ceiling of release)',
    'task.opened by agent:release',
    'lease.activated',
    'task.ended',
    'task.settled',
    '1 credential, 1 seen dead; its receipt',
  ]
  expect(inOrder.map(part => out.indexOf(part))).toEqual(
    inOrder.map(part => out.indexOf(part)).sort((a, b) => a - b),
  )
  for (const part of inOrder) expect(out).toContain(part)
  expect(out).toContain(`at github: repo.add_deploy_key acme/api with ${task.lease}`)
  expect(out).toContain('LEFT BEHIND')
  expect(out).not.toContain('git.clone')
  // Of the broker's own task, too, in which the name was looked up.
  const own = await broker.broker.ledger.read.leases({ agent: 'mayfly' }, { limit: 1 })
  const ownTrail = await shell.ok(['trail', own.items[0]!.task])
  expect(ownTrail.out).toContain("the broker's own")
  expect(out).not.toContain(task.secret)
})

test('a trail tells moments as moments, not as epoch milliseconds', async () => {
  const task = await api.open([asks.apiRead], { minutes: 5 })
  const extended = await api.call('POST', `/v1/tasks/${task.id}/extend`, task.token, {
    minutes: 10,
    reason: 'slow',
  })
  expect(extended.status, JSON.stringify(extended.body)).toBe(200)
  const { out } = await shell.ok(['trail', task.id])
  expect(out).toMatch(/task\.extended by .*from=20\d\d-\S+Z, to=20\d\d-\S+Z/)
  expect(out).not.toMatch(/=\d{13}/)
  await api.complete(task)
})

test('a trail is for operators, and of a task that exists', async () => {
  const task = await api.open([asks.apiRead])
  expect((await api.call('GET', `/v1/tasks/${task.id}/trail`, task.token)).status).toBe(401)
  expect((await api.call('GET', `/v1/tasks/tsk_none/trail`, operator)).status).toBe(404)
  await api.complete(task)
})

test('a review says what was never used, proposes what would have been enough, and finds idle App rights', async () => {
  await finishedTask()
  const { out } = await shell.ok(['review', '--days', '1', '--json'])
  const review = JSON.parse(out)
  const release = review.agents.find((one: { agent: string }) => one.agent === 'release')
  expect(release.credentials).toMatchObject({
    never_minted: 0,
    expired_unconfirmed: 0,
    by_phase: { read: release.credentials.minted },
  })
  expect(release.ceiling.find((one: { issuer: string }) => one.issuer === 'github').never_used).toEqual(
    expect.arrayContaining(['contents:write', 'issues:write']),
  )
  expect(release.proposed_ceiling).toEqual({
    github: [
      {
        repositories: [{ id: 1, name: 'acme/api' }],
        permissions: { contents: 'read', metadata: 'read' },
      },
    ],
  })
  expect(review.agents.find((one: { agent: string }) => one.agent === 'coder').proposed_ceiling).toBeNull()
  expect(review.surplus).toEqual(
    expect.arrayContaining([{ issuer: 'github', where: 'acme', right: 'administration:write' }]),
  )
  const words = await shell.ok(['review', '--agent', 'release'])
  expect(words.out).toContain('never used: contents:write')
  expect(words.out).toContain('This would have been enough')
})

test('the proposed ceiling is one that the broker takes, and what was minted still is', async () => {
  const { out } = await shell.ok(['review', '--agent', 'release', '--json'])
  const ceiling = JSON.parse(out).agents[0].proposed_ceiling
  const release = { ...installation.agents.release!, ceiling }
  await installation.configure({ agents: { release } })
  await broker.reload()
  await finishedTask()
  await expect(api.open([asks.api])).rejects.toThrow('ask_denied')
  await installation.configure({})
  await broker.reload()
})

test('the agent of a file is proposed as a file, which takes its place', async () => {
  await finishedTask()
  const { out } = await shell.ok(['review', '--agent', 'release', '--propose', 'proposed'])
  expect(out).toContain('Proposed for release: proposed/agents/release.yaml; goes in place of its file')
  const text = await readFile(join(shell.home, 'proposed/agents/release.yaml'), 'utf8')
  // No plan is told to take what is managed by files.
  expect((await shell.fails(1, ['plan', '-f', 'proposed'])).err).toContain('no .yaml')
  const again = await shell.fails(1, ['review', '--agent', 'release', '--propose', 'proposed'])
  expect(again.err).toContain('cannot be written (EEXIST)')
  await writeFile(join(installation.directory, 'agents/release.yaml'), text)
  await broker.reload()
  await finishedTask()
  await expect(api.open([asks.api])).rejects.toThrow('ask_denied')
  await installation.configure({})
  await broker.reload()
})

test('a token of the App that the ledger does not know is an alarm, and the command fails', async () => {
  const { secret } = await finishedTask()
  const at = { '@timestamp': installation.clock.now(), actor: 'mayfly[bot]', repo: 'acme/api' }
  await saveLog('known.jsonl', [{ ...at, action: 'git.clone', hashed_token: sha256(secret, 'base64') }])
  const known = await shell.ok(['review', '--app', 'mayfly[bot]', '--github-audit', 'known.jsonl'])
  expect(known.out).toContain(
    '1 entry of the log read, 1 credential of mayfly[bot] among them, none unknown.',
  )
  await saveLog('stolen.jsonl', [
    { ...at, action: 'git.clone', hashed_token: sha256(secret, 'base64') },
    { ...at, action: 'git.push', hashed_token: sha256('ghs_minted_by_a_thief', 'base64') },
    { ...at, action: 'git.push', hashed_token: sha256('ghp_of_a_person', 'base64'), actor: 'mona' },
  ])
  const { out } = await shell.fails(1, ['review', '--app', 'mayfly[bot]', '--github-audit', 'stolen.jsonl'])
  expect(out).toContain(
    `UNKNOWN CREDENTIAL ${sha256('ghs_minted_by_a_thief', 'hex')}: git.push by mayfly[bot]`,
  )
  expect(out.match(/UNKNOWN CREDENTIAL/g)).toHaveLength(1)
  // What was not looked for is not told as not found.
  const unlooked = await shell.ok(['review', '--github-audit', 'stolen.jsonl'])
  expect(unlooked.out).toContain('3 entries of the log read, and none held against the ledger')
  const misnamed = await shell.ok(['review', '--app', 'mayfly', '--github-audit', 'stolen.jsonl'])
  expect(misnamed.out).toContain('no credential of mayfly among them')
  // Several at once; and what names no credential is told, not passed over.
  await saveLog('both.jsonl', [
    { ...at, action: 'git.clone', hashed_token: sha256(secret, 'base64') },
    { ...at, action: 'repo.create' },
  ])
  const role = installation.roleArn
  await saveLog('trail.json', [
    sessionOf(role, 'a-thief'),
    { ...sessionOf(role, ''), userIdentity: { sessionContext: { sessionIssuer: { arn: role } } } },
  ])
  const apps = ['--app', 'mayfly[bot]', '--app', role]
  const both = await shell.fails(1, [
    ...['review', ...apps, '--github-audit', 'both.jsonl', '--cloudtrail', 'trail.json'],
  ])
  expect(both.out).toContain('UNKNOWN CREDENTIAL a-thief')
  expect(both.out).toContain('1 credential of mayfly[bot] among them, none unknown.')
  expect(both.out).toContain('1 entry of mayfly[bot] without a token hash or session')
  expect(both.out).toContain(`1 credential of ${role} among them, 1 unknown.`)
  expect(both.out).toContain(`1 entry of ${role} without a token hash or session`)
  const { body } = await api.call('GET', '/v1/audit', operator)
  const unknown = body.items.filter((row: { event: string }) => row.event === 'credential.unknown')
  expect(unknown).toHaveLength(2)
  expect(unknown[0].data.unknown).toEqual([{ sha256: sha256('ghs_minted_by_a_thief', 'hex') }])
})

/** What CloudTrail writes of a call by a session of a role. */
const sessionOf = (role: string, session: string) => ({
  ...{ eventTime: new Date(installation.clock.now()).toISOString() },
  ...{ eventName: 'PutObject', eventSource: 's3.amazonaws.com' },
  userIdentity: {
    type: 'AssumedRole',
    arn: `arn:aws:sts::123456789012:assumed-role/mayfly/${session}`,
    sessionContext: { sessionIssuer: { arn: role } },
  },
})

test('a log that is none, a period that is none and too many questions are refused in words', async () => {
  await writeFile(join(shell.home, 'none.json'), 'not a log')
  expect((await shell.fails(1, ['review', '--github-audit', 'none.json'])).err).toContain(
    'none.json: line 1: not JSON',
  )
  expect((await shell.fails(2, ['review', '--from', '2026-01-02', '--to', '2026-01-01'])).err).toContain(
    'before',
  )
  const credentials = Array.from({ length: 501 }, () => ({ session: 'x' }))
  expect((await api.call('POST', '/v1/credentials/recognise', operator, { credentials })).status).toBe(400)
  expect((await api.call('GET', '/v1/review?from=x&to=y', operator)).status).toBe(400)
})
