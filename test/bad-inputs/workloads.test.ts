/** Rows G and S: GitHub jobs and SPIFFE workloads that are not who an agent's rules name. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { createForger } from '../fakes/identity/forger.ts'
import { createSpiffeAuthority, type SvidRequest } from '../fakes/identity/spiffe-authority.ts'
import { AUDIENCE, asks } from '../fakes/installation.ts'
import {
  type AttackedBroker,
  agent,
  attackedBroker,
  type Claims,
  DEPLOYMENT,
  exchangeRequest,
} from './attacked-broker.ts'
import { expectRefused, testEvidence, testUnharmed } from './refusals.ts'

const it = attackedBroker()

type Denial = 'event_not_allowed' | 'agent_unmatched' | 'ask_denied'
const DENIED: Record<Denial, { oauth: string; description: string; title: string }> = {
  event_not_allowed: {
    oauth: 'invalid_scope',
    description: 'no agent of this workload may act on this event',
    title: 'The event is not allowed',
  },
  agent_unmatched: {
    oauth: 'invalid_request',
    description: 'no single registered agent matches this workload',
    title: 'No registered agent matches',
  },
  ask_denied: {
    oauth: 'invalid_scope',
    description: 'the agent may not have what was asked',
    title: 'Denied',
  },
}

/** Denied by policy at both doors: the same but for the id of the decision, under which the owner finds why. */
async function expectDenied(token: string, code: Denial, agent?: string): Promise<void> {
  const { oauth, description, title } = DENIED[code]
  const named = agent === undefined ? {} : { agent }
  const decision = expect.stringMatching(/^dec_\w+$/)
  const exchanged = await it.exchange(token, named)
  expect(exchanged.status).toBe(400)
  expect(JSON.parse(exchanged.text)).toEqual({ error: oauth, error_description: description, decision })
  const opened = await it.open(token, named)
  expect(opened.status).toBe(403)
  const type = `urn:mayfly:problem:${code}`
  expect(JSON.parse(opened.text)).toEqual({ type, title, status: 403, detail: description, code, decision })
}

const STRANGER = { repository_id: '999', repository_owner_id: '999' }
const FORK = { event_name: 'pull_request', head_ref: 'patch-1', base_ref: 'main', ref: 'refs/pull/7/merge' }
const NEXT = DEPLOYMENT.job_workflow_ref.replace('main', 'next')
/** The last two are none that GitHub has today. */
const RISKY = ['pull_request_target', 'pull_request', 'issue_comment', 'workflow_run', 'reaction', 'PUSH']

const jobTokens = (broker: AttackedBroker, all: readonly Claims[]) =>
  Promise.all(all.map(claims => broker.installation.jobToken(claims)))

describe('G: jobs of GitHub Actions', () => {
  testUnharmed(it, () => {
    const jobs: readonly (readonly [string, string, Claims, Denial, agent: string])[] = [
      ...RISKY.flatMap(event_name => [
        [
          'G1',
          `${event_name} where the rule names other events`,
          { event_name },
          'event_not_allowed',
          'release',
        ] as const,
        [
          'G1',
          `${event_name} where the rule names no event`,
          { event_name },
          'event_not_allowed',
          'anyone',
        ] as const,
      ]),
      ['G2', 'a fork, with the ids of the base', FORK, 'event_not_allowed', 'anyone'],
      [
        'G2',
        'a fork that claims the branch',
        { ...FORK, ref: 'refs/heads/main' },
        'event_not_allowed',
        'release',
      ],
      ['G2', 'a push that carries a head_ref', { head_ref: 'patch-1' }, 'event_not_allowed', 'anyone'],
      ['G3', 'the same name under another id', { repository_id: '2' }, 'agent_unmatched', 'release'],
      ['G3', 'the same name of another owner', STRANGER, 'agent_unmatched', 'release'],
      ['G3', 'an id that begins like ours', { repository_id: '11' }, 'agent_unmatched', 'release'],
      [
        'G3',
        'a stranger on a risky event',
        { ...STRANGER, event_name: 'workflow_run' },
        'agent_unmatched',
        'release',
      ],
      ['G4', 'another branch', { ref: 'refs/heads/main2' }, 'agent_unmatched', 'release'],
      ['G4', 'a tag called like the branch', { ref: 'refs/tags/main' }, 'agent_unmatched', 'release'],
      ['G4', 'the branch in other letters', { ref: 'refs/heads/Main' }, 'agent_unmatched', 'release'],
      ['G4', 'no branch', { ref: undefined }, 'agent_unmatched', 'release'],
      [
        'G7',
        'the right workflow, called from elsewhere',
        { ...DEPLOYMENT, ...STRANGER },
        'agent_unmatched',
        'deployer',
      ],
      [
        'G8',
        'the workflow at another commit',
        { ...DEPLOYMENT, job_workflow_sha: 'f'.repeat(40) },
        'agent_unmatched',
        'deployer',
      ],
      [
        'G8',
        'the workflow at another branch',
        { ...DEPLOYMENT, job_workflow_ref: NEXT },
        'agent_unmatched',
        'deployer',
      ],
      [
        'G8',
        'no commit of the workflow',
        { ...DEPLOYMENT, job_workflow_sha: undefined },
        'agent_unmatched',
        'deployer',
      ],
      [
        'G9',
        'a runner of their own',
        { ...DEPLOYMENT, runner_environment: 'self-hosted' },
        'agent_unmatched',
        'deployer',
      ],
      [
        'G9',
        'a runner that is not told',
        { ...DEPLOYMENT, runner_environment: undefined },
        'agent_unmatched',
        'deployer',
      ],
      ['G10', 'an agent whose rule does not match', {}, 'agent_unmatched', 'deployer'],
      ['G10', 'an agent of another attestor', {}, 'agent_unmatched', 'coder'],
      ['G10', 'an agent that does not exist', {}, 'agent_unmatched', 'nobody'],
      ['G10', 'an agent of the prototype', {}, 'agent_unmatched', '__proto__'],
      ['G10', "the broker's own name", {}, 'agent_unmatched', 'mayfly'],
      ['G10', 'an agent in other letters', {}, 'agent_unmatched', 'Release'],
      ['G10', 'two agents match and none is named', {}, 'agent_unmatched', 'NONE'],
    ]
    test.each(jobs)('%s %s', async (_id, _what, claims, code, agent) => {
      await expectDenied(await it.installation.jobToken(claims), code, agent === 'NONE' ? undefined : agent)
    })
  })

  testEvidence(it, [
    [
      'G11',
      'ids as numbers, with zeros, signs and spaces',
      broker =>
        jobTokens(broker, [
          ...[
            1,
            '01',
            '1 ',
            ' 1',
            '+1',
            '1.0',
            '0x1',
            '',
            '\u0661',
            '1\n',
            ['1'],
            null,
            true,
            '0',
            '-1',
            '1'.repeat(21),
          ].map(repository_id => ({ repository_id })),
          ...[5001, null, '05001'].map(repository_owner_id => ({ repository_owner_id })),
          ...[1, null, '', '1,2'].map(run_id => ({ run_id })),
        ]),
    ],
    [
      'G12',
      'claims missing or of another type',
      broker =>
        jobTokens(broker, [
          ...[
            'event_name',
            'repository',
            'repository_id',
            'repository_owner',
            'repository_owner_id',
            'run_id',
            'run_attempt',
            'jti',
          ].map(name => ({ [name]: undefined })),
          { event_name: ['push'] },
          { ref: 42 },
          { ref: 'refs/heads/main\0' },
          { environment: null },
          { repository: 'x'.repeat(2_049) },
        ]),
    ],
    [
      'G13',
      'ids in sub that are not those of the claims',
      broker =>
        jobTokens(broker, [
          { sub: 'repo:acme@5001/api@2:ref:refs/heads/main' },
          { sub: 'repo:acme@1/api@1:ref:refs/heads/main' },
        ]),
    ],
    [
      'G14',
      'the audience that GitHub fills in',
      broker => jobTokens(broker, [{ aud: 'https://github.com/acme' }]),
    ],
    [
      'G15',
      'another algorithm of the same issuer',
      broker =>
        Promise.all(
          (['ES256', 'EdDSA'] as const).map(algorithm =>
            broker.installation.identityProvider.mint({ repository_id: '1' }, { algorithm }),
          ),
        ),
    ],
  ])

  test('the jobs that the rules name are served', async () => {
    const served = [
      await it.exchange(await it.installation.jobToken(), { agent: 'release' }),
      await it.exchange(await it.installation.jobToken({ event_name: 'schedule' }), { agent: 'anyone' }),
      await it.exchange(await it.installation.jobToken(DEPLOYMENT), { agent: 'deployer' }),
    ]
    expect(served.map(reply => reply.status)).toEqual([200, 200, 200])
  })

  test.each([
    ...[
      'repo:acme*',
      'OWNER*/REPO*',
      'acme|evil',
      '^repo:acme',
      '/repo/',
      'repo:.+',
      '(?i)acme',
      'main$',
      '*',
    ],
  ])('G5 a rule that looks like the pattern %s is refused by the loader', async subject => {
    const path = join(it.installation.directory, 'agents', 'patterned.yaml')
    const ceiling = { jwt: [{ audience: asks.orders.audience, scopes: ['orders.read'] }] }
    await writeFile(
      path,
      stringify({ ...agent([{ attestor: 'actions', subject }]), ceiling, name: 'patterned' }),
    )
    await expect(it.running.reload()).rejects.toThrow('looks like a pattern')
    expect(it.running.broker.agents().has('patterned')).toBe(false)
    await rm(path)
  })
})

const stranger = createSpiffeAuthority({ trustDomain: 'acme.test', audience: AUDIENCE })
const elsewhere = createSpiffeAuthority({ trustDomain: 'evil.test', audience: AUDIENCE })
const forger = createForger()
const CODER = 'spiffe://acme.test/agent/coder'

/** SVIDs of the trusted authority, each with changes. */
const svids = (changes: (nowS: number) => readonly Partial<SvidRequest>[]) => (broker: AttackedBroker) =>
  changes(Math.floor(broker.installation.clock.now() / 1000)).map(change =>
    broker.installation.spiffe.mintSvid({ sub: CODER, ...change }),
  )

describe('S: SPIFFE workloads', () => {
  test('the workload that the rule names is served', async () => {
    const reply = await it.exchange(it.installation.svid('/agent/coder'))
    expect(reply.status, reply.text).toBe(200)
  })

  testEvidence(it, [
    [
      'S1',
      'a header beside alg, kid and typ',
      svids(() =>
        [
          'x5t',
          'x5t#S256',
          'jku',
          'jwk',
          'x5u',
          'x5c',
          'crit',
          'b64',
          'zip',
          'cty',
          'iss',
          'nonce',
          '__proto__',
          'ALG',
        ].map(name => ({ header: Object.fromEntries([[name, 'x']]) })),
      ),
    ],
    [
      'S2',
      'a typ that is none of an SVID',
      svids(() => ['at+jwt', 'wit+jwt', 'wpt+jwt', 'JWT-SVID', '', 42].map(typ => ({ header: { typ } }))),
    ],
    [
      'S3',
      'an algorithm that is none of an SVID',
      broker => {
        const { spiffe } = broker.installation
        const claims = { sub: CODER, aud: AUDIENCE, exp: Number(broker.claims().exp) }
        const pem = String(spiffe.key.publicKey.export({ format: 'pem', type: 'spki' }))
        const keyed = createForger({ kid: spiffe.key.kid })
        return [
          ...['EdDSA', 'Ed25519', 'HS256', 'none', 'RS256', 'ES384'].map(alg =>
            spiffe.mintSvid({ sub: CODER, header: { alg } }),
          ),
          keyed.hmacToken(claims, pem),
          keyed.hmacToken(claims, JSON.stringify(spiffe.key.publicJwk)),
          keyed.unsignedToken(claims),
          createForger({ algorithm: 'EdDSA', kid: spiffe.key.kid }).token(claims),
        ]
      },
    ],
    [
      'S4',
      'a key that is not in the bundle',
      broker => [
        stranger.mintSvid({ sub: CODER }),
        stranger.mintSvid({ sub: CODER, header: { kid: undefined } }),
        stranger.mintSvid({ sub: CODER, header: { kid: 'acme.test-2' } }),
        forger.token({ sub: CODER, aud: AUDIENCE, exp: broker.claims().exp }),
        broker.forger.token(broker.claims({ sub: CODER })).replace(/[^.]+$/, 'AAAA'),
      ],
    ],
    [
      'S5',
      'a subject that is no workload',
      svids(() => [
        ...[
          '',
          '/',
          '//',
          '/a//b',
          '/a/',
          '/.',
          '/..',
          '/a/../agent/coder',
          '/a/%2e%2e/b',
          '/agent/c\u00f6der',
          '/agent/coder\0',
          '/agent/coder?x',
          '/agent/coder#x',
          '/agent coder',
          `/${'x'.repeat(2_049)}`,
        ].map(path => ({ sub: `spiffe://acme.test${path}` })),
        ...[
          'spiffe://',
          'spiffe:///agent/coder',
          'SPIFFE://acme.test/agent/coder',
          'spiffe://ACME.TEST/agent/coder',
          'spiffe://acme.test:443/agent/coder',
          'spiffe://me@acme.test/agent/coder',
          'https://acme.test/agent/coder',
          ' spiffe://acme.test/agent/coder',
          'acme.test/agent/coder',
        ].map(sub => ({ sub })),
        ...[undefined, null, 42, [CODER], { id: CODER }].map(sub => ({ claims: { sub } })),
      ]),
    ],
    [
      'S6',
      'times and audiences',
      svids(nowS => [
        ...[nowS - 61, 0, -1, nowS + 0.5, `${nowS + 300}`, undefined, null, nowS + 31_536_000].map(exp => ({
          claims: { iat: undefined, exp },
        })),
        { claims: { iat: nowS + 70, exp: nowS + 100 } },
        { claims: { nbf: nowS + 70 } },
        { ttlS: 3_601 },
        ...[undefined, [], '', 'other', [AUDIENCE, 'other'], `${AUDIENCE}/`, { aud: AUDIENCE }].map(aud => ({
          claims: { aud },
        })),
      ]),
    ],
    [
      'S7',
      'a trust domain without a bundle here',
      broker => [
        elsewhere.mintSvid({ sub: '/agent/coder' }),
        elsewhere.mintSvid({ sub: CODER }),
        ...['acme.test.evil.test', 'evil.acme.test', 'acme-test', 'acme.test.', 'acme'].map(domain =>
          broker.installation.spiffe.mintSvid({ sub: `spiffe://${domain}/agent/coder` }),
        ),
      ],
    ],
    [
      'S8',
      'a WIT-SVID without a proof',
      svids(() => [
        { header: { typ: 'wit+jwt' }, claims: { cnf: { jwk: stranger.key.publicJwk } } },
        { header: { typ: 'wit+jwt' }, claims: { aud: undefined, cnf: { jwk: stranger.key.publicJwk } } },
        { header: { typ: 'WIT+JWT' } },
      ]),
    ],
  ])

  test('S7 a foreign trust domain costs no request', async () => {
    const before = it.outboundRequests()
    expectRefused('/oauth/token', await it.exchange(elsewhere.mintSvid({ sub: '/agent/coder' })), 'evil.test')
    expect(it.outboundRequests()).toBe(before)
  })

  testUnharmed(it, () => {
    test.each(['/agent', '/agent/coder/x', '/agent/Coder', '/agent/coder2', '/coder'])(
      'S9 a workload %s that no rule names is denied',
      path => expectDenied(it.installation.svid(path), 'agent_unmatched'),
    )

    test.each([
      ['a workload proof token', { 'workload-proof-token': 'a.b.c' }],
      ['a WIT in its header', { 'workload-identity-token': 'a.b.c' }],
      ['a WIT as bearer', { authorization: 'Bearer a.b.c' }],
    ])('S10 %s beside bad evidence changes nothing', async (what, headers) => {
      const sent = exchangeRequest(stranger.mintSvid({ sub: CODER }))
      expectRefused('/oauth/token', await it.send({ ...sent, headers }), what)
    })
  })
})
