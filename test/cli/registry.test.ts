/** `mayfly plan`, `apply` and `registry`, as a platform team uses them. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { stringify } from 'yaml'
import type { RunningServer } from '../../src/server.ts'
import { createInstallation, type Installation, ORDERS, startBroker } from '../fakes/installation.ts'
import { appOf, payer, withTeams } from '../registry/team.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer
let shell: Shell
let folder: string
let app: ReturnType<typeof appOf>

beforeAll(async () => {
  installation = await createInstallation(withTeams())
  broker = await startBroker(installation)
  const file = join(installation.directory, 'operator.token')
  await writeFile(file, await operatorTokenOf(broker), { mode: 0o600 })
  shell = await createShell({ MAYFLY_OPERATOR_URL: broker.url, MAYFLY_OPERATOR_TOKEN_FILE: file })
  folder = join(shell.home, 'payments')
  app = appOf(installation)
  await mkdir(folder)
  await write('github', app.issuer())
  await write('payer', app.agent())
  await writeFile(join(shell.home, 'app.pem'), app.pem, { mode: 0o600 })
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

const write = (name: string, document: object) => writeFile(join(folder, `${name}.yaml`), stringify(document))
const key = ['--secret', 'issuer/payments.github/app-key=app.pem']
const why = ['--reason', 'the payments team begins']

test('a folder is planned, applied as it was planned, listed and shown', async () => {
  const planned = await shell.ok(['plan', '-f', 'payments', ...key])
  expect(planned.out).toContain('+ issuer payments.github')
  // Whole, as what is agreed to is to be seen; of secrets the name alone.
  expect(planned.out).toContain('    secrets\n      + ["app-key"]')
  expect(planned.out).toContain('    purpose\n      + "Pays"')
  expect(planned.out).toContain('    expires_at\n      + "2040-01-01T00:00:00.000Z"')
  expect(planned.out).toMatch(/ {4}ceiling\n {6}\+ \{"payments\.github":.*payco\/ledger/)
  expect(planned.out).toContain('2 resources: 2 to add, 0 to change, 0 to remove (generation 1)')
  const digest = /--plan ([0-9a-f]{64})/.exec(planned.out)?.[1] ?? ''
  const other = await shell.fails(1, ['apply', '-f', 'payments', ...key, ...why, '--plan', 'f'.repeat(64)])
  expect(other.err).toContain('another plan')
  const applied = await shell.ok(['apply', '-f', 'payments', ...key, ...why, '--plan', digest])
  expect(applied.out).toContain('Registered: generation 2')
  expect(applied.out + planned.out).not.toContain('PRIVATE KEY')
  const again = await shell.ok(['plan', '-f', 'payments'])
  expect(again.out).toBe('Nothing would change.\n')
  const list = await shell.ok(['registry', 'list', 'issuer'])
  expect(list.out).toMatch(/payments\.github +api +1 /)
  expect(list.out).toMatch(/jwt +file +1 /)
  const shown = await shell.ok(['registry', 'show', 'issuer', 'payments.github'])
  expect(shown.out).toContain('the payments team begins')
  expect(shown.out).toContain('"private_key_file": "secret:app-key"')
})

test('a change is told field by field, and its versions say who and why', async () => {
  await write('payer', app.agent({ purpose: 'Pays twice' }))
  const planned = await shell.ok(['plan', '-f', 'payments/payer.yaml'])
  expect(planned.out).toContain('~ agent payments.payer\n    purpose\n      - "Pays"\n      + "Pays twice"')
  await shell.ok(['apply', '-f', 'payments/payer.yaml', '--reason', 'twice as many'])
  const versions = await shell.ok(['registry', 'versions', 'agent', 'payments.payer'])
  expect(versions.out).toMatch(/version 2 \(registered\).*\n.*twice as many[\s\S]*version 1/)
  const gone = await shell.ok(['apply', '--remove', 'agent/payments.payer', '--reason', 'over', '--json'])
  expect(gone.err).toContain('- agent payments.payer')
  expect(JSON.parse(gone.out)).toMatchObject({ changes: [{ action: 'remove', name: 'payments.payer' }] })
})

test('what a review proposes is a document that a plan takes, and shows as narrowing', async () => {
  const jwt = (...scopes: string[]) => ({ jwt: [{ audience: ORDERS, scopes }] })
  const agent = payer({
    ceiling: { ...(app.agent().ceiling as object), ...jwt('orders.read', 'orders.write') },
    ...{ may_outlive_minutes: { 'payments.github': 5 }, check_in_minutes: 30 },
  })
  await writeFile(join(shell.home, 'payer.yaml'), stringify(agent))
  await shell.ok(['apply', '-f', 'payer.yaml', ...why])
  const api = createApi(broker, installation)
  const evidence = { type: 'jwt', token: installation.svid('/payments/payer') }
  const task = await api.open([{ type: 'jwt', audience: ORDERS, scopes: ['orders.read'] }], { evidence })
  expect((await api.credential(task)).status).toBe(201)

  const reviewed = await shell.ok(['review', '--agent', 'payments.payer', '--propose', 'less', '--json'])
  const file = 'less/payments.payer.yaml'
  expect(JSON.parse(reviewed.out).proposals).toEqual([{ agent: 'payments.payer', managed_by: 'api', file }])
  const planned = await shell.ok(['plan', '-f', 'less'])
  expect(planned.out).toContain('~ agent payments.payer')
  expect(planned.out).toMatch(/narrows: payments\.github: no longer/)
  expect(planned.out).toMatch(/narrows: jwt: no longer: .*orders\.write/)
  expect(planned.out).not.toContain('widens')
  // The rest of it is as it was.
  expect(planned.out.match(/^ {4}(?!widens|narrows)\S.*$/gm)?.map(line => line.trim())).toEqual([
    ...['ceiling.jwt', 'ceiling.payments.github', 'may_outlive_minutes.payments.github'],
  ])
  await shell.ok(['apply', '-f', 'less', '--reason', 'as reviewed'])
  await shell.ok(['apply', '--remove', 'agent/payments.payer', '--reason', 'over'])
})

test('what is wrong is told with its file and line, and nothing is applied', async () => {
  await write('wrong', { ...app.agent({ name: 'payments.wrong' }), risk_tier: 'none', purpse: 'x' })
  const refused = await shell.fails(1, ['apply', '-f', 'payments/wrong.yaml', ...why])
  expect(refused.err).toMatch(/payments\/wrong\.yaml:\d+:\d+: purpse: no such key here/)
  expect(refused.err).toMatch(/risk_tier/)
  await shell.fails(1, ['registry', 'show', 'agent', 'payments.wrong'])
  expect((await shell.fails(2, ['plan'])).err).toContain('say what to register')
  expect((await shell.fails(2, ['apply', '-f', 'payments'])).err).toContain('--reason')
})

test('a secret that others can read is not uploaded', async () => {
  const loose = join(shell.home, 'loose.pem')
  await writeFile(loose, app.pem)
  await chmod(loose, 0o644)
  const args = ['plan', '-f', 'payments/github.yaml', '--secret', 'issuer/payments.github/app-key=loose.pem']
  expect((await shell.fails(1, args)).err).toContain('can be read by others')
})
