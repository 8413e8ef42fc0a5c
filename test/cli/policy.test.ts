import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { CommandError, type Terminal } from '../../src/cli/terminal.ts'
import { ConfigError } from '../../src/config.ts'
import { createInstallation, edgeFor, type Installation } from '../fakes/installation.ts'

let installation: Installation
let policies: string

beforeAll(async () => {
  installation = await createInstallation()
  policies = join(installation.directory, 'policies')
  await mkdir(policies)
  await installation.configure({ settings: { policies_dir: 'policies' } })
})
afterAll(() => installation?.close())
beforeEach(() => write('main.cedar', POLICIES))

const POLICIES = `
@id("reads")
permit (principal, action in Mayfly::Action::"*:read", resource)
when { context.depth == 0 };

@id("releases-write")
permit (
  principal == Mayfly::Agent::"release",
  action in [Mayfly::Action::"github:propose", Mayfly::Action::"github:execute"],
  resource == Mayfly::Repository::"1"
)
when { context.claims has event_name && context.claims.event_name == "push" };

@id("high-waits") @onDeny("needs_approval") @approvers("group:leads") @quorum("2")
forbid (principal, action in Mayfly::Action::"*:execute", resource)
when { context.agent.riskTier == "high" }
unless { context has approval && context.approval.digest == context.digest };

@id("unsure")
forbid (principal, action in Mayfly::Action::"*:execute", resource)
when { context has confidence && context.confidence < 50 };
`

const CASES = `
defaults:
  agent: release
  attestor: actions
  claims: { event_name: push, repository_id: "1" }
cases:
  - name: a release pushes to its repository
    issuer: github
    phase: execute
    resources: [{ type: Repository, id: 1, name: acme/api, in: { Owner: acme } }]
    expect: allow
    by: [releases-write]
  - name: not on what a stranger causes
    issuer: github
    phase: execute
    resources: [{ type: Repository, id: 1 }]
    claims: { event_name: pull_request_target }
    expect: deny
    by: []
  - name: a real ask is judged as its issuer reads it
    ask: { type: github, repositories: [{ id: 1, name: acme/api }], permissions: { contents: read } }
    expect: allow
    by: [reads]
  - name: a risky one waits for two leads
    agent: { name: release, risk_tier: high }
    issuer: github
    phase: execute
    resources: [{ type: Repository, id: 1 }]
    expect: needs_approval
    needs: { quorum: 2, groups: [leads] }
  - name: until they agreed to this
    agent: { name: release, risk_tier: high }
    issuer: github
    phase: execute
    resources: [{ type: Repository, id: 1 }]
    approval: { count: 2, groups: [leads] }
    expect: allow
  - name: and not to something else
    agent: { name: release, risk_tier: high }
    issuer: github
    phase: execute
    resources: [{ type: Repository, id: 1 }]
    approval: { count: 2, groups: [leads], for_another_ask: true }
    expect: needs_approval
  - name: whoever is unsure does not write
    issuer: github
    phase: execute
    resources: [{ type: Repository, id: 1 }]
    confidence: 20
    expect: deny
    by: [unsure]
`

/** In this process: what these commands do, they do with files alone. */
async function run(args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const ran = { code: 0, out: '', err: '' }
  const terminal = {
    env: {},
    out: text => {
      ran.out += text
    },
    err: text => {
      ran.err += text
    },
    exitWith: code => {
      ran.code = code
    },
    edge: async () => edgeFor(installation),
  } as Partial<Terminal> as Terminal
  try {
    await createProgram(terminal, '0.0.0').parseAsync(['node', 'mayfly', ...args])
  } catch (error) {
    if (!(error instanceof CommandError || error instanceof ConfigError)) throw error
    return { ...ran, code: error instanceof CommandError ? error.exitCode : 1, err: ran.err + error.message }
  }
  return ran
}
const shell = {
  async ok(args: readonly string[]) {
    return this.fails(0, args)
  },
  async fails(code: number, args: readonly string[]) {
    const ran = await run(args)
    expect(ran.code, `${ran.out}\n${ran.err}`).toBe(code)
    return ran
  },
}

const write = (name: string, text: string) => writeFile(join(policies, name), text)
async function casesFile(text: string): Promise<string> {
  const file = join(installation.directory, 'cases.yaml')
  await writeFile(file, text)
  return file
}
const config = () => ['--config', installation.configPath]

test('cases are judged by the policies of the configuration', async () => {
  const { out } = await shell.ok(['policy', 'test', ...config(), await casesFile(CASES)])
  expect(out).toContain('ok    a release pushes to its repository: allow, by releases-write\n')
  expect(out).toMatch(/7 of 7 cases are as expected\n$/)
})

test('a case that comes out otherwise fails the run, with its line and what stood in the way', async () => {
  const wrong = CASES.replace('expect: deny\n    by: []', 'expect: allow').replace('quorum: 2', 'quorum: 3')
  const { out } = await shell.fails(1, ['policy', 'test', ...config(), await casesFile(wrong)])
  expect(out).toMatch(
    /FAIL {2}\S+cases\.yaml:13: not on what a stranger causes\n +expected allow, and it is deny\n +no policy permits it\n +nearest: /,
  )
  expect(out).toMatch(/expected other demands, and they are high-waits \(quorum 2, groups leads\)/)
  expect(out).toMatch(/5 of 7 cases are as expected\n$/)
  const json = await shell.fails(1, ['policy', 'test', '--json', ...config(), await casesFile(wrong)])
  const { results } = JSON.parse(json.out) as { results: { wrong: string[] }[] }
  expect(results.filter(one => one.wrong.length > 0)).toHaveLength(2)
})

test.each<[string, string, RegExp]>([
  ['an agent that is not registered', 'agent: releases', /cases\.yaml:\d+:\d+: cases\[0\]\.agent: .*release/],
  ['an unknown key', 'subjekt: x', /cases\[0\]\.subjekt: no such key/],
  ['an ask of an unknown issuer', 'ask: { type: gitlab }', /cases\[0\]\.issuer: expected either ask/],
  ['a time that is none', 'at: tomorrow', /cases\[0\]\.at: expected a time/],
  ['an outcome that is none', 'expect: maybe', /cases\[0\]\.expect/],
])('a case with %s is refused with its place', async (_, line, expected) => {
  const text = `cases:\n  - name: x\n    issuer: github\n    phase: read\n    resources: [{ type: Repository, id: 1 }]\n    ${line}\n${line.startsWith('expect') ? '' : '    expect: allow\n'}`
  const { err } = await shell.fails(1, ['policy', 'test', ...config(), await casesFile(text)])
  expect(err).toMatch(expected)
})

test('a set that a broker would not load is told with its place', async () => {
  await write('main.cedar', POLICIES.replace('context.depth == 0', 'context.dept == 0'))
  for (const command of [['test', await casesFile(CASES)], ['lint']]) {
    const { err } = await shell.fails(1, ['policy', ...command, ...config()])
    expect(err).toMatch(/main\.cedar:4:1: reads: .*dept/)
  }
})

test('lint fails on errors, on warnings where that is said, and knows the installation', async () => {
  expect((await shell.ok(['policy', 'lint', '--strict', ...config()])).out).toBe(
    '4 policies: 0 errors, 0 warnings\n',
  )
  await write(
    'main.cedar',
    `${POLICIES}\n@id("old") permit (principal == Mayfly::Agent::"retired", action in Mayfly::Action::"*:read", resource);`,
  )
  const { out } = await shell.ok(['policy', 'lint', ...config()])
  expect(out).toMatch(
    /main\.cedar:\d+: warning: no-such-principal: old .*\n {2}There are coder, release, reviewer\n/,
  )
  await shell.fails(1, ['policy', 'lint', '--strict', ...config()])

  const loose = join(installation.directory, 'loose')
  await mkdir(loose, { recursive: true })
  await writeFile(
    join(loose, 'a.cedar'),
    '@id("loose") permit (principal, action in Mayfly::Action::"*:read", resource) when { context.subject like "repo:acme*" };',
  )
  const refused = await shell.fails(1, ['policy', 'lint', '--policies', loose, ...config()])
  expect(refused.err).toMatch(/a\.cedar:1:1: loose: compares context\.subject with the pattern "repo:acme\*"/)
  await writeFile(
    join(loose, 'a.cedar'),
    '@id("named") permit (principal, action in Mayfly::Action::"*:read", resource == Mayfly::Repository::"acme/api");',
  )
  const failed = await shell.fails(1, ['policy', 'lint', loose, '--json', ...config()])
  expect(JSON.parse(failed.out)).toMatchObject({
    findings: [{ rule: 'name-for-id', severity: 'error', policy: 'named', line: 1 }],
  })
})

test('check compiles the policies, says what lint warns of, and reads the candidate too', async () => {
  const fine = await shell.ok(['check', ...config()])
  expect(fine.out).toMatch(/ is good: 2 attestors, .*, 1 resource server, 1 policy file\n/)
  expect(fine.err).toBe('')
  const old =
    '@id("old") permit (principal == Mayfly::Agent::"retired", action in Mayfly::Action::"*:read", resource);'
  await write('main.cedar', `${POLICIES}\n${old}`)
  expect((await shell.ok(['check', ...config()])).err).toMatch(/warning: no-such-principal: old /)
  await write('main.cedar', 'permit (principal, action, resource);')
  expect((await shell.fails(1, ['check', ...config()])).err).toMatch(/main\.cedar:1:1: expected an @id/)

  await write('main.cedar', POLICIES)
  const settings = { policies_dir: 'policies', policies_shadow_dir: 'candidate' }
  await installation.configure({ settings })
  expect((await shell.ok(['check', ...config()])).err).toMatch(/candidate: .*expected a folder/)
  await installation.configure({ settings: { policies_dir: 'policies' } })
})

test('the schema speaks of the issuers and claims of the configuration', async () => {
  const { out } = await shell.ok(['policy', 'schema', ...config()])
  expect(out).toMatch(/^namespace Mayfly \{/)
  expect(out).toContain('action "github:deploy" in ["*:*", "*:deploy", "github:*"]')
  expect(out).toContain('entity Repository')
})
