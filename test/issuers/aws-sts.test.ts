import { GetRoleCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam'
import { AssumeRoleCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ProviderUnavailable } from '../../issuers/issuer.ts'
import { Secret } from '../../issuers/shared/secret.ts'
import { describeIssuer } from '../conformance/issuer.ts'
import { AwsWorld, BROKER_KEY, outcome } from './aws-world.ts'
import { faultControls } from './stand-in.ts'

const ROLE = 'arn:aws:iam::123456789012:role/deploy'

const closeAsks = fc.record(
  {
    role: fc.constantFrom(ROLE, ROLE, ROLE, `${ROLE}-2`),
    statements: fc.array(
      fc.record({
        actions: fc.subarray(
          ['s3:GetObject', 's3:getobject', 's3:Get*', 's3:*', 's3:PutObject', '*', 's3:?etObject'],
          {
            minLength: 1,
            maxLength: 2,
          },
        ),
        resources: fc.subarray(
          [
            '*',
            'arn:aws:s3:::a/*',
            'arn:aws:s3:::a/b',
            'arn:aws:s3:::a/?',
            'arn:aws:s3:::*',
            'arn:aws:s3:*:*:a/b',
          ],
          { minLength: 1, maxLength: 2 },
        ),
      }),
      { minLength: 1, maxLength: 2 },
    ),
    allow_role_chaining: fc.boolean(),
    allow_iam_writes: fc.boolean(),
  },
  { requiredKeys: ['role', 'statements'], noNullPrototype: true },
)

describeIssuer('aws-sts', async () => {
  const world = await AwsWorld.start()
  const { aws, clocks } = world
  const issuer = world.open()
  return {
    issuer,
    asks: {
      granted: world.readArtifacts(),
      refused: world.readArtifacts({ role: world.lockedRole }),
      any: closeAsks,
    },
    use: secret => world.read(secret),
    useOutside: secret => world.write(secret),
    now: clocks.broker,
    advance: ms => clocks.advance(ms),
    ownSecrets: [BROKER_KEY.SecretAccessKey],
    provider: {
      requests: () => world.host.counted.requests,
      given: () => aws.credentials().map(({ alive, sessionName }) => ({ alive, handle: sessionName })),
      advance: ms => clocks.advanceProvider(ms),
      ...faultControls(aws, 'AssumeRole', 200),
    },
    close: () => world.close(),
  }
})

describe('aws-sts', () => {
  let world: AwsWorld
  beforeEach(async () => {
    world = await AwsWorld.start()
  })
  afterEach(() => world.close())

  const everything = [{ actions: ['*'], resources: ['*'] }]

  describe('the session', () => {
    test('carries the lease as name, source identity and tag, and task and agent as tags', async () => {
      const { details } = await world.issued(world.open(), world.readArtifacts())
      const lease = `lse_${'a'.repeat(26)}`
      expect(world.aws.credentials()).toMatchObject([
        {
          sessionName: lease,
          sourceIdentity: lease,
          tags: [
            { key: 'mayfly:lease', value: lease },
            { key: 'mayfly:task', value: 'tsk_1' },
            { key: 'mayfly:agent', value: 'deployer' },
          ],
        },
      ])
      expect(details).toMatchObject({
        account: '123456789012',
        role_arn: world.role,
        session_arn: `arn:aws:sts::123456789012:assumed-role/deploy/${lease}`,
      })
    })

    test('stops at the deadline to the second, though STS gives it a quarter of an hour', async () => {
      const { secret, providerExpiresAt, details } = await world.issued(
        world.open(),
        world.readArtifacts(),
        5,
      )
      const start = world.clocks.broker()
      expect(providerExpiresAt).toBe(start + 5 * 60_000)
      expect(Date.parse(String(details?.sts_expiration))).toBe(start + 15 * 60_000)
      world.clocks.advance(5 * 60_000 - 1_000)
      expect(await world.read(secret.reveal())).toBe('accepted')
      world.clocks.advance(1_000)
      expect(await world.read(secret.reveal())).toBe('refused')
      expect(world.aws.credentials().filter(({ alive }) => alive)).toEqual([])
    })

    test('is asked for as long as the task lives, up to the cap; what ends first is told', async () => {
      const issuer = world.open({ max_session_minutes: 60 })
      const start = world.clocks.broker()
      const half = await world.issued(issuer, world.readArtifacts(), 30)
      expect(Date.parse(String(half.details?.sts_expiration))).toBe(start + 30 * 60_000)
      const long = await world.issued(issuer, world.readArtifacts(), 90)
      expect(long.providerExpiresAt).toBe(start + 60 * 60_000)
    })

    test('may not chain roles nor write IAM, even where the role and the ask say everything', async () => {
      const { config } = await world.issued(world.open(), { role: world.role, statements: everything })
      const chain = new AssumeRoleCommand({ RoleArn: world.role, RoleSessionName: 'next' })
      expect(await outcome(new STSClient(config).send(chain))).toBe('refused')
      const widen = new PutRolePolicyCommand({
        RoleName: 'deploy',
        PolicyName: 'more',
        PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [] }),
      })
      expect(await outcome(new IAMClient(config).send(widen))).toBe('refused')
      expect(await outcome(new IAMClient(config).send(new GetRoleCommand({ RoleName: 'deploy' })))).toBe(
        'accepted',
      )
    })

    test('may chain roles where that was asked for', async () => {
      const ask = { role: world.role, statements: everything, allow_role_chaining: true }
      const { details, config } = await world.issued(world.open(), ask)
      const policy = {
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Action: 's3:*', Resource: '*' }],
      }
      const next = world.aws.addRole({
        name: 'next',
        trusts: [String(details?.session_arn), world.role],
        policy,
      })
      const chain = new AssumeRoleCommand({ RoleArn: next.arn, RoleSessionName: 'next' })
      expect(await outcome(new STSClient(config).send(chain))).toBe('accepted')
    })

    test('always may say who it is', async () => {
      const { config } = await world.issued(world.open(), world.readArtifacts())
      const { Arn } = await new STSClient(config).send(new GetCallerIdentityCommand({}))
      expect(Arn).toContain('assumed-role/deploy/lse_')
    })
  })

  test('a policy above 2048 characters is refused before AWS is asked, and says how long it is', async () => {
    const resources = Array.from({ length: 60 }, (_, i) => `arn:aws:s3:::artifacts/${'x'.repeat(20)}/${i}`)
    const ask = { role: world.role, statements: [{ actions: ['s3:GetObject'], resources }] }
    expect(await world.issue(world.open(), ask)).toMatchObject({
      ok: false,
      reason: 'rejected',
      detail: expect.stringMatching(/has \d{4} characters and AWS takes 2048/),
    })
    expect(world.host.counted.requests).toBe(0)
  })

  test('a role that is not on the list is refused before AWS is asked', async () => {
    const issuer = world.open({ roles: [world.lockedRole] })
    expect(await world.issue(issuer, world.readArtifacts())).toMatchObject({
      ok: false,
      reason: 'not_permitted',
    })
    expect(world.host.counted.requests).toBe(0)
  })

  test('a session longer than the role allows is refused by AWS, and its reason is told', async () => {
    const issuer = world.open({ max_session_minutes: 720 })
    expect(await world.issue(issuer, world.readArtifacts(), 600)).toMatchObject({
      ok: false,
      reason: 'rejected',
      detail: expect.stringContaining('ValidationError'),
    })
  })

  test("without a key file the SDK's own chain is asked, here the environment", async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', BROKER_KEY.AccessKeyId)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', BROKER_KEY.SecretAccessKey)
    try {
      expect(await world.issue(world.open({ credentials: 'ambient' }), world.readArtifacts())).toMatchObject({
        ok: true,
      })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test("a key AWS does not know is told as the broker's own fault, a file that cannot be read by its name", async () => {
    const { deps } = world.host
    const read = deps.readSecretFile
    const unknown = world.open({ credentials: { access_key_file: 'broken.json' } })
    await expect(world.issue(unknown, world.readArtifacts())).rejects.toMatchObject({
      name: 'ProviderUnavailable',
      message: 'broken.json is not an AWS access key in JSON',
      nothingMinted: true,
    })
    deps.readSecretFile = async path => {
      const text = (await read(path)).reveal()
      return new Secret(text.replace('AKIABROKER', 'AKIANOBODY'))
    }
    expect(await world.issue(world.open(), world.readArtifacts())).toMatchObject({
      ok: false,
      reason: 'rejected',
      detail: expect.stringContaining("the broker's own credentials"),
    })
  })

  const replyWith = (status: number, code: string) => {
    world.aws.faults = ({ when }) =>
      when === 'before'
        ? {
            status,
            headers: { 'content-type': 'text/xml' },
            body: `<ErrorResponse><Error><Type>Sender</Type><Code>${code}</Code><Message>said so</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
          }
        : 'ok'
  }

  test.each([
    [403, 'AccessDenied', 'not_permitted'],
    [400, 'MalformedPolicyDocument', 'rejected'],
    [400, 'PackedPolicyTooLarge', 'rejected'],
    [400, 'ValidationError', 'rejected'],
    [403, 'RegionDisabledException', 'rejected'],
    [403, 'ExpiredToken', 'rejected'],
    [404, 'NoSuchEntity', 'not_found'],
    [400, 'Throttling', 'rate_limited'],
    [429, 'TooManyRequestsException', 'rate_limited'],
  ])('%i %s: refused as %s, after one request', async (status, code, reason) => {
    replyWith(status, code)
    expect(await world.issue(world.open(), world.readArtifacts())).toMatchObject({ ok: false, reason })
    expect(world.host.counted.requests).toBe(1)
  })

  test.each([
    [500, 'InternalFailure'],
    [503, 'ServiceUnavailable'],
    [503, 'Throttling'],
    [408, 'RequestTimeout'],
    [302, 'Found'],
  ])('%i %s: unavailable, after one request', async (status, code) => {
    replyWith(status, code)
    await expect(world.issue(world.open(), world.readArtifacts())).rejects.toBeInstanceOf(ProviderUnavailable)
    expect(world.host.counted.requests).toBe(1)
  })

  test('the Date of a reply does not move the signature of the next mint', async () => {
    const { deps } = world.host
    const send = deps.fetch
    const dates: string[] = []
    deps.fetch = async (input, init) => {
      dates.push(new Headers(init?.headers).get('x-amz-date') ?? '')
      const reply = await send(input, init)
      const headers = new Headers(reply.headers)
      headers.set('date', new Date(world.clocks.broker() + 3_600_000).toUTCString())
      return new Response(reply.body, { status: reply.status, headers })
    }
    const issuer = world.open()
    await world.issued(issuer, world.readArtifacts())
    await world.issued(issuer, world.readArtifacts())
    expect(dates).toEqual(['20260501T120000Z', '20260501T120000Z'])
  })

  test('a broker that slept between intent and mint signs with the date of the intent', async () => {
    const { deps } = world.host
    const send = deps.fetch
    const dates: (string | null)[] = []
    deps.fetch = (input, init) => {
      dates.push(new Headers(init?.headers).get('x-amz-date'))
      return send(input, init)
    }
    const issuer = world.open()
    const grant = world.grant(issuer, issuer.ask.parse(world.readArtifacts()), 60)
    world.clocks.advance(14 * 60_000)
    await issuer.issue(grant)
    expect(dates).toEqual(['20260501T120000Z'])
  })

  test('settings: unknown keys, wildcard roles and sessions under a quarter of an hour are refused', () => {
    for (const settings of [
      { token: 'x' },
      { roles: ['*'] },
      { max_session_minutes: 5 },
      { credentials: 'none' },
    ]) {
      expect(() => world.open(settings)).toThrow()
    }
  })
})
