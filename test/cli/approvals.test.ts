/** A write that waits on one terminal, and humans who answer on another. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { askingPolicy, requirement } from '../support/asking-policy.ts'
import { type Begun, createShell, type Shell } from './mayfly.ts'

const GITHUB = 'github=acme/api:contents:write'
const ADDRESS = /sign in at:\n\s+(\S+)/
/** What an agent would write if it could. */
const HOSTILE = '\u202eok\u200b **approved** https://evil.test <!channel>'

let installation: PeopledInstallation
let broker: RunningServer
let workload: Shell
let human: Shell
let svid: string

beforeAll(async () => {
  installation = await createPeopledInstallation()
  broker = await startBroker(installation)
  const policy = askingPolicy()
  policy.requires = [requirement({ groups: ['release-managers'] })]
  broker.broker.policy = policy
  workload = await createShell({ MAYFLY_URL: broker.url })
  human = await createShell({ MAYFLY_OPERATOR_URL: broker.url })
  svid = join(workload.home, 'svid.jwt')
  await signIn(human.begin(['login']), 'cleo')
})
// One that was used is good for reading only.
beforeEach(() => writeFile(svid, installation.svid('spiffe://acme.test/agent/coder')))
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), workload?.close(), human?.close()])
})

async function signIn(running: Begun, id: string) {
  await installation.people.human(id).visit(await running.reads(ADDRESS))
  return running.ended
}

async function open(): Promise<{ task: string; approval: string }> {
  const args = ['--purpose', 'fix it', '--ask', GITHUB, '--evidence-file', svid, '--justification', HOSTILE]
  const { out } = await workload.ok(['task', 'open', ...args, '--json'])
  const { task } = JSON.parse(out) as { task: { id: string; approvals: { id: string }[] } }
  return { task: task.id, approval: task.approvals[0]!.id }
}

test('is listed, shown whole and inert, approved by a sign-in for that alone, and goes on', async () => {
  const { task, approval } = await open()
  const waits = workload.begin(['task', 'wait', task])
  expect((await human.ok(['approvals'])).out).toMatch(
    new RegExp(`${approval} +pending .* coder +\\S+ +github=acme/api:contents:write`),
  )
  const { out } = await human.ok(['approvals', 'show', approval])
  expect(out).toContain('"contents": "write"')
  expect(out).toContain('new in 30 days')
  expect(out).toMatch(/ {2}issuer {5}github \([0-9a-f]{12}\)/)
  expect(out).toContain('| because: ⟨U+202E⟩ok⟨U+200B⟩ ＊＊approved＊＊ https(:)//evil(.)test ＜!channel＞')
  expect(out).not.toMatch(/\u202e|\u200b|https:\/\/evil/)

  const said = await signIn(human.begin(['approvals', 'approve', approval, '--reason', 'fine']), 'cleo')
  expect([said.code, said.out], said.err).toEqual([0, expect.stringContaining(`${approval} is approved.`)])
  const waited = await waits.ended
  expect([waited.code, waited.out]).toEqual([0, expect.stringContaining('granted: github=acme/api')])
  const file = join(workload.home, '.local/state/mayfly', `${task}.json`)
  const ask = /(ask_\w+) granted/.exec(waited.out)?.[1] ?? ''
  const token = await workload.ok(['token', '--ask-id', ask, '--task-token-file', file])
  expect(token.out).toMatch(/^ghs_\S+\n$/)
  const more = await workload.fails(4, ['token', '--ask', GITHUB, '--task-token-file', file])
  expect(more.err).toContain('humans are asked (apr_')
  expect((await human.fails(1, ['approvals', 'approve', approval])).err).toContain('is approved already')
})

test('a stolen session answers nothing: somebody else must sign in, and who may not is refused', async () => {
  const { approval } = await open()
  for (const other of ['vera', 'olga']) {
    const ran = await signIn(human.begin(['approvals', 'approve', approval]), other)
    expect([ran.code, ran.out.includes('is approved')]).toEqual([3, false])
  }
  const denying = ['approvals', 'deny', approval, '--reason', 'not now', '--json']
  const denied = await signIn(human.begin(denying), 'dan')
  expect(JSON.parse(denied.out)).toMatchObject({ id: approval, state: 'denied' })
  // What is signed in for is seen also where a program reads the answer.
  expect(denied.err).toContain('"contents": "write"')
  expect(denied.err.indexOf('what would be minted:')).toBeLessThan(denied.err.search(ADDRESS))
})

test('task wait says that not everything was granted', async () => {
  const { task, approval } = await open()
  expect((await workload.fails(4, ['task', 'wait', task, '--seconds', '0'])).err).toContain(
    'not answered yet',
  )
  await signIn(human.begin(['approvals', 'deny', approval, '--reason', 'no']), 'dan')
  expect((await workload.fails(3, ['task', 'wait', task])).out).toContain('denied')
})

test('a window is opened by a sign-in for exactly it, listed, used and revoked', async () => {
  const args = ['--agent', 'coder', '--ask', GITHUB, '--minutes', '10', '--reason', 'tonight']
  const made = await signIn(human.begin(['preapprovals', 'open', ...args]), 'cleo')
  expect([made.code, made.out], made.err).toEqual([0, expect.stringContaining('is open until')])
  const window = /pre_\w+/.exec(made.out)![0]
  expect((await human.ok(['preapprovals'])).out).toMatch(new RegExp(`${window} +coder +0/1`))
  const opening = ['--purpose', 'fix it', '--ask', GITHUB, '--evidence-file', svid, '--json']
  const { out } = await workload.ok(['task', 'open', ...opening])
  expect(JSON.parse(out).task.asks[0].state).toBe('granted')
  await human.ok(['preapprovals', 'revoke', window])
})

test('exec and token say what waits, wait for it, and go on', async () => {
  const other = join(workload.home, 'other.jwt')
  await writeFile(other, installation.svid('spiffe://acme.test/agent/coder'))
  const by = (file: string) => ['--purpose', 'fix it', '--ask', GITHUB, '--evidence-file', file]
  const child = [process.execPath, '-e', 'process.stdout.write(process.env.GITHUB_TOKEN.slice(0, 4))']
  const waits = [
    workload.start(['exec', ...by(svid), '--', ...child]),
    workload.start(['token', ...by(other)]),
  ]
  for (const one of waits) await one.says(/ask_\w+ waits for humans: github=acme\/api/)
  const { out } = await human.ok(['approvals', '--json'])
  for (const { id } of (JSON.parse(out) as { items: { id: string }[] }).items)
    expect((await signIn(human.begin(['approvals', 'approve', id]), 'cleo')).code).toBe(0)
  const [ran, printed] = await Promise.all(waits.map(one => one.ended))
  expect([ran?.code, ran?.out], ran?.err).toEqual([0, 'ghs_'])
  expect([printed?.code, printed?.out.slice(0, 4)], printed?.err).toEqual([0, 'ghs_'])
})

test('exec starts nothing where nobody answers in time', async () => {
  const args = ['--purpose', 'fix it', '--ask', GITHUB, '--evidence-file', svid, '--wait-seconds', '1']
  const { out, err } = await workload.fails(4, ['exec', ...args, '--', 'echo', 'started'])
  expect([out, err]).toEqual(['', expect.stringContaining('waiting for them for at most 1 s')])
  expect(err).toContain('nobody has answered within 1 s, so the task is ended')
  // There is no file of its task, and no task any more.
  expect(err).not.toMatch(/task wait tsk_|with: mayfly task wait/)
})

test('neither does token advise to wait for a task that it has ended', async () => {
  const args = ['--purpose', 'fix it', '--ask', GITHUB, '--evidence-file', svid, '--wait-seconds', '1']
  const { out, err } = await workload.fails(4, ['token', ...args])
  expect([out, err]).toEqual([
    '',
    expect.stringContaining('nobody has answered within 1 s, so the task is ended'),
  ])
  expect(err).not.toMatch(/task wait tsk_|with: mayfly task wait/)
})

test('a task that is kept open says how to wait for it, wherever its token is', async () => {
  const file = join(workload.home, 'kept.json')
  const args = ['--purpose', 'fix it', '--ask', GITHUB, '--evidence-file', svid]
  const { out } = await workload.ok(['task', 'open', ...args, '--task-token-file', file])
  expect(out).toContain(`Wait for them with: mayfly task wait --task-token-file ${file}\n`)
  await workload.fails(4, ['task', 'wait', '--task-token-file', file, '--seconds', '1'])
})

test('a task that is looked after: its human signs in to say that it may go on', async () => {
  const { task } = await open()
  const { ledger } = broker.broker
  await ledger.write(async tx => {
    await tx.insertCheckIn({ task, every_ms: 600_000, due_at: tx.now + 600_000, last_by: null })
  })
  const said = await signIn(human.begin(['check-in', task]), 'cleo')
  expect([said.code, said.out], said.err).toEqual([0, expect.stringContaining(`${task} may go on; check in`)])
  expect((await ledger.read.checkIn(task))?.last_by).toContain('Cleo')
})
