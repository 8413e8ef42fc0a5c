/** Trust policies as agents' files that are good, and what is found in those that are not. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { createProgram } from '../../src/cli/program.ts'
import { CommandError, type Terminal } from '../../src/cli/terminal.ts'
import { exactValues } from '../../src/octo-sts/exact-values.ts'
import { lintPolicy } from '../../src/octo-sts/lint-policy.ts'
import { readTrustPolicy } from '../../src/octo-sts/trust-policy.ts'
import { compileAnchored } from '../../src/policy/trust/anchored-pattern.ts'
import { createInstallation, edgeFor, type Installation } from '../fakes/installation.ts'

let installation: Installation
let checkouts: string
beforeAll(async () => {
  installation = await createInstallation()
  checkouts = join(installation.directory, 'checkouts')
})
afterAll(() => installation?.close())

const ISSUER = 'https://token.actions.githubusercontent.com'
const good = (changes: object = {}) => ({
  issuer: ISSUER,
  subject: 'repo:acme/api:ref:refs/heads/main',
  audience: 'mayfly.test',
  permissions: { contents: 'read' },
  ...changes,
})

async function write(repository: string, identity: string, policy: object | string): Promise<void> {
  const path = join(checkouts, repository, '.github', 'chainguard', `${identity}.sts.yaml`)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, typeof policy === 'string' ? policy : stringify(policy))
}

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const ran = { code: 0, out: '', err: '' }
  const terminal = {
    ...{ env: {}, now: () => Date.parse('2026-11-22T00:00:00Z') },
    out(text: string) {
      ran.out += text
    },
    err(text: string) {
      ran.err += text
    },
    exitWith(code: number) {
      ran.code = code
    },
    edge: async () => edgeFor(installation),
    async createSecretFile(path: string) {
      await writeFile(path, '', { flag: 'wx' })
      return { commit: (text: string) => writeFile(path, text), discard: async () => {} }
    },
  } as Partial<Terminal> as Terminal
  try {
    await createProgram(terminal, '0.0.0').parseAsync(['node', 'mayfly', ...args])
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    return { ...ran, code: error.exitCode, err: ran.err + error.message }
  }
  return ran
}

describe('mayfly import octo-sts', () => {
  test('writes agents that check accepts', async () => {
    await write('api', 'deploy', good())
    await write(
      'api',
      'Nightly_Scan',
      good({
        subject: undefined,
        subject_pattern: 'repo:acme/api:(ref:refs/heads/main|environment:prod)',
        claim_pattern: { runner_environment: 'github-hosted', event_name: 'push|schedule' },
        permissions: { contents: 'write', issues: 'write' },
      }),
    )
    await write(
      'web',
      'any',
      good({ subject: undefined, subject_pattern: 'repo:acme/web:.*', permissions: { workflows: 'write' } }),
    )
    await write(
      '.github',
      'fleet',
      good({ subject: 'repo:acme@5001/api@1:ref:refs/heads/main', repositories: ['api', 'web'] }),
    )
    const agents = join(installation.directory, 'agents')
    const before = new Set(await readdir(agents))
    const ids = ['--repository-id', 'acme/api=1', '--repository-id', 'acme/web=2']
    const ran = await run('import', 'octo-sts', checkouts, '--owner', 'acme', '--out', agents, ...ids)
    expect(ran.code, ran.out + ran.err).toBe(0)
    const written = (await readdir(agents)).filter(name => !before.has(name)).sort()
    expect(written).toEqual(['acme-fleet.yaml', 'api-deploy.yaml', 'api-nightly-scan.yaml', 'web-any.yaml'])
    const read = async (name: string) => parse(await readFile(join(agents, name), 'utf8'))
    expect(await read('api-deploy.yaml')).toMatchObject({
      risk_tier: 'low',
      expires_at: '2027-02-20T00:00:00Z',
      attest: [{ attestor: 'actions', claims: { repository_id: '1', ref: 'refs/heads/main' } }],
      ceiling: {
        github: [{ repositories: [{ id: 1, name: 'acme/api' }], permissions: { contents: 'read' } }],
      },
    })
    const claims = {
      runner_environment: 'github-hosted',
      event_name: ['push', 'schedule'],
      repository_id: '1',
    }
    expect((await read('api-nightly-scan.yaml')).attest).toEqual([
      { attestor: 'actions', claims: { ...claims, ref: 'refs/heads/main' } },
      { attestor: 'actions', claims: { ...claims, environment: 'prod' } },
    ])
    expect((await read('web-any.yaml')).attest).toEqual([
      { attestor: 'actions', claims: { repository_id: '2' } },
    ])
    expect((await read('acme-fleet.yaml')).ceiling.github[0].repositories).toHaveLength(2)
    const checked = await run('check', '--config', installation.configPath)
    expect(checked.code, checked.err).toBe(0)
    expect(ran.out).toContain('      permissions:\n')
    expect(ran.out).toContain('written to')
    // What stands there is never written over.
    const again = await run('import', 'octo-sts', checkouts, '--owner', 'acme', '--out', agents, ...ids)
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('move it away first')])
  })

  test('tells what cannot be said by exact values, and fails', async () => {
    await write('loose', 'a', good({ subject: undefined, subject_pattern: 'repo:acme/.*' }))
    await write('loose', 'b', good({ claim_pattern: { ref: 'refs/tags/v.*' } }))
    await write('loose', 'c', 'issuer: [x')
    await write('loose', 'd', good({ issuer: 'https://accounts.example.com', subject: '42' }))
    const ran = await run('import', 'octo-sts', join(checkouts, 'loose'), '--owner', 'acme', '--json')
    expect(ran.code).toBe(1)
    const { findings, agents, ceiling } = JSON.parse(ran.out) as {
      findings: { rule: string; key: string; file: string; line: number }[]
      agents: unknown[]
      ceiling: unknown
    }
    const rules = findings.filter(one => ['not-imported', 'invalid'].includes(one.rule))
    expect(rules.map(({ rule, key, file }) => [file.slice(-10), rule, key])).toEqual([
      ['a.sts.yaml', 'not-imported', 'subject_pattern'],
      ['b.sts.yaml', 'not-imported', 'claim_pattern.ref'],
      ['c.sts.yaml', 'invalid', ''],
      ['d.sts.yaml', 'not-imported', 'issuer'],
    ])
    expect([agents, ceiling]).toEqual([[], { contents: 'read' }])
    const named = await run(
      'import',
      'octo-sts',
      join(checkouts, 'loose', '.github', 'chainguard', 'd.sts.yaml'),
      '--owner',
      'acme',
      '--json',
      '--attestor',
      'https://accounts.example.com=google',
    )
    expect(JSON.parse(named.out).agents[0].attest).toEqual([
      { attestor: 'google', claims: {}, subject: ['42'] },
    ])
  })

  test('an id that is not known is asked for, by the command that finds it', async () => {
    await write('ids', 'x', good({ subject: 'repo:acme/ids:ref:refs/heads/main' }))
    const ran = await run('import', 'octo-sts', join(checkouts, 'ids'), '--owner', 'acme')
    expect(ran.code).toBe(1)
    expect(ran.out).toContain('Add --repository-id acme/ids=ID (gh api repos/acme/ids --jq .id)')
  })

  test('warnings fail where that is wanted, and a wrong line is told as one', async () => {
    const policy = good({ audience: undefined, claim_pattern: { repository_id: '9' } })
    await write('strict', 'x', policy)
    const path = join(checkouts, 'strict')
    expect((await run('import', 'octo-sts', path, '--owner', 'acme')).code).toBe(0)
    expect((await run('import', 'octo-sts', path, '--owner', 'acme', '--strict')).code).toBe(1)
    const wrong = (...args: string[]) => run('import', 'octo-sts', path, '--owner', 'acme', ...args)
    expect((await wrong('--repository-id', 'x')).code).toBe(2)
    expect((await wrong('--repository-id', 'acme/x=y')).code).toBe(2)
    expect((await run('import', 'octo-sts', join(path, 'nowhere'), '--owner', 'acme')).code).toBe(2)
    expect((await run('import', 'octo-sts', installation.directory, '--owner', 'acme')).code).toBe(1)
  })
})

describe('lint', () => {
  const rulesOf = (changes: object, repository: string | undefined = 'api') => {
    const read = readTrustPolicy('x', stringify(good(changes)), repository === undefined)
    if (!read.ok) throw new Error(JSON.stringify(read.problems))
    return lintPolicy(read.policy, { owner: 'acme', repository, identity: 'x' }).map(one => one.rule)
  }
  const pinned = { claim_pattern: { repository_id: '1' } }

  test.each([
    ['nothing', pinned, []],
    [
      'an open subject',
      { subject: undefined, subject_pattern: '.*' },
      ['admits-strangers', 'matches-everything', 'mutable-subject', 'mutable-subject', 'name-for-id'],
    ],
    [
      'an owner without its slash',
      { subject: undefined, subject_pattern: 'repo:acme.*' },
      ['admits-strangers', 'mutable-subject', 'mutable-subject', 'name-for-id'],
    ],
    [
      'an alternative that goes free',
      { subject: undefined, subject_pattern: 'repo:acme/api:.*|.*:environment:production' },
      ['admits-strangers', 'mutable-subject', 'mutable-subject', 'name-for-id'],
    ],
    ['any issuer', { ...pinned, issuer: undefined, issuer_pattern: 'https://.*' }, ['admits-strangers']],
    [
      'any branch',
      { ...pinned, subject: undefined, subject_pattern: 'repo:acme/api:ref:.*' },
      ['mutable-subject'],
    ],
    ['pull requests', { ...pinned, subject: 'repo:acme/api:pull_request' }, ['mutable-subject']],
    [
      'a workflow at a branch',
      {
        claim_pattern: {
          ...pinned.claim_pattern,
          job_workflow_ref: 'acme/w/.github/workflows/x.yml@refs/heads/main',
        },
      },
      ['mutable-subject'],
    ],
    ['names for ids', {}, ['name-for-id']],
    ['ids in the subject', { subject: 'repo:acme@5001/api@1:ref:refs/heads/main' }, []],
    ['no audience', { ...pinned, audience: undefined }, ['audience-missing']],
    [
      'a pattern that says nothing',
      { claim_pattern: { ...pinned.claim_pattern, ref: '.+' } },
      ['matches-everything'],
    ],
    [
      'a risky event',
      { claim_pattern: { ...pinned.claim_pattern, event_name: 'push|pull_request_target' } },
      ['risky-events'],
    ],
    ['no permissions', { ...pinned, permissions: {} }, ['gives-nothing']],
    ['what outlives the token', { ...pinned, permissions: { workflows: 'write' } }, ['leaves-access']],
  ])('finds %s', (_, changes, expected) => {
    expect(rulesOf(changes)).toEqual(expected)
  })

  test('finds a policy for a whole organization', () => {
    const read = readTrustPolicy('x', stringify(good(pinned)), true)
    const place = { owner: 'acme', repository: undefined, identity: 'x' }
    expect(read.ok && lintPolicy(read.policy, place).map(one => one.rule)).toEqual(['organization-wide'])
  })
})

test.each([
  ['a', ['a']],
  ['^a|b$', ['a', 'b']],
  ['refs/heads/(main|dev)', ['refs/heads/main', 'refs/heads/dev']],
  ['x(?:a|b)?y', ['xy', 'xay', 'xby']],
  ['acme\\.example\\.com', ['acme.example.com']],
  ['acme.example', ['acme.example']],
  ['a.*', undefined],
  ['a+', undefined],
  ['[ab]', undefined],
  ['\\d', undefined],
  ['(?i)a', undefined],
  ['a??', undefined],
  ['(a', undefined],
  ['a)', undefined],
  ['(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)', undefined],
])('%j stands for %j', (pattern, expected) => {
  expect(exactValues(pattern)).toEqual(expected)
  // No agent's rule admits what the policy would not.
  const compiled = compileAnchored(pattern)
  for (const value of expected ?? []) expect(compiled.ok && compiled.pattern.matches(value)).toBe(true)
})
