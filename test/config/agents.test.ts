import { describe, expect, test } from 'vitest'
import { loadConfig, loadRegistry, loadSettings } from '../../src/config.ts'
import { openIssuers, types } from './fake-types.ts'
import { memoryFiles } from './memory-files.ts'
import { places, problemsOf } from './refused.ts'

const settings = `listen: { host: 127.0.0.1, port: 0 }
public_url: https://mayfly.example.com
ledger: { type: sqlite, path: db }
kek_file: kek
attestors:
  github: { type: github-actions, audience: a }
  other: { type: fake, audience: a }
issuers:
  one: { type: fake, nested: { list: [] } }
  two: { type: fake, nested: { list: [] } }
limits: { task_minutes: 600 }
`
const release = `name: release
owner:
  business: product@example.com
  technical: platform@example.com
purpose: Releases the orders service
risk_tier: medium
systems: [orders]
expires_at: 2030-01-01T00:00:00Z
attest:
  - attestor: github
    claims:
      repository_id: "42"
      event_name: [push, workflow_dispatch]
  - attestor: other
    subject: spiffe://example.org/ns/ci/sa/release
ceiling:
  one:
    - scope: read
    - scope: write
limits:
  task_minutes: 60
  active_tasks: 5
  credentials_per_hour: 60
`
const live = '    claims:\n      environment: live'
const load = (agents: Readonly<Record<string, string>>) => {
  const texts = { 'c/mayfly.yaml': settings, ...mapNames(agents) }
  return loadConfig('c/mayfly.yaml', memoryFiles(texts, ['c/agents', 'c/resource-servers']), {
    ...types,
    openIssuers,
  })
}
const mapNames = (agents: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(agents).map(([name, text]) => [`c/agents/${name}`, text]))
const loadWith = (from: string, to: string) => {
  if (!release.includes(from)) throw new Error(`no ${from} in the example`)
  return load({ 'release.yaml': release.replace(from, to) })
}
const only = async (text: string) => {
  const [agent] = (await load({ 'release.yaml': text })).agents
  return agent ?? expect.unreachable()
}

describe('accepted', () => {
  test('values become lists, asks their parsed form, dates epoch ms', async () => {
    expect(await only(release)).toEqual({
      name: 'release',
      owner: { business: 'product@example.com', technical: 'platform@example.com' },
      purpose: 'Releases the orders service',
      risk_tier: 'medium',
      systems: ['orders'],
      expires_at: Date.UTC(2030, 0, 1),
      attest: [
        { attestor: 'github', claims: { repository_id: ['42'], event_name: ['push', 'workflow_dispatch'] } },
        { attestor: 'other', claims: {}, subject: ['spiffe://example.org/ns/ci/sa/release'] },
      ],
      ceiling: { one: [{ scope: 'read' }, { scope: 'write' }] },
      may_outlive_minutes: {},
      limits: { task_minutes: 60, active_tasks: 5, credentials_per_hour: 60, child_depth: 0, children: 0 },
      may_delegate_to: [],
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
  })

  test('none at all', async () => {
    expect((await load({})).agents).toEqual([])
  })

  test('sorted by name; other files and hidden ones passed over', async () => {
    const { agents } = await load({
      'release.yaml': release,
      'build.yaml': release.replace('release', 'build'),
      'README.md': '# agents',
      'old.yaml.disabled': ': not yaml',
      '..data': '',
      '.hidden.yaml': 'name: hidden',
    })
    expect(agents.map(({ name }) => name)).toEqual(['build', 'release'])
  })

  test('an agent past its time: it is policy that refuses it, and the others still load', async () => {
    expect((await only(release.replace('2030', '2020'))).expires_at).toBe(Date.UTC(2020, 0, 1))
  })

  test('delegation, heartbeat and minutes to outlive', async () => {
    const agent = await only(
      `${release}may_delegate_to: [release]\nheartbeat_seconds: 60\nmay_outlive_minutes: { one: 15 }\n`,
    )
    expect(agent).toMatchObject({
      limits: { child_depth: 1, children: 8 },
      may_delegate_to: ['release'],
      heartbeat_seconds: 60,
      may_outlive_minutes: { one: 15 },
    })
  })

  test.each([
    'true',
    '[true, "yes"]',
    '"refs/heads/a[1]"',
    '"CI (main)"',
    '"what?"',
    '"a.b+c"',
    '"$x"',
    '"a^b"',
  ])('an exact value that only resembles a pattern from afar: %s', async value => {
    await only(release.replace(/subject: spiffe.*/, `claims: { extra: ${value} }`))
  })

  // An integer claim could not be matched by any rule.
  test('whole numbers, where claims are numbers', async () => {
    const agent = await only(release.replace(/subject: spiffe.*/, 'claims: { level: [3, 4] }'))
    expect(agent.attest[1]).toEqual({ attestor: 'other', claims: { level: [3, 4] } })
  })

  test('subjects of GitHub Actions that carry ids, in place of claims', async () => {
    const subject = 'repo:acme@77/orders@501:ref:refs/heads/main'
    const agent = await only(
      release.replace('claims:\n      repository_id: "42"', `subject: ${subject}\n    claims:`),
    )
    expect(agent.attest[0]?.subject).toEqual([subject])
  })
})

describe('the digest', () => {
  test('does not change with comments, order of keys or spelling', async () => {
    const { digest } = await only(release)
    const reordered = release.replace(
      'risk_tier: medium\nsystems: [orders]',
      'systems:\n  - orders\nrisk_tier: medium',
    )
    expect((await only(`# why\n${reordered}`)).digest).toBe(digest)
    expect((await only(release.replace('"42"', "['42']"))).digest).toBe(digest)
    expect((await only(release.replace('2030-01-01T00:00:00Z', '2030-01-01T01:00:00+01:00'))).digest).toBe(
      digest,
    )
  })

  test.each<[string, string]>([
    ['product@example.com', 'others@example.com'],
    ['medium', 'high'],
    ['"42"', '"43"'],
    ['push, ', ''],
    ['- scope: write', '- scope: read'],
    ['active_tasks: 5', 'active_tasks: 6'],
    ['2030', '2031'],
  ])('changes when %j becomes %j', async (from, to) => {
    expect((await only(release.replace(from, to))).digest).not.toBe((await only(release)).digest)
  })
})

describe('refused, with file, line and key', () => {
  test.each<[string, string, string, string]>([
    ['name: release', 'name: releases', '1:1', 'name'],
    ['name: release', 'name: Release', '1:1', 'name'],
    ['name: release', 'name: ../release', '1:1', 'name'],
    ['name: release\n', '', '1:1', 'name'],
    ['  business: product@example.com\n', '', '2:1', 'owner.business'],
    ['technical: platform@example.com', 'technical: ""', '4:3', 'owner.technical'],
    ['technical:', 'tech:', '4:3', 'owner.tech'],
    ['purpose: Releases the orders service', 'purpose: "  "', '5:1', 'purpose'],
    ['purpose: Releases the orders service', `purpose: ${'x'.repeat(501)}`, '5:1', 'purpose'],
    ['purpose: Releases the orders service', 'purpose: "a\\u001bb"', '5:1', 'purpose'],
    ['risk_tier: medium', 'risk_tier: critical', '6:1', 'risk_tier'],
    ['systems: [orders]', 'systems: []', '7:1', 'systems'],
    ['systems: [orders]', 'systems: orders', '7:1', 'systems'],
    ['2030-01-01T00:00:00Z', '2030-01-01', '8:1', 'expires_at'],
    ['2030-01-01T00:00:00Z', '2030-01-01T00:00:00', '8:1', 'expires_at'],
    ['2030-01-01T00:00:00Z', '2030-13-01T00:00:00Z', '8:1', 'expires_at'],
    ['2030-01-01T00:00:00Z', 'never', '8:1', 'expires_at'],
    ['expires_at: 2030-01-01T00:00:00Z\n', '', '1:1', 'expires_at'],
    ['attestor: github', 'attestor: gitlab', '10:5', 'attest[0].attestor'],
    ['attestor: github', 'attestor: constructor', '10:5', 'attest[0].attestor'],
    ['repository_id: "42"', 'repository_id: 42', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository_id: ""', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository_id:', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository_id: []', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository_id: {a: b}', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository_id: ["42", 43]', '12:29', 'attest[0].claims.repository_id[1]'],
    ['repository_id: "42"', 'repository_id: [["42"]]', '12:23', 'attest[0].claims.repository_id[0]'],
    ['repository_id: "42"', 'repository_id: " 42"', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository: acme/orders', '10:5', 'attest[0]'],
    // A subject of names alone would match whoever has the name next.
    ['claims:\n      repository_id: "42"', `subject: repo:a/b:ref:x\n${live}`, '10:5', 'attest[0]'],
    [
      'claims:\n      repository_id: "42"',
      `subject: [repo:a@1/b@2, repo:a/b@2]\n${live}`,
      '10:5',
      'attest[0]',
    ],
    ['repository_id: "42"', 'repository_id: true', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository_id: 4.2', '12:7', 'attest[0].claims.repository_id'],
    ['repository_id: "42"', 'repository id: "42"', '12:7', 'attest[0].claims.repository id'],
    ['  - attestor: github\n', '  - attestor: github\n    pattern: x\n', '11:5', 'attest[0].pattern'],
    ['    subject: spiffe://example.org/ns/ci/sa/release\n', '', '14:5', 'attest[1]'],
    ['subject: spiffe://example.org/ns/ci/sa/release', 'subject: true', '15:5', 'attest[1].subject[0]'],
    ['subject: spiffe://example.org/ns/ci/sa/release', 'subject: []', '15:5', 'attest[1].subject'],
    ['  one:\n', '  none:\n', '17:3', 'ceiling.none'],
    ['  one:\n', '  toString:\n', '17:3', 'ceiling.toString'],
    ['- scope: write', '- scope: admin', '19:7', 'ceiling.one[1].scope'],
    ['- scope: write', '- scope: write\n      also: x', '20:7', 'ceiling.one[1].also'],
    ['- scope: write', '- write', '19:7', 'ceiling.one[1]'],
    ['  one:\n    - scope: read\n    - scope: write', '  one: []', '17:3', 'ceiling.one'],
    ['  one:\n    - scope: read\n    - scope: write', '  one: { scope: read }', '17:3', 'ceiling.one'],
    ['ceiling:\n  one:\n    - scope: read\n    - scope: write', 'ceiling: {}', '16:1', 'ceiling'],
    ['task_minutes: 60', 'task_minutes: 0', '21:3', 'limits.task_minutes'],
    ['task_minutes: 60', 'task_minutes: 601', '21:3', 'limits.task_minutes'],
    ['task_minutes: 60', 'task_minutes: 1h', '21:3', 'limits.task_minutes'],
    ['  active_tasks: 5\n', '', '20:1', 'limits.active_tasks'],
    ['active_tasks: 5', 'active_tasks: .inf', '22:3', 'limits.active_tasks'],
    ['active_tasks: 5', 'active_tasks: 5\n  child_depth: 9', '23:3', 'limits.child_depth'],
    ['active_tasks: 5', 'active_tasks: 5\n  tokens: 9', '23:3', 'limits.tokens'],
  ])('%j as %j', async (from, to, place, key) => {
    const problems = await problemsOf(loadWith(from, to))
    expect(places(problems)).toContain(`${place} ${key}`)
    expect(problems[0]?.file).toBe('c/agents/release.yaml')
  })

  test.each<[string, string]>([
    ['may_delegate_to: [nobody]', 'may_delegate_to[0]'],
    ['may_delegate_to: [release, release]', 'may_delegate_to'],
    ['may_outlive_minutes: { two: 5 }', 'may_outlive_minutes.two'],
    ['may_outlive_minutes: { one: -1 }', 'may_outlive_minutes.one'],
    ['may_outlive_minutes: 5', 'may_outlive_minutes'],
    ['heartbeat_seconds: 1', 'heartbeat_seconds'],
    ['heartbeat_seconds: 60s', 'heartbeat_seconds'],
    ['status: active', 'status'],
    ['digest: abc', 'digest'],
  ])('%j', async (line, key) => {
    expect(places(await problemsOf(load({ 'release.yaml': `${release}${line}\n` })))).toEqual([
      expect.stringMatching(new RegExp(`^24:\\d+ ${key.replace(/[[\].]/g, '\\$&')}$`)),
    ])
  })

  // Its counters and its leases would be the broker's own.
  test('an agent called like the broker itself', async () => {
    const problems = await problemsOf(load({ 'mayfly.yaml': release.replace('release', 'mayfly') }))
    expect(places(problems)).toEqual(['1:1 name'])
    expect(problems[0]?.expected).toBe('expected another name: mayfly is the broker itself')
  })

  test('delegation with no room for children', async () => {
    const text = `${release.replace('active_tasks: 5', 'active_tasks: 5\n  children: 0')}may_delegate_to: [release]\n`
    expect(places(await problemsOf(load({ 'release.yaml': text })))).toEqual(['23:3 limits.children'])
  })

  // THREATS G5, row 6: a pattern is a mistake waiting; it must not be taken literally either.
  test.each([
    'repo:acme*',
    '*',
    'repo:acme/app:ref:refs/heads/*',
    '^repo:acme/app$',
    'repo:acme/app$',
    '^repo:acme',
    'repo:acme/.+',
    '/repo:acme/',
    '/repo:acme/i',
    'a|b',
    '(?:a)',
    '\\d+',
  ])('a value that looks like a pattern, as claim and as subject: %s', async value => {
    const asClaim = await problemsOf(loadWith('"42"', JSON.stringify(value)))
    const asSubject = await problemsOf(
      loadWith('spiffe://example.org/ns/ci/sa/release', JSON.stringify(['ok', value])),
    )
    expect(asClaim[0]).toMatchObject({ line: 12, key: 'attest[0].claims.repository_id' })
    expect(asSubject[0]).toMatchObject({ line: 15, key: 'attest[1].subject[1]' })
    expect(asClaim[0]?.expected).toContain('looks like a pattern')
    expect(asClaim[0]?.remedy).toBe('List each value that may match')
  })

  test('a .yml file, which would look registered and not be', async () => {
    const [problem] = await problemsOf(load({ 'release.yml': release }))
    expect(problem).toMatchObject({ file: 'c/agents/release.yml', remedy: 'Rename it' })
  })

  test('one bad agent refuses all of them, and the problems of every file are told', async () => {
    const problems = await problemsOf(
      load({
        'release.yaml': release,
        'build.yaml': release.replace('name: release', 'name: build').replace('medium', 'none'),
        'test.yaml': release.replace('name: release', 'name: test').replace('task_minutes', 'task_hours'),
        'broken.yaml': 'name: [',
      }),
    )
    expect([...new Set(problems.map(({ file }) => file))]).toEqual([
      'c/agents/broken.yaml',
      'c/agents/build.yaml',
      'c/agents/test.yaml',
    ])
  })

  test('a folder that is not there', async () => {
    const files = memoryFiles({ 'c/mayfly.yaml': settings }, ['c/resource-servers'])
    const loading = loadConfig('c/mayfly.yaml', files, { ...types, openIssuers })
    expect(await problemsOf(loading)).toMatchObject([{ file: 'c/agents', key: 'agents_dir' }])
  })
})

test('the registry loads again by itself, as a reload does', async () => {
  const texts: Record<string, string> = { 'c/mayfly.yaml': settings, 'c/agents/release.yaml': release }
  const files = memoryFiles(texts, ['c/resource-servers'])
  const loaded = await loadSettings('c/mayfly.yaml', files, types)
  const again = () => loadRegistry(loaded.settings, openIssuers(loaded), files)
  expect((await again()).agents).toHaveLength(1)
  texts['c/agents/build.yaml'] = release.replace('name: release', 'name: build')
  expect((await again()).agents).toHaveLength(2)
  texts['c/agents/build.yaml'] = 'name: build'
  await problemsOf(again())
})
