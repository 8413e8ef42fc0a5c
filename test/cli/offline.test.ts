/** The kill switch works by ledger and key alone: without a broker, a token, an identity provider, or good roles. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { asks, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { createApi } from '../support/api.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: PeopledInstallation
let shell: Shell

beforeAll(async () => {
  installation = await createPeopledInstallation({ operators: { bootstrap_tokens: false } })
  shell = await createShell()
})
afterAll(() => Promise.all([shell.close(), installation.close()]))

test('with operator tokens off, the identity provider away and role policies broken', async () => {
  const broker = await startBroker(installation)
  const task = await createApi(broker, installation).open([asks.api])
  expect((await createApi(broker, installation).credential(task)).status).toBe(201)
  await broker.stop()
  await installation.configure({
    settings: {
      operators: {
        ...{ bootstrap_tokens: false, roles_dir: 'roles-that-are-not-there' },
        oidc: { issuer: installation.people.issuer, client_id: 'mayfly-cli' },
      },
    },
  })
  installation.people.setDown(true)
  const config = ['--config', installation.configPath]
  await expect(startBroker(installation)).rejects.toThrow(/roles_dir/)

  const token = `${installation.directory}/operator.token`
  expect((await shell.fails(1, ['operator', 'init', ...config, '--out', token])).err).toContain(
    'switched off',
  )
  const { out } = await shell.ok(['leases', '--offline', '--state', 'outstanding', ...config])
  expect(out).toMatch(/active +release/)
  const ended = await shell.ok(['revoke', '--offline', '--everything', '--reason', 'a test', ...config])
  expect(ended.out).toContain('0 credentials left')
  expect((await shell.ok(['leases', '--offline', '--state', 'outstanding', ...config])).out).toContain(
    '0 leases',
  )
})

test('and refuses what belongs to a running broker', async () => {
  expect((await shell.fails(2, ['leases', '--config', installation.configPath])).err).toContain('--offline')
})
