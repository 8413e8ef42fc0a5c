/** What is told of evidence, beyond what `mayfly attest check` shows of one installation. */
import { describe, expect, test } from 'vitest'
import {
  AttestationUnavailable,
  type Attestor,
  type RuleFacts,
  type Verdict,
} from '../../attestors/attestor.ts'
import { spiffeX509 } from '../../attestors/spiffe-x509.ts'
import { checkEvidence } from '../../src/broker/tasks/check-evidence.ts'
import { withoutEvidence } from '../../src/broker/tasks/without-evidence.ts'
import type { Agent } from '../../src/policy/agent.ts'
import { NOON, open } from '../attestors/issuer-subject.ts'
import { createForger } from '../fakes/identity/forger.ts'
import { createSpiffeX509Authority } from '../fakes/identity/spiffe-x509-authority.ts'

const forger = createForger({ kid: 'good' })
const ISSUER = 'https://issuer.test'
const token = (claims: object = {}) =>
  ({ type: 'jwt', token: forger.token({ iss: ISSUER, aud: 'a', sub: 's', ...claims }) }) as const

const proven: Verdict = {
  ok: true,
  proof: {
    ...{ issuer: ISSUER, subject: 's' },
    claims: { id: '1', branch: 'main', guarded: 'true', tag: 'x' },
    replay: { id: 'use', singleUse: false, until: NOON },
  },
}

/** A class, since a plugin may be one: what is asked of it is asked of the object. */
class Stub implements Attestor {
  readonly takes = { issuer: ISSUER, audience: 'a' }
  readonly #answer: () => Promise<Verdict>
  declare rules?: RuleFacts
  declare posture?: true
  constructor(
    more: Partial<Pick<Attestor, 'rules' | 'takes' | 'posture'>> = {},
    answer = async () => proven,
  ) {
    this.#answer = answer
    Object.assign(this, more)
  }
  recognises(evidence: Parameters<Attestor['recognises']>[0]): boolean {
    return evidence.type === 'jwt' && this.#isOurs(evidence.token)
  }
  isFor(): boolean {
    return this.takes.audience === 'a'
  }
  attest(): Promise<Verdict> {
    return this.#answer()
  }
  #isOurs(text: string): boolean {
    return JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()).iss === this.takes.issuer
  }
}

function agent(name: string, claims: Record<string, string[]>, more: Partial<Agent> = {}): Agent {
  const rule = { attestor: 'stub', claims }
  return { name, attest: [rule], expires_at: NOON + 1, ...more } as Agent
}

function check(
  attestors: Record<string, Attestor>,
  agents: Agent[] = [],
  evidence: Parameters<typeof checkEvidence>[1] = token(),
) {
  const known = new Map(agents.map(one => [one.name, one]))
  const checking = { attestors: new Map(Object.entries(attestors)), agents: () => known, now: () => NOON }
  return checkEvidence(checking, evidence)
}

test('claims are told apart by who decides them, as the type says', async () => {
  const rules: RuleFacts = {
    claimTypes: { id: 'string', branch: 'string', guarded: 'string' },
    pinnedBy: { claims: ['id'], remedy: 'name it' },
    callerChosen: { branch: 'guarded' },
  }
  const { proof } = await check({ stub: new Stub({ rules }) })
  expect(proof?.claims).toEqual([
    { name: 'id', value: '1', type: 'string', decidedBy: 'authority' },
    { name: 'branch', value: 'main', type: 'string', decidedBy: 'caller', countsWith: 'guarded' },
    { name: 'guarded', value: 'true', type: 'string', decidedBy: 'authority' },
    { name: 'tag', value: 'x', decidedBy: 'not_known' },
  ])
  expect(proof?.replay).toBe('pinned')
})

test('agents come nearest first, and who has expired does not match', async () => {
  const agents = [
    agent('far', { id: ['2'], branch: ['dev'] }),
    agent('near', { id: ['1'], branch: ['dev'] }),
    agent('late', { id: ['1'] }, { expires_at: NOON }),
    agent('elsewhere', {}, { attest: [{ attestor: 'other', claims: {} }] }),
  ]
  const report = await check({ stub: new Stub() }, agents)
  expect(report).toMatchObject({ outcome: 'unmatched', match: { why: 'expired' } })
  expect(report.agents.map(({ agent, expired }) => [agent, expired])).toEqual([
    ['late', true],
    ['near', false],
    ['far', false],
  ])
  expect(report.agents[1]!.rules).toEqual([
    { rule: 1, outcome: 'misses', claim: 'branch', expected: ['dev'], found: '"main"' },
  ])
})

test('a statement about surroundings is nobody’s identity', async () => {
  const report = await check({ sandbox: new Stub({ posture: true }) }, [agent('any', {})])
  expect(report).toMatchObject({ outcome: 'statement', attestor: 'sandbox', agents: [] })
})

test('two attestors of one issuer, and it is for neither', async () => {
  const other = { takes: { issuer: ISSUER, audience: 'b' } }
  const report = await check({ one: new Stub(other), two: new Stub(other) })
  expect(report).toMatchObject({ outcome: 'rejected', rejection: { code: 'audience_wrong' }, checks: [] })
  expect(
    report.nearly.map(({ attestor, differs, expected, found }) => [attestor, differs, expected, found]),
  ).toEqual([
    ['one', 'audience', '"b"', '"a"'],
    ['two', 'audience', '"b"', '"a"'],
  ])
})

describe('what goes wrong', () => {
  test('is an outage where the attestor says so', async () => {
    const stub = new Stub({}, () => Promise.reject(new AttestationUnavailable('no keys')))
    expect(await check({ stub })).toMatchObject({ outcome: 'unavailable', unavailable: 'no keys' })
  })

  test('and a fault of ours where it does not', async () => {
    const stub = new Stub({}, () => Promise.reject(new TypeError('a bug')))
    await expect(check({ stub })).rejects.toThrow('a bug')
  })
})

test('certificates are checked like tokens, by the bundle', async () => {
  const now = () => NOON
  const authority = await createSpiffeX509Authority({ trustDomain: 'acme.test', now })
  const other = await createSpiffeX509Authority({ trustDomain: 'acme.test', now })
  const readFile = async () => authority.bundle()
  const stub = open(spiffeX509, { trust_domain: 'acme.test', bundle_file: 'b' }, { now, readFile })
  const of = async ({ issue }: typeof authority) =>
    check({ stub }, [], { type: 'certificates', chain: (await issue('/agent/coder')).chain })
  expect((await of(authority)).checks.map(({ name, passed }) => [name, passed])).toEqual([
    ...[
      ['form', true],
      ['certificate', true],
      ['chain_form', true],
      ['chain', true],
    ],
  ])
  expect((await of(other)).checks.at(-1)).toMatchObject({
    name: 'chain',
    passed: false,
    rejection: 'signature_invalid',
  })
})

test('no part of the evidence stays in a text, whoever wrote it', () => {
  const evidence = token()
  const [header, payload, signature] = evidence.token.split('.')
  const report = {
    said: [`${header}`, { [`${payload}`]: `x${signature}x` }],
    n: 1,
    other: forger.token({ sub: 'x' }),
  }
  const text = JSON.stringify(withoutEvidence(report, evidence))
  expect(text).toBe('{"said":["…",{"…":"x…x"}],"n":1,"other":"(a token)"}')
})
