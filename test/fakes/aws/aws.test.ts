import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
} from '@aws-sdk/client-iam'
import { AssumeRoleCommand, GetCallerIdentityCommand } from '@aws-sdk/client-sts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BROKER, Fixture, type Keys, onlyAllow, refusal } from './fixture.ts'

const MINUTE = 60_000
const OBJECTS = 'arn:aws:s3:::artifacts/*'

let fixture: Fixture
beforeEach(async () => {
  fixture = await Fixture.start()
})
afterEach(() => fixture.aws.close())

const whoAmI = (keys: Keys) => fixture.sts(keys).send(new GetCallerIdentityCommand({}))

/** An inline policy on the deploy role, written by the broker. */
function putPolicy(PolicyDocument: string, PolicyName = 'mayfly'): Promise<unknown> {
  return fixture.iam().send(new PutRolePolicyCommand({ RoleName: 'deploy', PolicyName, PolicyDocument }))
}

function denyAll(Condition: object): string {
  const statement = { Effect: 'Deny', Action: '*', Resource: '*', Condition }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

describe('signature version 4', () => {
  const rows: [string, Keys, string, number][] = [
    ['wrong secret', { ...BROKER, secretAccessKey: 'other' }, 'SignatureDoesNotMatch', 403],
    ['unknown key', { ...BROKER, accessKeyId: 'AKIANOBODY0000000000' }, 'InvalidClientTokenId', 403],
    ['a token beside a long-lived key', { ...BROKER, sessionToken: 'x' }, 'InvalidClientTokenId', 403],
  ]
  test.each(rows)('STS, %s', async (_name, keys, code, status) => {
    expect(await refusal(whoAmI(keys))).toMatchObject({ code, status })
  })

  test('a request without a signature is refused by every service in its own words', async () => {
    const form = (body: string) =>
      fetch(fixture.aws.url, { method: 'POST', body: new URLSearchParams(body) }).then(async response => ({
        status: response.status,
        code: /<Code>(\w+)</.exec(await response.text())?.[1],
      }))
    const missing = { status: 403, code: 'MissingAuthenticationToken' }
    expect(await form('Action=GetCallerIdentity&Version=2011-06-15')).toEqual(missing)
    expect(await form('Action=GetRole&Version=2010-05-08')).toEqual(missing)
    expect(await form('Action=DescribeRegions&Version=2016-11-15')).toEqual(missing)
    const object = await fetch(`${fixture.aws.url}/artifacts/build.txt`)
    expect([object.status, await object.text()]).toEqual([403, expect.stringContaining('AccessDenied')])
  })

  test.each([-6, 6])('STS takes five minutes of skew, not six (%i)', async minutes => {
    const client = fixture.sts()
    fixture.clock.aheadMs = minutes * MINUTE
    expect(await refusal(client.send(new GetCallerIdentityCommand({})))).toMatchObject({
      code: 'SignatureDoesNotMatch',
      status: 403,
    })
    const near = fixture.sts()
    fixture.clock.aheadMs += Math.sign(minutes) * 4 * MINUTE
    await near.send(new GetCallerIdentityCommand({}))
  })

  test('answers carry the stand-in clock, which the SDK follows', async () => {
    fixture.clock.aheadMs = 60 * MINUTE
    const { headers } = await fetch(fixture.aws.url)
    const ahead = Date.parse(headers.get('date') ?? '') - Date.now()
    expect(ahead).toBeGreaterThan(59 * MINUTE)
  })

  test('a session key needs its own token, whole', async () => {
    const keys = await fixture.assume()
    const { sessionToken: _token, ...bare } = keys
    const tampered = { ...keys, sessionToken: `A${keys.sessionToken?.slice(1)}x` }
    expect(await refusal(whoAmI(bare))).toMatchObject({ code: 'InvalidClientTokenId', status: 403 })
    expect(await refusal(whoAmI(tampered))).toMatchObject({ code: 'InvalidClientTokenId', status: 403 })
    expect(await refusal(fixture.read(tampered))).toMatchObject({ code: 'InvalidToken', status: 400 })
    expect(await refusal(fixture.read(bare))).toMatchObject({ code: 'InvalidAccessKeyId', status: 403 })
    expect(await fixture.describeRegions(tampered, true)).toMatchObject({ status: 401 })
  })

  test('an expired session, by service', async () => {
    const keys = await fixture.assume({ DurationSeconds: 900 })
    fixture.clock.aheadMs = 15 * MINUTE + 1000
    expect(await refusal(whoAmI(keys))).toMatchObject({ code: 'ExpiredToken', status: 403 })
    expect(await refusal(fixture.read(keys))).toMatchObject({ code: 'ExpiredToken', status: 400 })
    const regions = await fixture.describeRegions(keys, true)
    expect(regions).toEqual({ status: 400, body: expect.stringContaining('<Code>RequestExpired</Code>') })
    expect(fixture.alive()).toEqual([])
  })
})

describe('STS AssumeRole', () => {
  test('gives a session with the shapes of AWS', async () => {
    const answer = await fixture.sts().send(
      new AssumeRoleCommand({
        RoleArn: fixture.role.arn,
        RoleSessionName: 'lse_1',
        DurationSeconds: 900,
        SourceIdentity: 'lse_1',
        Policy: onlyAllow('s3:GetObject', OBJECTS),
        Tags: [{ Key: 'mayfly:lease', Value: 'lse_1' }],
      }),
    )
    expect(answer).toMatchObject({
      Credentials: { AccessKeyId: expect.stringMatching(/^ASIA[A-Z2-7]{16}$/) },
      AssumedRoleUser: {
        AssumedRoleId: `${fixture.role.roleId}:lse_1`,
        Arn: 'arn:aws:sts::123456789012:assumed-role/deploy/lse_1',
      },
      SourceIdentity: 'lse_1',
    })
    expect(answer.PackedPolicySize).toBeGreaterThan(0)
    expect(answer.PackedPolicySize).toBeLessThan(15)
    const seconds = ((answer.Credentials?.Expiration?.getTime() ?? 0) - Date.now()) / 1000
    expect(Math.abs(seconds - 900)).toBeLessThan(10)
    const [credential] = fixture.aws.credentials()
    expect(credential).toMatchObject({
      accessKeyId: answer.Credentials?.AccessKeyId,
      roleArn: fixture.role.arn,
      sessionName: 'lse_1',
      sourceIdentity: 'lse_1',
      tags: [{ key: 'mayfly:lease', value: 'lse_1' }],
      issuedTo: BROKER.accessKeyId,
      alive: true,
    })
  })

  const invalid = 'ValidationError'
  const rows: [string, object, string, string][] = [
    ['899 seconds', { DurationSeconds: 899 }, invalid, '>= 900'],
    ['over the role maximum', { DurationSeconds: 7201 }, invalid, 'MaxSessionDuration'],
    ['over twelve hours', { DurationSeconds: 43_201 }, invalid, '<= 43200'],
    ['a space in the session name', { RoleSessionName: 'a b!' }, invalid, 'roleSessionName'],
    ['one letter of session name', { RoleSessionName: 'a' }, invalid, 'roleSessionName'],
    ['65 letters of session name', { RoleSessionName: 'a'.repeat(65) }, invalid, 'roleSessionName'],
    ['a slash in the source identity', { SourceIdentity: 'a/b' }, invalid, 'sourceIdentity'],
    ['a policy of 2049 characters', { Policy: 'x'.repeat(2049) }, invalid, 'policy'],
    ['a policy that is no JSON', { Policy: '{not json' }, 'MalformedPolicyDocumentException', 'Json'],
    [
      'a policy with a principal',
      { Policy: withPrincipal() },
      'MalformedPolicyDocumentException',
      'Principal',
    ],
    [
      'an unknown operator',
      { Policy: withOperator('DateBefore') },
      'MalformedPolicyDocumentException',
      'DateBefore',
    ],
    [
      'a date that is none',
      { Policy: withOperator('DateLessThan') },
      'MalformedPolicyDocumentException',
      'DateLess',
    ],
    ['51 tags', { Tags: tags(51) }, invalid, 'tags'],
    ['tag keys equal but for case', { Tags: [tag('Team'), tag('team')] }, 'InvalidParameterValue', 'insens'],
    ['a tag key of 129', { Tags: [tag('k'.repeat(129))] }, invalid, 'tags.1.member.key'],
    ['a transitive key not sent', { TransitiveTagKeys: ['x'] }, 'InvalidParameterValue', 'transitive'],
    ['tags that do not pack', { Tags: tags(50, 'v'.repeat(100)) }, 'PackedPolicyTooLargeException', '%'],
  ]
  test.each(rows)('refuses %s', async (_name, input, code, words) => {
    const { message, ...seen } = await refusal(fixture.assume(input))
    expect(seen).toEqual({ code, status: 400 })
    const plain = message.replace('greater than or equal to', '>=').replace('less than or equal to', '<=')
    expect(plain).toContain(words)
    expect(fixture.aws.credentials()).toEqual([])
  })

  test('without a duration it is an hour', async () => {
    await fixture.assume()
    const [credential] = fixture.aws.credentials()
    expect((credential?.expiresAt ?? 0) - (credential?.issuedAt ?? 0)).toBe(60 * MINUTE)
  })

  test('a role that does not exist or does not trust the caller answers the same', async () => {
    const { arn } = fixture.aws.addRole({ name: 'other', trusts: [], policy: JSON.parse(denyAll({})) })
    const stranger = await refusal(fixture.assume({ RoleArn: arn }))
    const nobody = await refusal(fixture.assume({ RoleArn: arn.replace('other', 'none') }))
    expect(stranger).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(nobody).toEqual({ ...stranger, message: stranger.message.replace('role/other', 'role/none') })
  })

  test('tags need sts:TagSession and a source identity sts:SetSourceIdentity in the trust policy', async () => {
    const { arn } = fixture.aws.addRole({
      name: 'plain',
      trusts: ['arn:aws:iam::123456789012:user/broker'],
      trustActions: ['sts:AssumeRole'],
      policy: JSON.parse(onlyAllow('s3:GetObject', OBJECTS)),
    })
    await fixture.assume({ RoleArn: arn })
    const tagged = await refusal(fixture.assume({ RoleArn: arn, Tags: [tag('team')] }))
    expect(tagged).toMatchObject({ code: 'AccessDenied', message: expect.stringContaining('sts:TagSession') })
    const named = await refusal(fixture.assume({ RoleArn: arn, SourceIdentity: 'lse_1' }))
    expect(named.message).toContain('sts:SetSourceIdentity')
  })

  test('trust in the account leaves the rest to the policy of the caller', async () => {
    const { arn } = fixture.aws.addRole({
      name: 'shared',
      trusts: ['arn:aws:iam::123456789012:root'],
      policy: JSON.parse(onlyAllow('s3:GetObject', OBJECTS)),
    })
    const keys = { accessKeyId: 'AKIASECOND0000000000', secretAccessKey: 'second' }
    const policy = JSON.parse(onlyAllow('sts:AssumeRole', arn))
    fixture.aws.addUser({ name: 'second', ...keys, policy })
    await fixture.assume({ RoleArn: arn }, keys)
    expect(await refusal(fixture.assume({ RoleArn: arn }))).toMatchObject({ code: 'AccessDenied' })
    const tagged = refusal(fixture.assume({ RoleArn: arn, Tags: [tag('team')] }, keys))
    expect(await tagged).toMatchObject({ code: 'AccessDenied' })
  })

  test('GetCallerIdentity is allowed to a session that may do nothing at all', async () => {
    const keys = await fixture.assume({ Policy: denyAll({}) })
    expect(await whoAmI(keys)).toMatchObject({
      Account: '123456789012',
      Arn: 'arn:aws:sts::123456789012:assumed-role/deploy/lse_1',
      UserId: `${fixture.role.roleId}:lse_1`,
    })
    expect(fixture.alive()).toEqual([])
  })
})

describe('role chaining', () => {
  beforeEach(() => {
    const { arn } = fixture.role
    const policy = JSON.parse(onlyAllow('s3:GetObject', OBJECTS))
    fixture.aws.addRole({ name: 'next', trusts: [arn], policy, maxSessionSeconds: 43_200 })
  })
  const NEXT = { RoleArn: 'arn:aws:iam::123456789012:role/next' }

  test('is at most an hour, whatever the role allows', async () => {
    const first = await fixture.assume()
    const { code, message } = await refusal(fixture.assume({ ...NEXT, DurationSeconds: 3601 }, first))
    expect([code, message]).toEqual(['ValidationError', expect.stringContaining('1 hour')])
    await fixture.assume({ ...NEXT, DurationSeconds: 3600 }, first)
  })

  test('is refused by a session policy that does not allow it', async () => {
    const first = await fixture.assume({ Policy: onlyAllow('s3:GetObject', OBJECTS) })
    expect(await refusal(fixture.assume(NEXT, first))).toMatchObject({ code: 'AccessDenied' })
  })

  test('keeps the source identity and the transitive tags', async () => {
    const Tags = [tag('team'), tag('stage')]
    const first = await fixture.assume({ SourceIdentity: 'lse_1', Tags, TransitiveTagKeys: ['team'] })
    await fixture.assume(NEXT, first)
    const second = fixture.aws.credentials()[1]
    expect(second).toMatchObject({ sourceIdentity: 'lse_1', tags: [{ key: 'team', value: 'v' }] })
    expect(second?.issuedTo).toBe(first.accessKeyId)
    const changed = await refusal(fixture.assume({ ...NEXT, SourceIdentity: 'lse_2' }, first))
    expect(changed).toMatchObject({ code: 'AccessDenied' })
    const again = await refusal(fixture.assume({ ...NEXT, Tags: [tag('Team')] }, first))
    expect(again).toMatchObject({ code: 'InvalidParameterValue' })
  })
})

describe('what a session may do', () => {
  test('role policy and session policy must both allow', async () => {
    const keys = await fixture.assume({ Policy: onlyAllow('s3:GetObject', '*') })
    expect(await fixture.read(keys)).toBe('hello')
    fixture.aws.putObject('private', 'x', 'x')
    expect(await refusal(fixture.read(keys, 'x', 'private'))).toMatchObject({ code: 'AccessDenied' })
    const written = await refusal(fixture.write(keys, 'new.txt', 'x'))
    expect(written).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(written.message).toContain('no session policy allows the s3:PutObject action')
    expect(await refusal(fixture.remove(keys, 'build.txt'))).toMatchObject({ code: 'AccessDenied' })
  })

  test('without a session policy it may do what the role may: write, read back, delete', async () => {
    const keys = await fixture.assume()
    const key = "odd name/+é(1)*'.txt"
    await fixture.write(keys, key, Buffer.from([0, 255, 10]))
    expect(await fixture.read(keys, key)).toBe(Buffer.from([0, 255, 10]).toString())
    await fixture.remove(keys, key)
    expect(await refusal(fixture.read(keys, key))).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(await refusal(fixture.read(keys, 'x', 'artifact'))).toMatchObject({ status: 403 })
  })

  test('a deadline in the session policy ends it before its expiry', async () => {
    const deadline = new Date(Date.now() + 2 * MINUTE).toISOString().replace(/\.\d+Z$/, 'Z')
    const condition = { DateLessThan: { 'aws:CurrentTime': deadline } }
    const keys = await fixture.assume({ Policy: onlyAllow('s3:GetObject', OBJECTS, condition) })
    expect(await fixture.read(keys)).toBe('hello')
    expect(fixture.alive()).toEqual([keys.accessKeyId])
    fixture.clock.aheadMs = 2 * MINUTE
    expect(await refusal(fixture.read(keys))).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(fixture.alive()).toEqual([])
    await whoAmI(keys)
  })

  test('an EC2 dry run tells whether the call would be allowed', async () => {
    const keys = await fixture.assume()
    const none = await fixture.assume({ Policy: onlyAllow('s3:GetObject', OBJECTS) })
    const dry = await fixture.describeRegions(keys, true)
    expect(dry).toEqual({ status: 412, body: expect.stringContaining('<Code>DryRunOperation</Code>') })
    const refused = { status: 403, body: expect.stringContaining('<Code>UnauthorizedOperation</Code>') }
    expect(await fixture.describeRegions(none, true)).toEqual(refused)
    expect(await fixture.describeRegions(none, false)).toEqual(refused)
    const real = await fixture.describeRegions(keys, false)
    expect(real).toEqual({ status: 200, body: expect.stringContaining('<regionName>eu-central-1</') })
  })
})

describe('IAM role policies', () => {
  const POLICY = onlyAllow('s3:GetObject', OBJECTS)
  const role = { RoleName: 'deploy' }
  const mayfly = { ...role, PolicyName: 'mayfly' }

  test('are written, read, listed and deleted', async () => {
    const iam = fixture.iam()
    const { Role } = await iam.send(new GetRoleCommand(role))
    expect(Role).toMatchObject({ RoleId: fixture.role.roleId, MaxSessionDuration: 7200 })
    await putPolicy(POLICY)
    await putPolicy(POLICY, 'another')
    const { PolicyDocument = '' } = await iam.send(new GetRolePolicyCommand(mayfly))
    expect(decodeURIComponent(PolicyDocument)).toBe(POLICY)
    const first = await iam.send(new ListRolePoliciesCommand({ ...role, MaxItems: 1 }))
    expect(first).toMatchObject({ PolicyNames: ['another'], IsTruncated: true, Marker: 'another' })
    const rest = await iam.send(new ListRolePoliciesCommand({ ...role, Marker: 'another' }))
    expect(rest).toMatchObject({ PolicyNames: ['mayfly'], IsTruncated: false })
    await iam.send(new DeleteRolePolicyCommand(mayfly))
    const gone = { code: 'NoSuchEntityException', status: 404 }
    expect(await refusal(iam.send(new DeleteRolePolicyCommand(mayfly)))).toMatchObject(gone)
    expect(await refusal(iam.send(new GetRolePolicyCommand(mayfly)))).toMatchObject(gone)
  })

  test('an unknown role, a document that is none, a caller without leave', async () => {
    const none = await refusal(fixture.iam().send(new GetRoleCommand({ RoleName: 'none' })))
    expect(none).toMatchObject({ code: 'AccessDenied', status: 403 })
    fixture.aws.addUser({
      name: 'admin',
      accessKeyId: 'AKIAADMIN00000000000',
      secretAccessKey: 'admin',
      policy: JSON.parse(onlyAllow('*', '*')),
    })
    const admin = fixture.iam({ accessKeyId: 'AKIAADMIN00000000000', secretAccessKey: 'admin' })
    const missing = await refusal(admin.send(new GetRoleCommand({ RoleName: 'none' })))
    expect(missing).toMatchObject({ code: 'NoSuchEntityException', status: 404 })
    expect(await refusal(putPolicy('{}'))).toMatchObject({
      code: 'MalformedPolicyDocumentException',
      status: 400,
    })
    const session = fixture.iam(await fixture.assume())
    expect(await refusal(session.send(new GetRoleCommand(role)))).toMatchObject({ code: 'AccessDenied' })
  })

  test('hold 10,240 characters in all, white space not counted', async () => {
    const ids = (count: number) => Array.from({ length: count }, (_, index) => `${index}`.padStart(40, 'x'))
    const policy = (count: number) => denyAll({ StringEquals: { 'aws:userid': ids(count) } })
    await putPolicy(policy(100))
    const full = await refusal(putPolicy(policy(150), 'second'))
    expect(full).toMatchObject({ code: 'LimitExceededException', status: 409 })
    await putPolicy(JSON.stringify(JSON.parse(policy(200)), undefined, 40))
  })

  test('a deny on the issue time ends older sessions at once, and only those', async () => {
    const old = await fixture.assume()
    fixture.clock.aheadMs = 2000
    const T = new Date(Date.now() + 1500).toISOString()
    await putPolicy(denyAll({ DateLessThan: { 'aws:TokenIssueTime': T } }), 'AWSRevokeOlderSessions')
    const young = await fixture.assume()
    const refused = await refusal(fixture.read(old))
    expect(refused).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(refused.message).toContain('explicit deny')
    expect(await fixture.read(young)).toBe('hello')
    expect(fixture.alive()).toEqual([young.accessKeyId])
    await fixture.iam().send(new DeleteRolePolicyCommand({ ...role, PolicyName: 'AWSRevokeOlderSessions' }))
    expect(await fixture.read(old)).toBe('hello')
  })

  const one: [string, (roleId: string) => object][] = [
    ['aws:userid', roleId => ({ StringEquals: { 'aws:userid': `${roleId}:lse_1` } })],
    ['aws:SourceIdentity', () => ({ StringEquals: { 'aws:SourceIdentity': 'lse_1' } })],
    ['aws:PrincipalTag', () => ({ StringEquals: { 'aws:PrincipalTag/lease': 'lse_1' } })],
  ]
  test.each(one)('a deny on %s ends one session and leaves its neighbour', async (_name, condition) => {
    const session = (lease: string) => ({
      RoleSessionName: lease,
      SourceIdentity: lease,
      Tags: [{ Key: 'lease', Value: lease }],
    })
    const first = await fixture.assume(session('lse_1'))
    const second = await fixture.assume(session('lse_2'))
    await putPolicy(denyAll(condition(fixture.role.roleId)))
    expect(await refusal(fixture.read(first))).toMatchObject({ code: 'AccessDenied', status: 403 })
    expect(await fixture.read(second)).toBe('hello')
    expect(fixture.alive()).toEqual([second.accessKeyId])
  })

  test('take effect only after the delay that is set', async () => {
    const keys = await fixture.assume()
    fixture.aws.denyDelayMs = 3 * MINUTE
    await putPolicy(denyAll({}))
    expect(await fixture.read(keys)).toBe('hello')
    fixture.clock.aheadMs = 3 * MINUTE
    expect(await refusal(fixture.read(keys))).toMatchObject({ code: 'AccessDenied' })
  })
})

describe('faults', () => {
  test('a lost answer leaves a live session that the caller was never told of', async () => {
    fixture.aws.faults = ({ operation, when }) =>
      operation === 'AssumeRole' && when === 'after' ? 'drop' : 'ok'
    await expect(fixture.assume()).rejects.toThrow()
    expect(fixture.alive()).toHaveLength(1)
  })

  test('a lost request leaves nothing, and a status is answered in place of the effect', async () => {
    fixture.aws.faults = () => 'drop'
    await expect(fixture.assume()).rejects.toThrow()
    fixture.aws.faults = ({ when }) => (when === 'before' ? { status: 503 } : 'ok')
    expect(await refusal(fixture.assume())).toMatchObject({ status: 503 })
    expect(fixture.aws.credentials()).toEqual([])
  })
})

function tag(Key: string, Value = 'v') {
  return { Key, Value }
}

function tags(count: number, value = 'v') {
  return Array.from({ length: count }, (_, index) => tag(`k${index}`, value))
}

function withPrincipal(): string {
  const statement = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: '*' }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

function withOperator(operator: string): string {
  return onlyAllow('s3:GetObject', '*', { [operator]: { 'aws:CurrentTime': 'tomorrow' } })
}
