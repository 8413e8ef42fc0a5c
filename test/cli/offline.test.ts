/** The kill switch works by ledger and key alone: without a broker, a token, an identity provider, or good roles. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createPeopledInstallation, type PeopledInstallation } from '../fakes/people.ts'
import { appOf, registryOf, withTeams } from '../registry/team.ts'
import { createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { ALL } from '../support/ruled-installation.ts'
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

describe('a registry that cannot be used stops nothing', () => {
  const everything = () => [
    ...['revoke', '--offline', '--everything', '--reason', 'a test'],
    ...['--config', teams.configPath],
  ]
  const alive = () => teams.github.credentials().filter(one => one.alive)
  let teams: Installation

  /** Somebody of the team, and a job of the operator's, each with a token of GitHub's; the broker is stopped. */
  beforeEach(async () => {
    teams = await createInstallation(withTeams())
    const broker = await startBroker(teams)
    const { issuer, secret, agent, ask } = appOf(teams)
    const registry = registryOf(broker.url, await operatorTokenOf(broker))
    await registry.register({ documents: [issuer(), agent()], secrets: [secret] })
    const api = createApi(broker, teams)
    const evidence = { type: 'jwt', token: teams.svid('/payments/payer') }
    for (const task of [await api.open([ask], { evidence }), await api.open([asks.api])])
      expect((await api.credential(task)).status).toBe(201)
    await broker.stop()
    expect(alive()).toHaveLength(2)
  })
  afterEach(() => teams.close())

  test('as it should be: what teams issued is revoked, too', async () => {
    const { err, out } = await shell.ok(everything())
    expect([err, alive()]).toEqual(['', []])
    expect(out).toContain('0 credentials left')
  })

  test('altered: the issuers of the files go on, and those of teams are named', async () => {
    const { DatabaseSync } = await import('node:sqlite')
    const file = new DatabaseSync(join(teams.directory, 'data', 'mayfly.db'))
    file.prepare("update resources set document = '{}' where kind = 'agent' and name = 'release'").run()
    file.close()
    const { err, out } = await shell.fails(4, everything())
    expect(err).toContain('the issuer payments.github is left out, and its credentials stay')
    expect(err).toContain('altered')
    expect(err).not.toContain('    at ')
    expect(out).toMatch(/1 credential left\n {2}lse_\w+ payments\.github=/)
    expect(alive()).toHaveLength(1)
  })

  test('policies that do not fit what is configured are none of its business', async () => {
    await mkdir(join(teams.directory, 'policies'))
    const ofAws = '@id("aws") forbid(principal, action in Mayfly::Action::"aws:*", resource);'
    await writeFile(join(teams.directory, 'policies', 'all.cedar'), `${ALL}\n${ofAws}`)
    const { settings } = withTeams({ policies_dir: 'policies' })
    await teams.configure({ settings: settings! })
    await (await startBroker(teams)).stop()
    const { aws: _, ...issuers } = parse(await readFile(teams.configPath, 'utf8')).issuers
    await teams.configure({ settings: { ...settings, issuers } })
    await shell.ok(everything())
  })

  test('agents --offline ends what they hold of their team’s issuer', async () => {
    const order = ['agents', 'suspend', 'payments.payer', '--reason', 'a test', '--offline']
    const { out } = await shell.ok([...order, '--config', teams.configPath])
    expect(out).toContain('payments.payer is suspended; 0 credentials left')
    expect(alive()).toHaveLength(1)
  })
})
