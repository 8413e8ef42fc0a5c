/** The checked-in config/ starts as it is, with the attestors and issuers that come with Mayfly. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { attestorTypes } from '../../attestors/index.ts'
import { issuerTypes } from '../../issuers/index.ts'
import type { IssuerDeps } from '../../issuers/issuer.ts'
import { settingsShape } from '../../src/config/settings.ts'
import { type ConfigFiles, type LoadedSettings, loadConfig } from '../../src/config.ts'

const folder = join(import.meta.dirname, '../../config')
const disk: ConfigFiles = { readFile: path => readFile(path, 'utf8'), listDir: readdir }
const refuse = () => Promise.reject(new Error('opening an issuer neither reads nor calls'))
const deps: IssuerDeps = {
  now: () => Date.UTC(2026, 10, 22),
  fetch: refuse,
  readSecretFile: refuse,
  jwt: { issuerUrl: 'http://127.0.0.1:8480', sign: refuse },
  userAgent: 'mayfly/test',
}

const openIssuers = ({ settings, issuerTypes: known }: LoadedSettings) =>
  new Map(
    Object.entries(settings.issuers).map(([name, { type, settings: own }]) => {
      const issuer = known.find(candidate => candidate.type === type)
      return [name, issuer?.open(own, deps) ?? expect.unreachable()]
    }),
  )
const load = (files: ConfigFiles) =>
  loadConfig(join(folder, 'mayfly.yaml'), files, { attestorTypes, issuerTypes, openIssuers })

/** Takes the `# ` away from comments that hold a key or a list's item; sentences stay comments. */
function uncomment(text: string): string {
  return text.replace(/^( *)# ( *(?:[a-zA-Z_-]+:(?: |$)|- |# ))/gm, '$1$2')
}

describe('the example configuration', () => {
  test('loads, on loopback, with nothing set up', async () => {
    const { settings, agents, resourceServers } = await load(disk)
    expect(settings.listen).toEqual({ host: '127.0.0.1', port: 8480 })
    expect(settings.ledger).toEqual({ type: 'sqlite', path: join(folder, '../data/mayfly.db') })
    expect(settings.kek_file).toBe(join(folder, '../data/kek'))
    expect(agents.map(({ name }) => name)).toEqual(['orders-release', 'orders-triage'])
    expect(resourceServers).toEqual([])
  })

  test('has every key there is', async () => {
    const text = await readFile(join(folder, 'mayfly.yaml'), 'utf8')
    const { log, outbound, task_defaults, limits } = (await load(disk)).settings
    const keys = [settingsShape.shape, log, outbound, task_defaults, limits].flatMap(Object.keys)
    expect(keys.filter(key => !new RegExp(`^(?:# )? *(?:# )?${key}:`, 'm').test(text))).toEqual([])
  })

  test('its agents match no job: no GitHub repository has the id 0', async () => {
    const { agents } = await load(disk)
    for (const { attest } of agents) {
      for (const rule of attest) expect(rule.claims.repository_id).toEqual(['0'])
    }
  })

  test('the ceilings of an agent stay within what its issuer was set to sign', async () => {
    const { agents, settings } = await load(disk)
    const allowed = settings.issuers.jwt?.settings as { audiences: { audience: string; scopes: string[] }[] }
    for (const ask of agents.flatMap(({ ceiling }) => ceiling.jwt ?? [])) {
      const { audience, scopes } = ask as { audience: string; scopes: string[] }
      const entry = allowed.audiences.find(one => one.audience === audience)
      expect(entry?.scopes).toEqual(expect.arrayContaining(scopes))
    }
  })

  test('what is commented out is true too: with all of it in place, it loads', async () => {
    const { settings, agents } = await load({
      ...disk,
      async readFile(path) {
        const text = await disk.readFile(path)
        // The example plugin is a file that is not there; test/config/plugins.test.ts loads one that is.
        const withoutPlugins = text.replace(/^# (?:plugins|ledger):\n(?:#.*\n)*/gm, '')
        // Twice: a commented-out block has keys that are commented out within it.
        return uncomment(uncomment(withoutPlugins))
      },
    })
    expect(new Set(Object.values(settings.attestors).map(({ type }) => type))).toEqual(
      new Set(attestorTypes.map(({ type }) => type)),
    )
    expect(Object.keys(settings.issuers)).toEqual(['jwt', 'github-app', 'aws', 'databases'])
    expect(settings.operator_listen?.port).toBe(8481)
    expect(settings.listen.tls).toMatchObject({ cert_file: join(folder, 'tls/cert.pem') })
    expect(settings.limits.task_minutes).toBe(1440)
    expect(Object.keys(agents[0]?.ceiling ?? {})).toEqual(['jwt', 'github-app', 'aws'])
  })

  test('so is the shared ledger, in place of the own one', async () => {
    const { settings } = await load({
      ...disk,
      async readFile(path) {
        const text = await disk.readFile(path)
        return text
          .replace(/^ledger:\n(?: .*\n)*/m, '')
          .replace(/^# ledger:\n(?:#.*\n)*/m, block => uncomment(block))
      },
    })
    expect(settings.ledger).toEqual({
      type: 'postgres',
      url_file: join(folder, '../data/ledger-url'),
      ca_file: join(folder, 'tls/db-ca.pem'),
      connections: 24,
    })
  })

  test('the resource server’s example loads under its name, once it is renamed', async () => {
    const servers = join(folder, 'resource-servers')
    const text = await readFile(join(servers, 'orders-api.yaml.example'), 'utf8')
    const { resourceServers } = await load({
      readFile: async path => (path === join(servers, 'orders-api.yaml') ? text : disk.readFile(path)),
      listDir: async path => (path === servers ? ['orders-api.yaml'] : disk.listDir(path)),
    })
    expect(resourceServers.map(({ name }) => name)).toEqual(['orders-api'])
  })
})
