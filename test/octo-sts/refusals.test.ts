/** Every row of octo-sts's own errors, as its clients get them. */
import { connect } from 'node:net'
import { Hono } from 'hono'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BrokerError } from '../../src/broker/broker-error.ts'
import { renderOctoStsError } from '../../src/http/octo-sts-error.ts'
import { noMetrics } from '../../src/metrics.ts'
import { GRPC, StsRefusal, stsRefusalOf } from '../../src/octo-sts/sts-refusal.ts'
import type { RunningServer } from '../../src/server.ts'
import { LedgerUnavailable } from '../../src/store/ledger.ts'
import { silent, startBroker } from '../fakes/installation.ts'
import {
  createOctoInstallation,
  exchangeAt,
  type OctoInstallation,
  policyFor,
  type StsAnswer,
} from './octo-installation.ts'

let installation: OctoInstallation
let broker: RunningServer
const warned: unknown[] = []

beforeAll(async () => {
  installation = await createOctoInstallation()
  broker = await startBroker(installation, { ...silent, warn: fields => void warned.push(fields) })
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})
beforeEach(() => {
  // What was read of the files in the test before is past its time.
  installation.clock.advance(6 * 60_000)
  installation.put(1, 'deploy', policyFor(installation))
})
afterEach(async () => {
  installation.github.faults = () => 'ok'
  await broker.look()
  expect(installation.github.credentials().filter(one => one.alive)).toEqual([])
})

const query = { scope: 'acme/api', identity: 'deploy' }
async function refused(answer: Promise<StsAnswer> | StsAnswer) {
  const { status, body, headers } = await answer
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('content-type')).toBe('application/json')
  expect(Object.keys(body)).toEqual(['code', 'message', 'details'])
  return [status, body.code, body.message]
}
const ask = async (of: Record<string, string> | string = query, claims: Record<string, unknown> = {}) =>
  refused(exchangeAt(broker.url, of, await installation.octoToken(claims)))
/** By the policy of `deploy`, with these parts changed. */
const asked = (policy: object | string, claims: Record<string, unknown> = {}) => {
  installation.put(1, 'deploy', typeof policy === 'string' ? policy : policyFor(installation, policy))
  return ask(query, claims)
}

describe('the request', () => {
  test.each([
    ['scopes=acme/api&scopes=acme/web&identity=deploy', 'multiple scopes not supported'],
    ['identity=deploy', 'scope must be provided'],
    ['scope=acme/api', 'identity must be provided'],
  ])('%s', async (of, message) => {
    expect(await ask(of)).toEqual([400, 3, message])
  })

  test.each([
    ['acme/api/x', 'deploy'],
    ['acme/..', 'deploy'],
    ['../api', 'deploy'],
    ['acme%2f..%2fapi', 'deploy'],
    ['acme/api', '../../README'],
    ['acme/api', 'a/b'],
    ['acme/api', '.hidden'],
    ['acme/api', 'a..b'],
    ['acme/api', 'deploy?ref=evil'],
    ['acme/api', 'deploy%2f..%2fx'],
    ['acme/api', 'deploy#'],
    ['acme/api', 'x'.repeat(200)],
  ])('scope %s with identity %s goes into no path', async (scope, identity) => {
    const before = installation.github.credentials().length
    const [status, code] = await ask({ scope, identity })
    expect([status, code, installation.github.credentials().length]).toEqual([400, 3, before])
  })

  test('who sends no token, or two', async () => {
    expect(await refused(exchangeAt(broker.url, query, undefined))).toEqual([
      401,
      16,
      'expected exactly one authorization header',
    ])
    const { hostname, port } = new URL(broker.url)
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), hostname)
      let text = ''
      socket.on('data', chunk => {
        text += chunk
      })
      socket.on('close', () => resolve(text)).on('error', reject)
      const head =
        'GET /sts/exchange?scope=acme/api&identity=deploy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
      socket.write(`${head}Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n`)
    })
    expect(answer).toMatch(/^HTTP\/1.1 401 /)
    expect(answer).toContain('"code":16,"message":"expected exactly one authorization header"')
  })

  test('other methods, refresh tokens, and the page that says where the documentation is', async () => {
    const put = await fetch(`${broker.url}/sts/exchange`, { method: 'PUT' })
    expect([put.status, await put.json()]).toMatchObject([501, { code: 12 }])
    const refresh = await fetch(`${broker.url}/sts/exchange_refresh_token`, { method: 'POST' })
    expect([refresh.status, await refresh.json()]).toMatchObject([501, { code: 12 }])
    const root = await fetch(broker.url)
    expect(await root.json()).toEqual({
      msg: 'please check documentation for usage: https://github.com/octo-sts/app',
    })
  })

  test('a body in JSON is not read, a form that is too long neither', async () => {
    const token = await installation.octoToken()
    const json = {
      method: 'POST',
      body: JSON.stringify(query),
      headers: { 'content-type': 'application/json' },
    }
    expect(await refused(exchangeAt(broker.url, '', token, json))).toEqual([400, 3, 'scope must be provided'])
    const form = { method: 'POST', body: new URLSearchParams({ ...query, aud: 'x'.repeat(70_000) }) }
    const answer = await exchangeAt(broker.url, '', token, form)
    expect((await refused(answer))[0]).toBe(413)
    // The rest of the body stands unread on the connection.
    expect(answer.headers.get('connection')).toBe('close')
  })
})

test.each(['evidence_in_use', 'task_not_active', 'ticket_rejected', 'key_needed'] as const)(
  "%s of the broker's own is a refusal, and no outage to try again",
  code => {
    const { grpc, message, code: counted } = stsRefusalOf(new BrokerError(code, 'as it is'))
    expect([grpc, message, counted]).toEqual([GRPC.permissionDenied, 'as it is', 'agent_unmatched'])
  },
)

test('what is refused is counted under the code that the broker has for it', async () => {
  const counted: string[] = []
  const metrics = { ...noMetrics, refused: (code: string) => void counted.push(code) }
  const app = new Hono().onError((error, c) => renderOctoStsError(c, error, { log: silent, metrics }))
  const errors = [
    new StsRefusal(GRPC.notFound, 'no policy'),
    new BrokerError('budget_exhausted', 'no more'),
    new LedgerUnavailable(),
    new Error('a fault of the program'),
  ]
  for (const [index, error] of errors.entries())
    app.get(`/${index}`, () => {
      throw error
    })
  const statuses = await Promise.all(errors.map(async (_, index) => (await app.request(`/${index}`)).status))
  expect(statuses).toEqual([404, 429, 503, 500])
  expect(counted.sort()).toEqual(['agent_unmatched', 'budget_exhausted', 'internal', 'ledger_unavailable'])
})

describe('the token', () => {
  test.each([
    ['no token at all', 'rubbish', 3, 'invalid bearer token'],
    ['one whose issuer is no address', unsigned({ iss: 'https://a.test/?x' }), 3, 'invalid issuer format'],
    ['one of http', unsigned({ iss: 'http://a.test' }), 3, 'invalid issuer format'],
    [
      'one of a stranger',
      unsigned({ iss: 'https://evil.test' }),
      3,
      'unable to fetch or create the provider',
    ],
  ])('%s', async (_, token, code, message) => {
    expect(await refused(exchangeAt(broker.url, query, token))).toEqual([400, code, message])
  })

  test('a forged one, one past its time and one for somebody else look the same', async () => {
    const good = await installation.octoToken()
    const forged = `${good.slice(0, -8)}AAAAAAAA`
    const old = await installation.octoToken({ exp: Math.floor(installation.clock.now() / 1000) - 3600 })
    const other = await installation.octoToken({ aud: 'octo-sts.dev' })
    for (const token of [forged, old, other])
      expect(await refused(exchangeAt(broker.url, query, token))).toEqual([
        401,
        16,
        'unable to verify bearer token',
      ])
  })

  test('a subject that octo-sts does not take', async () => {
    const sub = 'repo:acme/api:environment:my prod'
    expect(await ask(query, { sub })).toEqual([400, 3, 'invalid subject in token'])
  })

  test('the same one twice', async () => {
    const token = await installation.octoToken()
    const first = await exchangeAt(broker.url, query, token)
    expect(first.status).toBe(200)
    await endOf(first)
    expect(await refused(exchangeAt(broker.url, query, token))).toEqual([
      401,
      16,
      'unable to verify bearer token',
    ])
  })
})

describe('the policy', () => {
  test('is not there, of an owner that is none of ours, or where the App does not reach', async () => {
    expect(await ask({ scope: 'acme/api', identity: 'none' })).toEqual([
      404,
      5,
      'unable to find trust policy for "none"',
    ])
    expect(await ask({ scope: 'evil/api', identity: 'deploy' })).toEqual([
      404,
      5,
      'no installation found for "evil"',
    ])
    expect(await ask({ scope: 'acme/nowhere', identity: 'deploy' })).toEqual([
      404,
      5,
      'unable to find trust policy for "deploy"',
    ])
  })

  test.each([
    ['does not parse', 'nonsense: true\n', 404, 5, 'unable to parse trust policy found for "deploy"'],
    [
      'does not compile',
      { claim_pattern: { ref: 'a)|(' } },
      404,
      5,
      'unable to compile trust policy found for "deploy"',
    ],
    ['is too large', `#${'x'.repeat(40_000)}`, 404, 5, 'unable to read trust policy found for "deploy"'],
    ['is no text', '\u0000', 404, 5, 'unable to parse trust policy found for "deploy"'],
    [
      'gives nothing',
      { permissions: {} },
      403,
      7,
      'trust policy: permissions are empty, which GitHub would read as all of them',
    ],
    [
      'is above the ceiling',
      { permissions: { administration: 'write' } },
      403,
      7,
      'trust policy: nothing of it is within the ceiling that this Mayfly has for acme (administration: write is above it)',
    ],
  ])('%s', async (_, policy, ...expected) => {
    expect(await asked(policy)).toEqual(expected)
  })

  test('is for somebody else', async () => {
    const subject = 'repo:acme/api:ref:refs/heads/main'
    const rows: [object, Record<string, unknown>, string][] = [
      [
        { issuer: 'https://evil.test' },
        {},
        `issuer "${installation.identityProvider.issuer}" did not match "https://evil.test"`,
      ],
      [
        { issuer: undefined, issuer_pattern: 'https://.*' },
        {},
        `issuer "${installation.identityProvider.issuer}" did not match pattern "https://.*"`,
      ],
      [{ subject: 'repo:acme/web' }, {}, `subject "${subject}" did not match "repo:acme/web"`],
      [
        { subject: undefined, subject_pattern: 'repo:acme/web:.*|x' },
        {},
        `subject "${subject}" did not match pattern "repo:acme/web:.*|x"`,
      ],
      [{ audience: 'https://x.test' }, {}, 'audience "https://x.test" did not match any of ["mayfly.test"]'],
      [{ audience_pattern: 'x.*' }, {}, 'audience_pattern "x.*" did not match any of ["mayfly.test"]'],
      [{ claim_pattern: { nope: '.*' } }, {}, 'expected claim "nope" not found in token'],
      [{ claim_pattern: { ref: 'refs/tags/.*' } }, {}, 'claim "ref" did not match "refs/tags/.*"'],
      [
        { claim_pattern: { event_name: '.*' } },
        { event_name: 'pull_request_target' },
        'event_name "pull_request_target" lets strangers start or shape a run: name it in claim_pattern.event_name',
      ],
    ]
    for (const [policy, claims, message] of rows) {
      expect(await asked(policy, claims)).toEqual([403, 7, `trust policy: ${message}`])
      installation.clock.advance(6 * 60_000)
    }
  })

  test('names the risky event', async () => {
    installation.put(
      1,
      'deploy',
      policyFor(installation, { claim_pattern: { event_name: 'pull_request_target|push' } }),
    )
    const token = await installation.octoToken({ event_name: 'pull_request_target' })
    const answer = await exchangeAt(broker.url, query, token)
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    await endOf(answer)
  })
})

describe('the organization', () => {
  const list = (text: string | undefined) =>
    installation.putFile(3, '.github/chainguard/trusted-token-issuers.yaml', text)
  afterEach(() => {
    list(undefined)
    installation.github.changeInstallation(77, { repositories: [1, 2, 3] })
  })

  test('does not list the issuer', async () => {
    list('issuers: [https://only.example.com]\n')
    expect(await ask()).toEqual([403, 7, 'issuer not permitted by organization policy'])
  })

  test('has a list that cannot be used, or read', async () => {
    list('issuers: [https://only.example.com]\nextra: 1\n')
    expect(await ask()).toEqual([400, 9, 'organization trusted-issuer configuration is invalid'])
    installation.clock.advance(6 * 60_000)
    installation.github.changeInstallation(77, { repositories: [1, 2] })
    expect(await ask()).toEqual([503, 14, 'organization trusted-issuer lookup unavailable'])
  })

  test('lets it pass where it only listens', async () => {
    list('mode: audit\nissuers: [https://only.example.com]\n')
    const answer = await exchangeAt(broker.url, query, await installation.octoToken())
    expect(answer.status).toBe(200)
    await endOf(answer)
  })

  test('takes no attestor that the operator did not name', async () => {
    const token = await installation.octoToken({ aud: 'https://mayfly.test' })
    expect(await refused(exchangeAt(broker.url, query, token))).toEqual([
      403,
      7,
      'issuer not permitted by organization policy',
    ])
    expect(warned).toContainEqual(
      expect.objectContaining({ owner: 'acme', remedy: expect.stringContaining('octo_sts.owners.acme') }),
    )
  })
})

describe('GitHub', () => {
  const limited = { status: 403, headers: { 'retry-after': '30' }, body: '{"message":"rate limit"}' }

  test('limits what reads the list, and what reads the policy', async () => {
    installation.github.faults = () => limited
    expect(await ask()).toEqual([429, 8, 'organization trusted-issuer lookup rate limited'])
    let reads = 0
    installation.github.faults = ({ operation, when }) => {
      if (when !== 'before' || operation !== 'repos/get-content') return 'ok'
      reads += 1
      return reads === 2 ? limited : 'ok'
    }
    const answer = await exchangeAt(broker.url, query, await installation.octoToken())
    expect(await refused(answer)).toEqual([500, 13, 'failed to get token'])
  })

  test('refuses the App itself: that says nothing of the policy, and is not remembered', async () => {
    installation.github.faults = ({ operation, when }) =>
      when === 'before' && operation === 'apps/create-installation-access-token'
        ? { status: 401, body: '{"message":"A JSON web token could not be decoded"}' }
        : 'ok'
    expect(await ask({ scope: 'acme/web', identity: 'deploy' })).toEqual([
      503,
      14,
      'organization trusted-issuer lookup unavailable',
    ])
    installation.github.faults = () => 'ok'
    const found = await exchangeAt(broker.url, query, await installation.octoToken())
    expect(found.status).toBe(200)
    await endOf(found)
  })

  test('refuses the token, or does not answer', async () => {
    const first = await exchangeAt(broker.url, query, await installation.octoToken())
    await endOf(first)
    const onMint = (fault: 'drop' | { status: number; body: string }) => {
      installation.github.faults = ({ operation, when }) =>
        when === 'before' && operation === 'apps/create-installation-access-token' ? fault : 'ok'
    }
    onMint({ status: 422, body: '{"message":"no"}' })
    expect(await ask()).toEqual([403, 7, 'token exchange failure (StatusUnprocessableEntity)'])
    onMint({ status: 503, body: '{}' })
    expect(await ask()).toEqual([500, 13, 'failed to get token'])
  })

  test('is not asked again and again for what is not there', async () => {
    const none = { scope: 'acme/api', identity: 'nothing' }
    await ask(none)
    const before = installation.github.credentials().length
    for (let time = 0; time < 5; time++) await ask(none)
    expect(installation.github.credentials().length).toBe(before)
    const claims = { repository_owner: 'stranger', repository_owner_id: '666', sub: 'repo:stranger/x:ref:y' }
    const codes = new Set<number>()
    for (let name = 0; name < 25; name++)
      codes.add((await ask({ scope: 'acme/api', identity: `guess-${name}` }, claims))[1])
    expect(codes).toEqual(new Set([5, 8]))
    // Who is not the stranger has a share of its own.
    expect((await ask({ scope: 'acme/api', identity: 'other' }))[1]).toBe(5)
  })
})

test('another repository under the name of the one that holds the policy gets nothing by it', async () => {
  const web = { scope: 'acme/web', identity: 'deploy' }
  installation.put(2, 'deploy', policyFor(installation))
  const first = await exchangeAt(broker.url, web, await installation.octoToken())
  expect(first.status).toBe(200)
  await endOf(first)
  // While the file is remembered, and the name's meaning is not.
  installation.github.removeRepository(2)
  installation.github.addRepository({ id: 22, owner: 'acme', name: 'web' })
  installation.github.changeInstallation(77, { repositories: [1, 22, 3] })
  installation.clock.advance(61_000)
  expect((await ask(web)).slice(0, 2)).toEqual([403, 7])
})

/** Everything it holds is gone. */
async function endOf(answer: StsAnswer): Promise<void> {
  const { endTask } = await import('../../src/broker/tasks/end-task.ts')
  await endTask(broker.broker, answer.body.task_id, 'completed', { actor: 'test' })
  await broker.look()
}

function unsigned(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256', typ: 'JWT' })}.${part({ sub: 'x', aud: 'mayfly.test', ...claims })}.c2ln`
}
