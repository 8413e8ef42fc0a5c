/** `mayfly policy test|lint --registered`: judged by what teams have registered, too, as the broker does. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { appOf, payer, registryOf, withTeams } from '../registry/team.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer
let shell: Shell

const PERMIT = '@id("within-the-ceiling") permit (principal, action, resource);'
const SHORT = `@id("payments.short")
forbid (principal, action, resource) when { context.ttlSeconds > 1800 };`
const CASES = `
defaults: { agent: payments.payer, minutes: 15 }
cases:
  - name: by an issuer of the team's own
    ask: { type: payments.github, repositories: [{ id: 9, name: payco/ledger }], permissions: { contents: read } }
    expect: allow
    by: [within-the-ceiling]
  - name: not for long
    issuer: jwt
    phase: read
    resources: [{ type: Audience, id: "https://orders.example.com" }]
    minutes: 60
    expect: deny
    by: [payments.short]
  - name: others are not held by it
    agent: release
    issuer: jwt
    phase: read
    resources: [{ type: Audience, id: "https://orders.example.com" }]
    minutes: 60
    expect: allow
`

beforeAll(async () => {
  installation = await createInstallation(withTeams({ policies_dir: 'policies' }))
  await mkdir(join(installation.directory, 'policies'))
  await writeFile(join(installation.directory, 'policies/main.cedar'), PERMIT)
  broker = await startBroker(installation)
  const file = join(installation.directory, 'operator.token')
  const token = await operatorTokenOf(broker)
  await writeFile(file, token, { mode: 0o600 })
  shell = await createShell({ MAYFLY_OPERATOR_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: file })
  await writeFile(join(shell.home, 'cases.yaml'), CASES)
  const app = appOf(installation)
  const idp = { kind: 'attestor', name: 'payments.idp', type: 'oidc', claims: { tier: 'string' } }
  await registryOf(broker.url, token).register({
    documents: [
      ...[app.issuer(), payer(), { kind: 'policy', name: 'payments.short', text: SHORT }],
      { ...idp, issuer: 'https://idp.payco.test', audience: 'https://mayfly.payco.test' },
    ],
    secrets: [app.secret],
  })
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const command = (verb: string, ...more: string[]) => [
  'policy',
  verb,
  '--config',
  installation.configPath,
  ...more,
]

test('cases are judged by the set that the broker judges by', async () => {
  expect((await shell.fails(1, command('test', 'cases.yaml'))).err).toContain(
    'expected one of the agents: coder',
  )
  const { out, err } = await shell.ok(command('test', '--registered', 'cases.yaml'))
  expect(out).toContain('3 of 3 cases are as expected')
  expect(err).toContain('policies: 1, agents: 1, issuers: 1, attestors: 1')
  const { hash } = JSON.parse((await shell.ok(command('test', '--registered', '--json', 'cases.yaml'))).out)
  const api = createApi(broker, installation)
  const task = await api.open([asks.orders])
  const decision = await broker.broker.ledger.read.decision(task.answer.body.task.asks[0].decision)
  expect(decision?.policy_hash).toBe(hash)
})

test('a set of the files that does not go with what teams have is found', async () => {
  const folder = join(shell.home, 'next')
  await mkdir(folder)
  await writeFile(join(folder, 'main.cedar'), `${PERMIT}\n${SHORT}`)
  await shell.ok(command('lint', '--policies', 'next'))
  const twice = await shell.fails(1, command('lint', '--policies', 'next', '--registered'))
  expect(twice.err).toContain('payments.short.cedar:1')
  expect(twice.err).toContain('main.cedar:2 has it')
})

test('agents of teams are known to lint', async () => {
  const folder = join(shell.home, 'named')
  await mkdir(folder)
  const forbid = '@id("no-payer") forbid (principal == Mayfly::Agent::"payments.payer", action, resource);'
  await writeFile(join(folder, 'main.cedar'), `${PERMIT}\n${forbid}`)
  expect((await shell.run(command('lint', '--policies', 'named'))).out).toContain('no-such-principal')
  expect((await shell.ok(command('lint', '--policies', 'named', '--registered'))).out).not.toContain(
    'no-such-principal',
  )
})

test('it is for operators', async () => {
  const nobody = { env: { MAYFLY_OPERATOR_TOKEN_FILE: '' } }
  const refused = await shell.fails(2, command('test', '--registered', 'cases.yaml'), nobody)
  expect(refused.err).toContain('needs a session or an operator token')
})
