/** `mayfly attest check` says what is right and wrong with evidence, uses nothing up, and shows no part of it. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Attestor } from '../../attestors/attestor.ts'
import { checkEvidenceHere } from '../../src/broker/tasks/check-evidence-here.ts'
import type { RunningServer } from '../../src/server.ts'
import { asks, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { type Api, createApi } from '../support/api.ts'
import { operatorTokenOf } from '../support/operator.ts'
import { createShell, type Shell } from './mayfly.ts'

let installation: Installation
let broker: RunningServer
let api: Api
let shell: Shell
let asOperator: { env: Record<string, string> }
/** What the command said of each piece of evidence, everything that it may print. */
const said: { token: string; text: string }[] = []

beforeAll(async () => {
  installation = await createInstallation()
  broker = await startBroker(installation)
  api = createApi(broker, installation)
  shell = await createShell()
  const file = join(shell.home, 'operator.token')
  await writeFile(file, `${await operatorTokenOf(broker)}\n`, { mode: 0o600 })
  asOperator = { env: { MAYFLY_OPERATOR_TOKEN_FILE: file } }
})
afterAll(async () => {
  await broker?.stop()
  await Promise.all([installation?.close(), shell?.close()])
})

async function check(token: string, code: number, more: readonly string[] = []) {
  const file = join(shell.home, 'evidence')
  await writeFile(file, token)
  const args = ['attest', 'check', '--config', installation.configPath, '--evidence-file', file, ...more]
  const run = (json: readonly string[]) =>
    code === 0 ? shell.ok([...args, ...json], asOperator) : shell.fails(code, [...args, ...json], asOperator)
  const text = await run([])
  const json = await run(['--json'])
  said.push({ token, text: text.out + text.err + json.out + json.err })
  return { text: text.out, report: JSON.parse(json.out) }
}

describe('by the configuration alone', () => {
  test('good evidence: each check with its figures, and the one agent', async () => {
    const { text, report } = await check(await installation.jobToken(), 0)
    expect(report).toMatchObject({
      outcome: 'matched',
      ...{ attestor: 'actions', agent: 'release', nearly: [], rejection: null, unavailable: null },
      identity: { subject: 'repo:acme/api:ref:refs/heads/main', must_name: [] },
      replay: { kind: 'single_use', used: null },
      agents: [{ agent: 'release', matches: true, rules: [{ rule: 1, outcome: 'matches' }] }],
    })
    expect(report.checks.map(({ name }: { name: string }) => name)).toEqual([
      ...['form', 'header', 'type', 'algorithm', 'trust_root', 'key', 'signature', 'audience', 'subject'],
      ...['times', 'expiry', 'start', 'lifetime', 'age', 'token_id', 'claims', 'consistency'],
    ])
    expect(report.checks.every(({ passed }: { passed: boolean }) => passed)).toBe(true)
    expect(text).toMatch(/passed {2}key +kid "RS256-1"; \d usable keys at http:.*\/jwks, read \d s ago/)
    expect(text).toMatch(/passed {2}lifetime +300 s; wanted at most 900 s/)
    expect(text).toMatch(/clock +it was issued \d s ago/)
    expect(text).toMatch(/claim {2}repository_id = "1" {2}\(string, by the issuer\)/)
    expect(text).toMatch(/\nit is release; .*mayfly policy simulate\n$/)
  })

  test.each([
    [{ aud: 'https://elsewhere.test' }, 'audience', 'wanted "https://mayfly.test"'],
    [
      { exp: 1_700_000_000, iat: 1_699_999_000, nbf: undefined },
      'expiry',
      '2023-11-14T22:13:20Z; wanted after',
    ],
    [{ repository_id: 1 }, 'claims', 'repository_id is not a usable string'],
    [{ jti: undefined }, 'token_id', 'claim_missing: jti'],
    [{ exp: 9_999_999_999 }, 'lifetime', 's; wanted at most 900 s'],
    [{ sub: 'repo:acme@9/api@9:ref:refs/heads/main' }, 'consistency', 'sub carries other ids'],
  ])('%j: the check that fails is the last, and says why', async (claims, name, why) => {
    const { text, report } = await check(await installation.jobToken(claims), 1)
    expect(report).toMatchObject({ outcome: 'rejected', identity: null, agents: [] })
    const { code: rejection, detail } = report.rejection
    expect(report.checks.at(-1)).toMatchObject({ name, passed: false, rejection, detail })
    expect(report.checks.filter(({ passed }: { passed: boolean }) => !passed)).toHaveLength(1)
    expect(text).toContain(why)
  })

  test('a clock that is behind is told by how much', async () => {
    const iat = Math.floor(Date.now() / 1000) + 500
    const { text } = await check(await installation.jobToken({ iat, nbf: undefined, exp: iat + 300 }), 1)
    expect(text).toMatch(/clock +it was issued (?:49\d|500) s ahead of this clock/)
  })

  test.each([
    [() => `${installation.identityProvider.issuer}/`, 'a slash at the end'],
    [() => installation.identityProvider.issuer.replace('http:', 'https:'), 'http and https'],
    [() => installation.identityProvider.issuer.replace(/\d+$/, '1'), 'the port'],
    [() => `${installation.identityProvider.issuer}/acme`, 'the path'],
  ])('nobody takes it, and who nearly does is said', async (issuer, by) => {
    const { report } = await check(await installation.jobToken({ iss: issuer() }), 1)
    expect(report).toMatchObject({ outcome: 'rejected', attestor: null, checks: [] })
    const { identityProvider } = installation
    const expected = JSON.stringify(identityProvider.issuer)
    expect(report.nearly).toEqual([
      { attestor: 'actions', differs: 'issuer', by, expected, found: JSON.stringify(issuer()) },
    ])
  })

  test('evidence of nobody says by which claim each rule misses, nearest first', async () => {
    const { text, report } = await check(await installation.jobToken({ ref: 'refs/heads/dev' }), 1)
    expect(report).toMatchObject({ outcome: 'unmatched', agent: null, unmatched: { why: 'none' } })
    expect(report.agents).toMatchObject([
      {
        agent: 'release',
        rules: [
          { outcome: 'misses', claim: 'ref', expected: ['refs/heads/main'], found: '"refs/heads/dev"' },
        ],
      },
    ])
    expect(text).toContain('misses by ref: it takes "refs/heads/main", the evidence has "refs/heads/dev"')
  })

  test('a risky event that the rule does not name', async () => {
    const { report, text } = await check(
      await installation.jobToken({ event_name: 'pull_request_target' }),
      1,
    )
    expect(report.unmatched.why).toBe('event')
    expect(report.identity.must_name).toEqual(['event_name'])
    expect(text).toContain('does not name event_name, which it must')
  })

  test('evidence that is handed out again is told what a second use is worth', async () => {
    const { report } = await check(installation.svid('/agent/coder'), 0)
    expect(report).toMatchObject({ agent: 'coder', replay: { kind: 'pinned' } })
    expect(report.agents.map(({ agent }: { agent: string }) => agent)).toEqual(['coder', 'reviewer'])
  })

  test('--agent is held to that agent', async () => {
    const { report } = await check(installation.svid('/agent/coder'), 1, ['--agent', 'reviewer'])
    expect(report.agents).toMatchObject([{ agent: 'reviewer', rules: [{ claim: 'subject' }] }])
  })

  test('what is no token is told so', async () => {
    for (const nonsense of ['not a token', '{"value":"x"}', 'a.b', ''])
      expect((await check(nonsense, 1)).report.rejection.code).toBe('issuer_not_trusted')
    const padded = `${await installation.jobToken()}=`
    expect((await check(padded, 1)).report).toMatchObject({ outcome: 'rejected' })
  })

  test('certificates in PEM are read as such', async () => {
    const pem = readFileSync(new URL('../fakes/identity/tls/cert.pem', import.meta.url), 'utf8')
    expect((await check(pem, 1)).report.rejection.code).toBe('issuer_not_trusted')
    const file = join(shell.home, 'evidence')
    const args = ['attest', 'check', '--broker', broker.url, '--evidence-file', file]
    expect((await shell.fails(2, args, asOperator)).err).toContain('evidence of a connection')
  })

  test('keys that cannot be had are no rejection', async () => {
    installation.identityProvider.setDown(true)
    const { report } = await check(await installation.jobToken(), 2)
    installation.identityProvider.setDown(false)
    expect(report).toMatchObject({ outcome: 'unavailable', rejection: null })
    expect(report.unavailable).toContain('503')
  })

  test('nor is a configuration that is not good, or a file that is not there', async () => {
    const args = ['attest', 'check', '--config', installation.configPath, '--evidence-file']
    expect((await shell.fails(2, [...args, 'nowhere'])).err).toContain('ENOENT')
    const broken = join(installation.directory, 'broken.yaml')
    await writeFile(broken, 'attestors: 1\n')
    expect(
      (await shell.fails(2, ['attest', 'check', '--config', broken, '--evidence-file', 'x'])).err,
    ).toContain('attestors')
  })
})

describe('by a broker', () => {
  const audit = async () => (await broker.broker.ledger.read.audit({}, { limit: 1_000 })).items
  const at = () => ['--broker', broker.url]

  test('the same, written down, and nothing is used up', async () => {
    const token = await installation.jobToken()
    const { report } = await check(token, 0, at())
    expect(report).toMatchObject({ agent: 'release', replay: { kind: 'single_use', used: false } })
    const written = (await audit()).filter(({ event }) => event === 'evidence.checked')
    expect(written).toHaveLength(2)
    expect(written[0]).toMatchObject({ actor: expect.stringContaining('test') })
    expect(JSON.parse(written[0]!.data)).toEqual({ outcome: 'matched', attestor: 'actions', rejection: null })
    const opened = await api.call('POST', '/v1/tasks', undefined, {
      ...{ evidence: { type: 'jwt', token }, purpose: 'afterwards', authorization_details: [asks.apiRead] },
    })
    expect(opened.status).toBe(201)
    expect((await check(token, 0, at())).report.replay.used).toBe(true)
  })

  test('whether it was used is told only of what uses are written down of', async () => {
    const usedOf = async (reuse: 'pinned' | 'open', posture: boolean) => {
      const replay = { id: 'one', singleUse: false, reuse, until: installation.clock.now() }
      const attestor: Attestor = {
        recognises: () => true,
        attest: async () => ({ ok: true, proof: { issuer: 'i', subject: 's', claims: {}, replay } }),
        ...(posture ? { posture: true } : {}),
      }
      const stubbed = { ...broker.broker, attestors: new Map([['stub', attestor]]) }
      const asked = { evidence: { type: 'jwt', token: 'a.b.c' }, agent: undefined } as const
      return (await checkEvidenceHere(stubbed, 'operator:test', asked)).used
    }
    expect(await usedOf('pinned', false)).toBe(false)
    expect(await usedOf('open', false)).toBeUndefined()
    expect(await usedOf('pinned', true)).toBeUndefined()
  })

  test('a rejection', async () => {
    const { report } = await check(await installation.jobToken({ aud: 'https://elsewhere.test' }), 1, at())
    expect(report.rejection.code).toBe('audience_wrong')
  })

  test('for operators alone', async () => {
    const body = { evidence: { type: 'jwt', token: 'a.b.c' } }
    const { status } = await api.call('POST', '/v1/attestors/check', undefined, body)
    expect(status).toBe(401)
  })
})

test('no part of any evidence was printed, not even of one inside another', async () => {
  const inner = await installation.jobToken({ aud: 'somebody else' })
  const header = inner.split('.')[0]!
  await check(await installation.jobToken({ aud: inner }), 1)
  await check(await installation.jobToken({ ref: inner }), 1)
  await check(await installation.jobToken({ ref: `x${header}y` }), 1)
  expect(said.length).toBeGreaterThan(20)
  for (const { token, text } of said)
    for (const part of [...token.split('.'), inner.split('.')[2]!].filter(part => part.length > 16))
      expect(text.includes(part)).toBe(false)
})
