import { describe, expect, test } from 'vitest'
import { isLoopback } from '../../src/config/listen.ts'
import { ConfigError, loadSettings } from '../../src/config.ts'
import { LIMITS } from '../../src/limits.ts'
import { types } from './fake-types.ts'
import { memoryFiles } from './memory-files.ts'
import { places, problemsOf } from './refused.ts'

const good = `listen:
  host: 127.0.0.1
  port: 8480
public_url: http://127.0.0.1:8480
ledger:
  type: sqlite
  path: ../data/mayfly.db
kek_file: ../data/kek
attestors:
  ci:
    type: github-actions
    owner: ci@example.com
    audience: https://mayfly.example.com
issuers:
  one:
    type: fake
    nested:
      list:
        - id: 1
        - id: 2
`
const load = (text: string) =>
  loadSettings('conf/mayfly.yaml', memoryFiles({ 'conf/mayfly.yaml': text }), types)
const loadWith = (from: string, to: string) => {
  if (!good.includes(from)) throw new Error(`no ${from} in the example`)
  return load(good.replace(from, to))
}

describe('accepted', () => {
  test('with paths from the folder of the file, and defaults for the rest', async () => {
    const { settings } = await load(good)
    expect(settings).toMatchObject({
      directory: 'conf',
      ledger: { type: 'sqlite', path: 'data/mayfly.db' },
      kek_file: 'data/kek',
      agents_dir: 'conf/agents',
      resource_servers_dir: 'conf/resource-servers',
      log: { level: 'info' },
      outbound: { allow_private_networks: false },
      task_defaults: { minutes: 30 },
      plugins: [],
      attestors: {
        ci: {
          type: 'github-actions',
          owner: 'ci@example.com',
          settings: { audience: 'https://mayfly.example.com' },
        },
      },
      issuers: { one: { type: 'fake', settings: { nested: { list: [{ id: 1 }, { id: 2 }] } } } },
    })
    expect(settings.limits.connections).toBe(LIMITS.connections)
  })

  test('an absolute path stays', async () => {
    expect((await loadWith('../data/kek', '/etc/mayfly/kek')).settings.kek_file).toBe('/etc/mayfly/kek')
  })

  test.each([
    ['tls', '  host: 0.0.0.0\n  tls: { cert_file: c.pem, key_file: /k.pem }'],
    ['a proxy of our own', '  host: 10.0.0.1\n  behind_proxy: { hops: 2 }'],
    ['IPv6 loopback', "  host: '::1'"],
  ])('a listener with %s', async (_, listen) => {
    const { settings } = await loadWith('  host: 127.0.0.1', listen)
    if (settings.listen.tls)
      expect(settings.listen.tls).toEqual({ cert_file: 'conf/c.pem', key_file: '/k.pem' })
  })

  test('an alias, as long as there are few', async () => {
    const { settings } = await load(
      `${good.replace('127.0.0.1\n', '&here 127.0.0.1\n')}operator_listen: { host: *here, port: 1 }\n`,
    )
    expect(settings.operator_listen?.host).toBe('127.0.0.1')
  })
})

describe('refused, with file, line and key', () => {
  test.each<[string, string, string, string]>([
    ['port: 8480', 'prt: 8480', '3:3', 'listen.prt'],
    ['port: 8480', 'port: 65536', '3:3', 'listen.port'],
    ['port: 8480', 'port: "8480"', '3:3', 'listen.port'],
    ['port: 8480', 'port: 80.5', '3:3', 'listen.port'],
    ['port: 8480', 'port:', '3:3', 'listen.port'],
    ['host: 127.0.0.1', 'host: 0.0.0.0', '2:3', 'listen.host'],
    ['host: 127.0.0.1', 'host: 10.1.2.3', '2:3', 'listen.host'],
    ['host: 127.0.0.1', "host: '::'", '2:3', 'listen.host'],
    ['host: 127.0.0.1', "host: ''", '2:3', 'listen.host'],
    ['host: 127.0.0.1', 'host: localhost.example.com', '2:3', 'listen.host'],
    ['host: 127.0.0.1', 'host: 127.0.0.1.example.com', '2:3', 'listen.host'],
    ['  port: 8480', '  port: 8480\n  tls: { cert_file: c }', '4:3', 'listen.tls.key_file'],
    ['  port: 8480', '  port: 8480\n  behind_proxy: { hops: 0 }', '4:19', 'listen.behind_proxy.hops'],
    ['  port: 8480', '  port: 8480\n  behind_proxy: true', '4:3', 'listen.behind_proxy'],
    ['http://127.0.0.1:8480', 'http://mayfly.example.com', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'https://mayfly.example.com/', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'https://mayfly.example.com/sts', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'https://mayfly.example.com?x', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'https://u:p@mayfly.example.com', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'https://MAYFLY.example.com', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'https://mayfly.example.com:443', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'mayfly.example.com', '4:1', 'public_url'],
    ['http://127.0.0.1:8480', 'file:///etc/passwd', '4:1', 'public_url'],
    ['type: sqlite', 'type: mysql', '6:3', 'ledger.type'],
    ['type: sqlite', 'type: postgres', '7:3', 'ledger.path'],
    ['  type: sqlite\n', '', '5:1', 'ledger.type'],
    ['  path: ../data/mayfly.db', '  path: ../data/mayfly.db\n  url: x', '8:3', 'ledger.url'],
    ['kek_file: ../data/kek', 'kek_file: ""', '8:1', 'kek_file'],
    ['kek_file: ../data/kek', 'kek_file: "a\\0b"', '8:1', 'kek_file'],
    ['  ci:', '  Ci:', '10:3', 'attestors.Ci'],
    ['  ci:', '  ci/x:', '10:3', 'attestors.ci/x'],
    ['  ci:', '  c_i:', '10:3', 'attestors.c_i'],
    ['type: github-actions', 'type: gitlab', '11:5', 'attestors.ci.type'],
    ['type: github-actions', 'type: 7', '11:5', 'attestors.ci.type'],
    ['    type: github-actions\n', '', '10:3', 'attestors.ci.type'],
    ['owner: ci@example.com', 'owner: "a\\nb"', '12:5', 'attestors.ci.owner'],
    ['audience: https://mayfly.example.com', 'audience: ""', '13:5', 'attestors.ci.audience'],
    ['    audience: https://mayfly.example.com\n', '', '10:3', 'attestors.ci.audience'],
    ['    audience: https', '    audiences: x\n    audience: https', '13:5', 'attestors.ci.audiences'],
    ['- id: 2', '- id: -2', '20:11', 'issuers.one.nested.list[1].id'],
    ['- id: 2', '- id: 2\n          extra: 1', '21:11', 'issuers.one.nested.list[1].extra'],
    ['- id: 2', '- two', '20:11', 'issuers.one.nested.list[1]'],
  ])('%j as %j', async (from, to, place, key) => {
    const problems = await problemsOf(loadWith(from, to))
    expect(places(problems)).toContain(`${place} ${key}`)
    expect(problems.every(({ file }) => file === 'conf/mayfly.yaml')).toBe(true)
  })

  test.each<[string, string]>([
    ['logs: {}', 'logs'],
    ['log: { level: trace }', 'log.level'],
    ['limits: { connections: 0 }', 'limits.connections'],
    ['limits: { connections: many }', 'limits.connections'],
    ['limits: { bodyBytes: 1 }', 'limits.bodyBytes'],
    ['limits: { task_minutes: 10 }', 'task_defaults.minutes'],
    ['limits: { task_minutes: 100000 }', 'limits.task_minutes'],
    ['outbound: { allow_private_networks: yes }', 'outbound.allow_private_networks'],
    ['task_defaults: { minutes: 0 }', 'task_defaults.minutes'],
    ['task_defaults: { heartbeat_seconds: 1 }', 'task_defaults.heartbeat_seconds'],
    ['operator_listen: { host: 127.0.0.1, port: 8480 }', 'operator_listen.port'],
    ['operator_listen: { host: 0.0.0.0, port: 8481 }', 'operator_listen.host'],
    ['plugins: [{ module: p.js }]', 'plugins[0].sha256'],
    [`plugins: [{ module: p.js, sha256: ${'A'.repeat(64)} }]`, 'plugins[0].sha256'],
    ['agents_dir: 7', 'agents_dir'],
  ])('%j', async (line, key) => {
    const problems = await problemsOf(load(`${good}${line}\n`))
    expect(problems.map(problem => problem.key)).toContain(key)
  })

  test.each(['listen', 'public_url', 'ledger', 'kek_file', 'attestors', 'issuers'])(
    'a file without %s',
    async key => {
      const without = good.replace(new RegExp(`^${key}:.*\n(?: .*\n)*`, 'm'), '')
      expect(places(await problemsOf(load(without)))).toEqual([`1:1 ${key}`])
    },
  )

  test('a known type is named when an unknown one stands there, and its value is not repeated', async () => {
    const [problem] = await problemsOf(loadWith('type: github-actions', 'type: s3cr3t'))
    expect(problem?.expected).toBe('expected one of the known types: github-actions, fake')
    expect(JSON.stringify(problem)).not.toContain('s3cr3t')
  })

  test('several problems at once, in order, each on a line of its own that says where and what to do', async () => {
    const text = good
      .replace('port: 8480', 'prt: 8480')
      .replace('type: fake', 'type: fak')
      .replace('sqlite', 'x')
    const error = await load(text).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConfigError)
    // The instances are looked at once the settings around them hold.
    expect((error as Error).message.split('\n')).toEqual([
      'conf/mayfly.yaml:1:1: listen.port: missing, expected a port as a whole number from 0 to 65535. Set it',
      'conf/mayfly.yaml:3:3: listen.prt: no such key here. Remove it, or correct its spelling',
      expect.stringMatching(/^conf\/mayfly\.yaml:6:3: ledger\.type: /),
    ])
  })
})

test('of very many problems the message shows the first, and says how many more there are', async () => {
  const extra = Array.from({ length: 80 }, (_, n) => `key${n}: 1`).join('\n')
  const error = await load(`${good}${extra}\n`).catch((thrown: unknown) => thrown)
  const lines = (error as ConfigError).message.split('\n')
  expect(lines).toHaveLength(LIMITS.configProblems + 1)
  expect(lines.at(-1)).toBe('and 30 more')
  expect((error as ConfigError).problems).toHaveLength(80)
})

describe('YAML that is refused', () => {
  test.each<[string, string, string]>([
    ['a duplicate key', good.replace('  port: 8480', '  port: 8480\n  port: 1'), '4:3'],
    ['a duplicate section', `${good}kek_file: other\n`, '21:1'],
    ['a tab as indent', good.replace('  host', '\thost'), '2:1'],
    ['an open quote', good.replace('../data/kek', "'../data/kek"), '21:1'],
    ['a second document', `${good}---\na: 1\n`, '21:1'],
    ['an unknown tag', good.replace('port: 8480', 'port: !port 8480'), '3:9'],
    ['a key named __proto__', good.replace('  ci:', '  __proto__:'), '10:3'],
    ['a key that is a number', good.replace('  ci:', '  7:'), '10:3'],
    ['a key that is a list', good.replace('  ci:', '  ? [a]\n  :'), '10:5'],
    ['a key that is nothing', good.replace('  ci:', '  ~:'), '10:3'],
    ['an alias of nothing', good.replace('port: 8480', 'port: *port'), '3:9'],
  ])('%s', async (_, text, place) => {
    const problems = await problemsOf(load(text))
    expect(`${problems[0]?.line}:${problems[0]?.column}`).toBe(place)
  })

  test.each([
    ['nothing', ''],
    ['a list', '- a\n'],
    ['text', 'hello\n'],
    ['null', '~\n'],
  ])('%s', async (_, text) => {
    expect(places(await problemsOf(load(text)))[0]).toMatch(/^1:1 /)
  })

  test('aliases that multiply', async () => {
    const bomb = ['a: &a [x, x, x, x, x, x, x, x]']
    for (const [name, of] of ['ba', 'cb', 'dc', 'ed', 'fe'].map(pair => [...pair])) {
      bomb.push(`${name}: &${name} [${Array(8).fill(`*${of}`).join(', ')}]`)
    }
    const problems = await problemsOf(load(bomb.join('\n')))
    expect(problems[0]?.expected).toContain('aliases')
  })

  test('a file beyond the limit, and one nested beyond reason', async () => {
    expect((await problemsOf(load('#'.repeat(LIMITS.configFileChars + 1))))[0]?.expected).toContain('at most')
    expect(await problemsOf(load('['.repeat(100_000)))).not.toHaveLength(0)
    const nested = `a: ${'['.repeat(50_000)}${']'.repeat(50_000)}`
    expect(await problemsOf(load(nested))).not.toHaveLength(0)
  })

  test('a file that is not there', async () => {
    const [problem] = await problemsOf(loadSettings('gone.yaml', memoryFiles({}), types))
    expect(problem).toMatchObject({ file: 'gone.yaml', expected: 'expected a readable file (ENOENT)' })
  })
})

describe('isLoopback', () => {
  test.each(['127.0.0.1', '127.8.9.10', 'localhost', '::1', '[::1]'])('%s', host =>
    expect(isLoopback(host)).toBe(true),
  )
  test.each(['0.0.0.0', '::', '128.0.0.1', '127.0.0.1.nip.io', 'localhost.', '127.1', '', '169.254.169.254'])(
    'not %j',
    host => expect(isLoopback(host)).toBe(false),
  )
})
