/** The STS endpoint, request by request: what it takes, what it refuses in AWS's words, and what ends a session. */
import { randomUUID } from 'node:crypto'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { endTask } from '../../src/broker/tasks/end-task.ts'
import type { RunningServer } from '../../src/server.ts'
import { BUCKET, createInstallation, type Installation, startBroker } from '../fakes/installation.ts'
import { createApi } from '../support/api.ts'
import { askingPolicy } from '../support/asking-policy.ts'
import { freshToken, people } from '../support/humans.ts'
import { operatorTokenOf } from '../support/operator.ts'

let installation: Installation
let broker: RunningServer
beforeAll(async () => {
  installation = await createInstallation()
  await installation.configure({
    aws: issuer(),
    settings: { sts_endpoint: { issuers: ['aws'] } },
    agents: { release: heavy() },
  })
  broker = await startBroker(installation)
})
afterAll(async () => {
  await broker?.stop()
  await installation?.close()
})

const issuer = () => ({ roles: [installation.roleArn, longWinded()], revocation: revocation() })
const revocation = () => ({
  role_policy: true,
  iam_endpoint: installation.aws.url,
  probe: { call: 'ec2:DescribeRegions', endpoint: installation.aws.url },
})
/** The agent of the installation, with one more role of which it may have two things. */
const twoFaced = () => `${installation.roleArn}-two`
/** And one of which it may have more than a session policy can say. */
const longWinded = () => `${installation.roleArn}-long`
const heavy = () => {
  const release = installation.agents.release!
  const ceiling = release.ceiling as Record<string, unknown[]>
  const of = (action: string) => ({
    role: twoFaced(),
    statements: [{ actions: [action], resources: [`arn:aws:s3:::${BUCKET}/*`] }],
  })
  const long = {
    role: longWinded(),
    statements: Array.from({ length: 16 }, (_, index) => ({
      actions: ['s3:GetObject', 's3:PutObject'],
      resources: [`arn:aws:s3:::${BUCKET}/n${index}/*`],
    })),
  }
  return {
    ...release,
    ceiling: { ...ceiling, aws: [...ceiling.aws!, of('s3:GetObject'), of('s3:PutObject'), long] },
  }
}

type Reply = { status: number; headers: Headers; xml: string }

async function post(
  fields: Record<string, string> | string,
  path = '/sts',
  init: RequestInit = {},
): Promise<Reply> {
  const body = new URLSearchParams(fields)
  const response = await fetch(broker.url + path, { method: 'POST', body, ...init })
  return { status: response.status, headers: response.headers, xml: await response.text() }
}

const good = async (changes: Record<string, string | undefined> = {}): Promise<Record<string, string>> => {
  const fields = {
    ...{ Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15' },
    ...{ RoleArn: installation.roleArn, RoleSessionName: 'ci', DurationSeconds: '900' },
    WebIdentityToken: await installation.jobToken({ jti: randomUUID() }),
    ...changes,
  }
  return Object.fromEntries(
    Object.entries(fields).filter((one): one is [string, string] => one[1] !== undefined),
  )
}

const of = (tag: string, xml: string) => new RegExp(`<${tag}>([^<]*)</${tag}>`).exec(xml)?.[1] ?? ''

function expectRefused(reply: Reply, status: number, code: string, message: string | RegExp = ''): void {
  expect([reply.status, of('Code', reply.xml)], reply.xml).toEqual([status, code])
  expect(of('Type', reply.xml)).toBe(status >= 500 ? 'Receiver' : 'Sender')
  expect(of('Message', reply.xml)).toMatch(message)
  expect(reply.headers.get('content-type')).toBe('text/xml')
  expect(of('RequestId', reply.xml)).toBe(reply.headers.get('x-amzn-requestid'))
}

function keysOf({ xml }: Reply) {
  return {
    accessKeyId: of('AccessKeyId', xml),
    secretAccessKey: of('SecretAccessKey', xml),
    sessionToken: of('SessionToken', xml),
  }
}

/** What S3 says to these keys: the text, or the name of the error. */
async function read(credentials: ReturnType<typeof keysOf>, key = 'build.txt'): Promise<string> {
  const s3 = new S3Client({
    ...{ region: 'eu-central-1', endpoint: installation.aws.url, forcePathStyle: true, credentials },
    maxAttempts: 1,
  })
  try {
    const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }))
    return (await Body?.transformToString()) ?? ''
  } catch (error) {
    return (error as Error).name
  } finally {
    s3.destroy()
  }
}

const taskOf = async ({ xml }: Reply) => {
  const lease = (await broker.broker.ledger.read.lease(of('SourceIdentity', xml)))!
  return (await broker.broker.ledger.read.task(lease.task))!
}
const tasks = async () => (await broker.broker.ledger.read.tasks({}, { limit: 1_000 })).items.length

describe('a session', () => {
  test('is opened with the web identity, works, and says who it is for', async () => {
    const reply = await post(await good())
    expect(reply.status, reply.xml).toBe(200)
    expect(reply.headers.get('cache-control')).toBe('no-store')
    expect(reply.xml).toMatch(
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<AssumeRoleWithWebIdentityResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/"><AssumeRoleWithWebIdentityResult>/,
    )
    expect(of('SubjectFromWebIdentityToken', reply.xml)).toBe('repo:acme/api:ref:refs/heads/main')
    expect(of('Audience', reply.xml)).toBe('https://mayfly.test')
    expect(of('Provider', reply.xml)).toBe(installation.identityProvider.issuer)
    const lease = of('SourceIdentity', reply.xml)
    expect(of('Arn', reply.xml)).toBe(`arn:aws:sts::123456789012:assumed-role/deploy/${lease}`)
    expect(of('AssumedRoleId', reply.xml)).toMatch(new RegExp(`^AROA\\w+:${lease}$`))
    expect(await read(keysOf(reply))).toBe('built')
    const task = await taskOf(reply)
    expect(task).toMatchObject({ agent: 'release', purpose: 'AWS session ci', state: 'active' })
    expect(task.deadline - task.opened_at).toBe(15 * 60_000)
    expect(Date.parse(of('Expiration', reply.xml))).toBe(Math.floor(task.deadline / 1_000) * 1_000)
  })

  test('lives an hour where the caller does not say, and never longer than the agent may', async () => {
    for (const DurationSeconds of [undefined, '43200']) {
      const task = await taskOf(await post(await good({ DurationSeconds })))
      expect(task.deadline - task.opened_at).toBe(60 * 60_000)
    }
  })

  test('is dead when its task has ended', async () => {
    const reply = await post(await good())
    const keys = keysOf(reply)
    expect(await read(keys)).toBe('built')
    await endTask(broker.broker, (await taskOf(reply)).id, 'revoked', { actor: 'a test' })
    await broker.look()
    expect(await read(keys)).toBe('AccessDenied')
  })

  test('is narrowed by a session policy', async () => {
    const one = { Effect: 'Allow', Action: 's3:GetObject', Resource: `arn:aws:s3:::${BUCKET}/build.txt` }
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: one })
    const keys = keysOf(await post(await good({ Policy })))
    expect(await read(keys)).toBe('built')
    expect(await read(keys, 'other.txt')).toBe('AccessDenied')
  })

  test('is asked for with parameters in the query, and with a slash at the end', async () => {
    const { Action, Version, ...rest } = await good()
    const reply = await post(rest, `/sts/?${new URLSearchParams({ Action: Action!, Version: Version! })}`)
    expect(reply.status, reply.xml).toBe(200)
  })
})

describe('requests that are refused', () => {
  const statement = { Effect: 'Allow', Action: 's3:GetObject', Resource: '*' }
  const policy = (changes: object, outer: object = {}) =>
    JSON.stringify({ Version: '2012-10-17', Statement: [{ ...statement, ...changes }], ...outer })
  test.each<[string, Record<string, string | undefined>, number, string, RegExp]>([
    ['no action', { Action: undefined }, 400, 'MissingAction', /Action/],
    ['an empty action', { Action: '' }, 400, 'MissingAction', /Action/],
    ...['AssumeRole', 'GetSessionToken', 'assumerolewithwebidentity', 'AssumeRoleWithSAML'].map(
      (Action): [string, Record<string, string>, number, string, RegExp] => [
        ...([`the action ${Action}`, { Action }, 400, 'InvalidAction'] as const),
        new RegExp(`could not find ${Action} for version 2011-06-15`),
      ],
    ),
    ['another version', { Version: '2010-05-08' }, 400, 'InvalidAction', /2010-05-08/],
    ['no version', { Version: undefined }, 400, 'InvalidAction', /version none/],
    ['no role', { RoleArn: undefined }, 400, 'ValidationError', /RoleArn is missing/],
    ['a role that is none', { RoleArn: 'deploy' }, 400, 'ValidationError', /RoleArn/],
    [
      'a role with a wildcard',
      { RoleArn: 'arn:aws:iam::123456789012:role/*' },
      400,
      'ValidationError',
      /RoleArn/,
    ],
    ['no session name', { RoleSessionName: undefined }, 400, 'ValidationError', /RoleSessionName/],
    ['a short session name', { RoleSessionName: 'a' }, 400, 'ValidationError', /RoleSessionName/],
    ['a long session name', { RoleSessionName: 'a'.repeat(65) }, 400, 'ValidationError', /RoleSessionName/],
    ['a session name with a space', { RoleSessionName: 'a b' }, 400, 'ValidationError', /RoleSessionName/],
    ['a session name of two lines', { RoleSessionName: 'ab\n' }, 400, 'ValidationError', /RoleSessionName/],
    ['no token', { WebIdentityToken: undefined }, 400, 'ValidationError', /WebIdentityToken is missing/],
    ...['899', '43201', '-900', '9e2', '900.5', ' 900', '0x384', '٩٠٠'].map(
      (DurationSeconds): [string, Record<string, string>, number, string, RegExp] => [
        ...([`a duration of ${DurationSeconds}`, { DurationSeconds }, 400, 'ValidationError'] as const),
        /DurationSeconds must be a whole number from 900 to 43200/,
      ],
    ),
    ['a provider', { ProviderId: 'www.amazon.com' }, 400, 'ValidationError', /ProviderId/],
    [
      'managed policies',
      { 'PolicyArns.member.1.arn': 'arn:aws:iam::aws:policy/ReadOnlyAccess' },
      400,
      'ValidationError',
      /PolicyArns/,
    ],
    ['tags', { 'Tags.member.1.Key': 'a' }, 400, 'ValidationError', /not supported/],
    ['an external id', { ExternalId: 'abc' }, 400, 'ValidationError', /ExternalId is not supported/],
    ['a case twin', { action: 'GetCallerIdentity' }, 400, 'ValidationError', /sent twice/],
    ['a case twin of the role', { rolearn: 'x' }, 400, 'ValidationError', /sent twice/],
    ['a policy that is no JSON', { Policy: '{' }, 400, 'MalformedPolicyDocument', /not JSON/],
    [
      'a policy with a member twice',
      { Policy: `{"Statement":[],"Statement":[]}` },
      400,
      'MalformedPolicyDocument',
      /not JSON/,
    ],
    [
      'a policy that denies',
      { Policy: policy({ Effect: 'Deny' }) },
      400,
      'MalformedPolicyDocument',
      /no Deny/,
    ],
    [
      'a policy with a condition',
      { Policy: policy({ Condition: {} }) },
      400,
      'MalformedPolicyDocument',
      /no Condition/,
    ],
    [
      'a policy by exclusion',
      { Policy: policy({ NotAction: 's3:*' }) },
      400,
      'MalformedPolicyDocument',
      /NotAction/,
    ],
    [
      'a policy of an old version',
      { Policy: policy({}, { Version: '2008-10-17' }) },
      400,
      'MalformedPolicyDocument',
      /session policy/,
    ],
    [
      'a policy that is too long',
      { Policy: policy({ Sid: 'a'.repeat(2_000) }) },
      400,
      'ValidationError',
      /2048 characters/,
    ],
    [
      'more than the agent may have',
      { Policy: policy({ Action: 's3:*' }) },
      403,
      'AccessDenied',
      /decision dec_/,
    ],
    [
      'a role that the agent may not have',
      { RoleArn: 'arn:aws:iam::123456789012:role/admin' },
      403,
      'AccessDenied',
      /decision dec_/,
    ],
  ])('%s', async (_what, changes, status, code, message) => {
    const before = await tasks()
    expectRefused(await post(await good(changes)), status, code, message)
    expect(await tasks()).toBe(before)
  })

  test('a role of which the agent may have several things takes a policy that says which', async () => {
    expectRefused(
      await post(await good({ RoleArn: twoFaced() })),
      400,
      'ValidationError',
      /say in Policy which/,
    )
  })

  test('whatever comes twice, once in the query or in both', async () => {
    const fields = new URLSearchParams(await good())
    for (const name of ['Action', 'WebIdentityToken', 'RoleArn'])
      expectRefused(await post(`${fields}&${name}=x`), 400, 'ValidationError', /sent twice/)
    expectRefused(await post(`${fields}`, '/sts?RoleArn=x'), 400, 'ValidationError', /sent twice/)
    expectRefused(await post(`${fields}`, '/sts?rOlEaRn=x'), 400, 'ValidationError', /sent twice/)
  })

  test('a token in the URL, another method, another content type, too much', async () => {
    const { WebIdentityToken, ...rest } = await good()
    const query = new URLSearchParams({ WebIdentityToken: WebIdentityToken! })
    expectRefused(await post(rest, `/sts?${query}`), 400, 'ValidationError', /must be in the body/)
    const got = await fetch(`${broker.url}/sts?${new URLSearchParams(rest)}`)
    expect([got.status, got.headers.get('allow'), of('Code', await got.text())]).toEqual([
      405,
      'POST',
      'ValidationError',
    ])
    const json = { headers: { 'content-type': 'application/json' }, body: '{}' }
    expectRefused(await post({}, '/sts', json), 415, 'ValidationError', /x-www-form-urlencoded/)
    expectRefused(await post({ Policy: 'x'.repeat(70_000) }), 413, 'ValidationError', /at most 65536 bytes/)
  })

  test('a workload that is nobody is told so, with a decision to look up', async () => {
    const WebIdentityToken = await installation.jobToken({ jti: randomUUID(), repository_id: '99' })
    expectRefused(await post(await good({ WebIdentityToken })), 403, 'AccessDenied', /decision dec_/)
  })

  test('a ceiling that is too long for a session policy', async () => {
    const reply = await post(await good({ RoleArn: longWinded() }))
    expectRefused(reply, 400, 'PackedPolicyTooLarge', /ask for less, in Policy/)
    const Statement = { Effect: 'Allow', Action: 's3:GetObject', Resource: `arn:aws:s3:::${BUCKET}/n1/*` }
    const narrow = await post(await good({ RoleArn: longWinded(), Policy: JSON.stringify({ Statement }) }))
    // What AWS says of a role that is not there.
    expectRefused(narrow, 403, 'AccessDenied', /the provider does not permit this/)
  })

  test('where nothing is served, and at the root where that is asked for', async () => {
    const other = await createInstallation({ settings: { sts_endpoint: { path: '/', issuers: ['aws'] } } })
    const rooted = await startBroker(other)
    const answer = async (path: string) => {
      const body = new URLSearchParams({ Version: '2011-06-15' })
      const response = await fetch(rooted.url + path, { method: 'POST', body })
      return [response.status, response.headers.get('content-type'), await response.text()]
    }
    expect(await answer('/')).toEqual([400, 'text/xml', expect.stringContaining('MissingAction')])
    expect((await answer('/sts')).slice(0, 2)).toEqual([404, 'application/problem+json'])
    await rooted.stop()
    await other.close()
  })
})

describe('the same token again', () => {
  test('as the same request, at once: come back; a second later: another session, and the first is over', async () => {
    const fields = await good()
    const first = await post(fields)
    const hasty = await post(fields)
    expectRefused(hasty, 503, 'ServiceUnavailable', /try again/)
    expect(hasty.headers.get('retry-after')).toBe('1')
    expect((await taskOf(first)).state).toBe('active')
    installation.clock.advance(1_100)
    const second = await post(fields)
    expect(second.status, second.xml).toBe(200)
    expect((await taskOf(first)).end).toBe('cancelled')
    expect(await read(keysOf(second))).toBe('built')
  })

  test('as another call, or late: refused for good, and told what to do', async () => {
    const fields = await good()
    const first = await post(fields)
    installation.clock.advance(1_100)
    const again = { ...fields, RoleSessionName: 'another-process' }
    expectRefused(await post(again), 400, 'InvalidIdentityToken', /get a fresh one for each call/)
    installation.clock.advance(121_000)
    expectRefused(await post(fields), 400, 'InvalidIdentityToken', /get a fresh one for each call/)
    expect((await taskOf(first)).state).toBe('active')
  })

  test('twenty times at once: one session, and the others may come back', async () => {
    const fields = await good()
    const before = await tasks()
    const replies = await Promise.all(Array.from({ length: 20 }, () => post(fields)))
    const lost = replies.filter(reply => reply.status !== 200)
    expect(lost).toHaveLength(19)
    for (const reply of lost) expectRefused(reply, 503, 'ServiceUnavailable')
    expect(await tasks()).toBe(before + 1)
  })

  test('after AWS did not answer: at once, since nothing was handed out', async () => {
    const fields = await good()
    const issuer = broker.broker.issuers.get('aws')!
    // Its own, without what counts calls around it.
    const issue = Object.getOwnPropertyDescriptor(issuer, 'issue')!
    issuer.issue = async () => {
      throw new ProviderUnavailable('it is down')
    }
    const reply = await post(fields)
    Object.defineProperty(issuer, 'issue', issue)
    expectRefused(reply, 503, 'ServiceUnavailable')
    expect(reply.headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await post(fields)).status).toBe(200)
  })

  test('a fresh token of the same job is another session beside the first', async () => {
    const [first, second] = [await post(await good()), await post(await good())]
    expect([(await taskOf(first)).state, (await taskOf(second)).state]).toEqual(['active', 'active'])
  })
})

describe('where humans are asked', () => {
  test('nothing waits: it is refused with its decision, and the same token is good once somebody agreed', async () => {
    const { policy, people: strangers } = broker.broker
    broker.broker.policy = askingPolicy()
    broker.broker.people = people()
    const fields = await good()
    const before = await tasks()
    expectRefused(await post(fields), 403, 'AccessDenied', /agreed to beforehand.*decision dec_/)
    const refused = await post(fields)
    expectRefused(refused, 403, 'AccessDenied')
    expect(await tasks()).toBe(before)
    const decision = /dec_\w+/.exec(refused.xml)![0]
    expect(await broker.broker.ledger.read.decision(decision)).toMatchObject({ outcome: 'needs_approval' })

    const api = createApi(broker, installation)
    const [allowed] = (installation.agents.release!.ceiling as { aws: object[] }).aws
    const window = {
      ...{ agent: 'release', authorization_details: [{ type: 'aws', ...allowed }] },
      ...{ minutes: 30, uses: 1, reason: 'tonight' },
    }
    const operator = await operatorTokenOf(broker)
    const preview = await api.call('POST', '/v1/preapprovals/preview', operator, window)
    const id_token = freshToken(broker.broker, { subject: 'ada' }, preview.body.sign_in_for)
    const opened = await api.call('POST', '/v1/preapprovals', undefined, { ...window, id_token })
    expect(opened.status, JSON.stringify(opened.body)).toBe(201)
    const reply = await post(fields)
    expect(reply.status, reply.xml).toBe(200)
    expect(await read(keysOf(reply))).toBe('built')
    expectRefused(await post(await good()), 403, 'AccessDenied', /agreed to beforehand/)
    Object.assign(broker.broker, { policy, people: strangers })
  })
})

test('where the agent must be heard from, the session is said to end with the silence', async () => {
  const agents = { release: { ...heavy(), heartbeat_seconds: 120 } }
  const settings = { sts_endpoint: { issuers: ['aws'] } }
  await installation.configure({ aws: issuer(), settings, agents })
  await broker.reload()
  const reply = await post(await good())
  const task = await taskOf(reply)
  expect(task.heartbeat_due! - task.opened_at).toBe(120_000)
  expect(Date.parse(of('Expiration', reply.xml))).toBe(Math.floor(task.heartbeat_due! / 1_000) * 1_000)
})
